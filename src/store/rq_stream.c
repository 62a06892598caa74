/*
 * rq_stream.c
 *	  A file of any size that is read anywhere through a buffer of a fixed size,
 *	  and is lengthened or replaced.
 *
 * Given a file that grows with every change, how is it kept from growing for
 * ever?  Now and then it is replaced by a new one, which is written under a
 * temporary name, fsynced and renamed.
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/fd.h"

#include "base/rq_compat.h"
#include "base/rq_fault.h"
#include "base/rq_waits.h"
#include "store/rq_durable.h"
#include "store/rq_stream.h"

#define READ_BUFFER		(64 * 1024)

/* When so much has been added, the kernel begins to write it. */
#define FLUSH_AFTER		(4 * 1024 * 1024)

struct RqReader
{
	int			fd;
	uint64		at;				/* the buffer has so many bytes from here */
	uint32		len;
	char		buf[READ_BUFFER];
};

struct RqWriter
{
	char		path[MAXPGPATH];
	char		tmp[MAXPGPATH]; /* "" = the file itself is written to */
	int			fd;
	uint64		at;
	uint64		flushed;		/* up to here the kernel has been asked to
								 * write */
};

/* ---- read ---- */

/*
 * The descriptor is a plain one, which no resource owner knows: readers are
 * also used by the postmaster, and before there are transactions.  So the
 * caller has to close it after an error, too.
 */
RqReader *
rq_reader_open(const char *path, uint64 *len)
{
	int			fd = BasicOpenFile(path, O_RDONLY | PG_BINARY);
	RqReader   *r;
	struct stat st;

	if (fd < 0 && errno == ENOENT)
		return NULL;
	if (fd < 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not open file \"%s\": %m", path)));
	if (fstat(fd, &st) != 0)
	{
		int			save_errno = errno;

		close(fd);
		errno = save_errno;
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not stat file \"%s\": %m", path)));
	}
	r = palloc(sizeof(RqReader));
	r->fd = fd;
	r->at = 0;
	r->len = 0;
	*len = st.st_size;
	return r;
}

/*
 * An error of pread() counts as the file's end.  Callers know how long the file
 * should be, and report that it could not be read so far.
 */
static bool
fill(RqReader *r, uint64 at)
{
	ssize_t		n;

	do
		n = pg_pread(r->fd, r->buf, READ_BUFFER, at);
	while (n < 0 && errno == EINTR);
	r->at = at;
	r->len = Max(n, 0);
	return n > 0;
}

bool
rq_reader_read(void *reader, uint64 at, void *to, uint64 size)
{
	RqReader   *r = reader;
	char	   *out = to;

	while (size > 0)
	{
		uint64		n;

		if (at < r->at || at >= r->at + r->len)
		{
			if (!fill(r, at))
				return false;
		}
		n = Min(size, r->at + r->len - at);
		memcpy(out, r->buf + (at - r->at), n);
		out += n;
		at += n;
		size -= n;
	}
	return true;
}

void
rq_reader_close(RqReader *r)
{
	close(r->fd);
	pfree(r);
}

/* ---- write ---- */

/* Cut off what an earlier writer that failed has left. */
static void
cut_off(RqWriter *w, uint64 at)
{
	if (ftruncate(w->fd, at) != 0)
	{
		int			save_errno = errno;

		close(w->fd);
		errno = save_errno;
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not truncate file \"%s\": %m", w->path)));
	}
}

RqWriter *
rq_writer_begin(const char *path, uint64 at)
{
	RqWriter   *w = palloc(sizeof(RqWriter));
	const char *opened = path;
	int			flags = O_RDWR | PG_BINARY;

	strlcpy(w->path, path, sizeof(w->path));
	w->tmp[0] = '\0';
	if (at == 0)
	{
		snprintf(w->tmp, sizeof(w->tmp), "%s.tmp", path);
		opened = w->tmp;
		flags |= O_CREAT | O_TRUNC;
	}
	w->at = w->flushed = at;
	w->fd = BasicOpenFile(opened, flags);
	if (w->fd < 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not open file \"%s\": %m", opened)));
	if (at > 0)
		cut_off(w, at);
	return w;
}

/*
 * After rq_writer_finish() there is no temporary file any more; before it, or
 * if that has failed, the old file is still in place.
 */
void
rq_writer_end(RqWriter *w)
{
	if (w->fd >= 0)
	{
		close(w->fd);
		if (w->tmp[0] != '\0')
			unlink(w->tmp);
	}
	pfree(w);
}

static const char *
written(const RqWriter *w)
{
	return w->tmp[0] != '\0' ? w->tmp : w->path;
}

void
rq_writer_add(RqWriter *w, const void *data, uint64 size)
{
	const char *from = data;

	while (size > 0)
	{
		ssize_t		n;

		rq_wait_start(RQ_WAIT_STATE_WRITE);
		n = pg_pwrite(w->fd, from, size, w->at);
		rq_wait_end();

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
		{
			if (n == 0)
				errno = ENOSPC;
			ereport(ERROR,
					(errcode_for_file_access(),
					 errmsg("could not write file \"%s\": %m", written(w))));
		}
		from += n;
		size -= n;
		w->at += n;
	}
	if (w->at - w->flushed >= FLUSH_AFTER)
		rq_writer_flush(w, false);
}

uint64
rq_writer_at(const RqWriter *w)
{
	return w->at;
}

void
rq_writer_flush(RqWriter *w, bool wait)
{
	if (!wait)
		pg_flush_data(w->fd, w->flushed, w->at - w->flushed);
	else if (rq_fsync_fd(w->fd) != 0)
		ereport(data_sync_elevel(ERROR),
				(errcode_for_file_access(),
				 errmsg("could not fsync file \"%s\": %m", written(w))));
	w->flushed = w->at;
}

void
rq_writer_finish(RqWriter *w)
{
	rq_writer_flush(w, true);
	close(w->fd);
	w->fd = -1;
	if (w->tmp[0] == '\0')
		return;
	RQ_FAULT("state-rename");
	durable_rename(w->tmp, w->path, ERROR);
	RQ_FAULT("state-image-renamed");
}
