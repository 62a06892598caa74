/*
 * rq_stream.c
 *	  Files of any size that are read and replaced as a whole, through a buffer
 *	  of a fixed size.
 *
 * Given a file that is often the same when it is written again, how is it
 * replaced safely, without memory for all of it and without writing it when
 * nothing has changed?  A new file is written under a temporary name, fsynced
 * and renamed.  But as long as what is added is what the file holds already,
 * it is only compared.  At the first buffer that differs the temporary file is
 * begun: what was the same so far is copied from the file, then it is written.
 * So a file that needs no change costs no disk space, which may be just what
 * is lacking.
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "port/pg_crc32c.h"
#include "storage/fd.h"

#include "base/rq_fault.h"
#include "store/rq_stream.h"

/*
 * A file that is shorter than its writer's buffer is compared and written only
 * after all has been added.  So a caller that adds it under a lock does not
 * wait for the disk; wal/rq_state.c does that.
 */
#define READ_BUFFER		(64 * 1024)
#define WRITE_BUFFER	(4 * 1024 * 1024)

struct RqReader
{
	int			fd;
	uint32		used;			/* of "len" bytes in the buffer */
	uint32		len;
	char		buf[READ_BUFFER];
};

struct RqWriter
{
	char		path[MAXPGPATH];
	char		tmp[MAXPGPATH];
	uint32		header_len;
	RqReader   *old;			/* the file so far, NULL = there is none */
	uint64		old_len;
	char	   *old_header;
	bool		same;			/* the file so far begins like this */
	int			fd;				/* the temporary file, -1 = not begun */
	uint64		done;			/* bytes that have left the buffer */
	pg_crc32c	crc;
	uint32		used;			/* of the buffer */
	char		buf[WRITE_BUFFER];
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
	r->used = r->len = 0;
	*len = st.st_size;
	return r;
}

/*
 * An error of read() counts as the file's end.  Callers know how long the file
 * should be, and report that it could not be read so far.
 */
static bool
fill(RqReader *r)
{
	ssize_t		n;

	do
		n = read(r->fd, r->buf, READ_BUFFER);
	while (n < 0 && errno == EINTR);
	r->used = 0;
	r->len = Max(n, 0);
	return n > 0;
}

bool
rq_reader_read(RqReader *r, void *to, uint64 size)
{
	char	   *at = to;

	while (size > 0)
	{
		uint64		n = Min(size, r->len - r->used);

		if (n == 0)
		{
			if (!fill(r))
				return false;
			continue;
		}
		memcpy(at, r->buf + r->used, n);
		r->used += n;
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

/*
 * Nothing is created yet.  The old file's header is kept, since it is read
 * before the rest and compared after it, if at all (rq_writer_same()).
 */
RqWriter *
rq_writer_begin(const char *path, uint32 header_len)
{
	RqWriter   *w = palloc(sizeof(RqWriter));

	strlcpy(w->path, path, sizeof(w->path));
	snprintf(w->tmp, sizeof(w->tmp), "%s.tmp", path);
	w->header_len = header_len;
	w->old_header = palloc(header_len);
	w->fd = -1;
	w->done = header_len;
	INIT_CRC32C(w->crc);
	w->used = 0;
	w->old = rq_reader_open(path, &w->old_len);
	w->same = w->old != NULL &&
		rq_reader_read(w->old, w->old_header, header_len);
	return w;
}

/*
 * After rq_writer_replace() there is no temporary file any more; before it, or
 * if that has failed, the old file is still in place, and what has been written
 * beside it is removed.
 */
void
rq_writer_end(RqWriter *w)
{
	if (w->fd >= 0)
	{
		close(w->fd);
		unlink(w->tmp);
	}
	if (w->old != NULL)
		rq_reader_close(w->old);
	pfree(w->old_header);
	pfree(w);
}

static void
write_out(RqWriter *w, const char *data, uint64 size)
{
	while (size > 0)
	{
		ssize_t		n = write(w->fd, data, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
		{
			if (n == 0)
				errno = ENOSPC;
			ereport(ERROR,
					(errcode_for_file_access(),
					 errmsg("could not write file \"%s\": %m", w->tmp)));
		}
		data += n;
		size -= n;
	}
}

/*
 * Copy what the new file has in common with the file so far.  That is opened
 * again, since comparing has read on in it.  It is the same file as before:
 * only one process at a time replaces it.
 */
static void
copy_begun(RqWriter *w)
{
	char		copy[BLCKSZ];
	uint64		left = w->done - w->header_len;
	bool		ok;

	rq_reader_close(w->old);
	w->old = NULL;
	w->old = rq_reader_open(w->path, &w->old_len);
	ok = w->old != NULL && rq_reader_read(w->old, copy, w->header_len);
	while (ok && left > 0)
	{
		uint64		n = Min(left, sizeof(copy));

		ok = rq_reader_read(w->old, copy, n);
		if (ok)
			write_out(w, copy, n);
		left -= n;
	}
	if (!ok)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("could not read file \"%s\" a second time", w->path)));
}

/*
 * Begin the temporary file, with all that has left the buffer.  The header,
 * which is known only at the end, is zeros until then.
 */
static void
begin_file(RqWriter *w)
{
	char		zeros[BLCKSZ] = {0};

	w->fd = BasicOpenFile(w->tmp, O_RDWR | O_CREAT | O_TRUNC | PG_BINARY);
	if (w->fd < 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not create file \"%s\": %m", w->tmp)));
	/* rq_writer_replace() writes the header. */
	write_out(w, zeros, w->header_len);
	if (w->done > w->header_len)
		copy_begun(w);
}

/* Are these the next bytes of the file so far? */
static bool
is_next(RqWriter *w, const char *data, uint64 size)
{
	char		copy[BLCKSZ];

	while (size > 0)
	{
		uint64		n = Min(size, sizeof(copy));

		if (!rq_reader_read(w->old, copy, n) || memcmp(copy, data, n) != 0)
			return false;
		data += n;
		size -= n;
	}
	return true;
}

/*
 * Compare what is in the buffer, or write it.  The first buffer that differs
 * decides: from then on everything is written.
 */
static void
drain(RqWriter *w)
{
	if (w->used == 0)
		return;
	w->same = w->same && is_next(w, w->buf, w->used);
	if (!w->same)
	{
		if (w->fd < 0)
			begin_file(w);
		write_out(w, w->buf, w->used);
	}
	w->done += w->used;
	w->used = 0;
}

/*
 * The checksum is taken of what is added, whether it is written or only found
 * to be there already: so rq_writer_crc() is the same in both cases.
 */
void
rq_writer_add(RqWriter *w, const void *data, uint64 size)
{
	const char *at = data;

	COMP_CRC32C(w->crc, data, size);
	while (size > 0)
	{
		uint64		n = Min(size, WRITE_BUFFER - w->used);

		memcpy(w->buf + w->used, at, n);
		w->used += n;
		at += n;
		size -= n;
		if (w->used == WRITE_BUFFER)
			drain(w);
	}
}

/*
 * The header is for the caller to compare, since it can have fields that
 * change by themselves.  Counts the buffer as done, so that
 * rq_writer_replace() after all copies it from the file.
 */
bool
rq_writer_same(RqWriter *w, void *old_header)
{
	/* Only compare: what has to be written waits for rq_writer_replace(). */
	if (!w->same || w->old_len != rq_writer_length(w))
		return false;
	if (!is_next(w, w->buf, w->used))
	{
		w->same = false;
		return false;
	}
	w->done += w->used;
	w->used = 0;
	memcpy(old_header, w->old_header, w->header_len);
	return true;
}

uint64
rq_writer_length(const RqWriter *w)
{
	return w->done + w->used;
}

uint32
rq_writer_crc(const RqWriter *w)
{
	return w->crc;
}

/*
 * In this order, so that a crash leaves the old file or the whole new one:
 *
 *		1. write what is left, and the header
 *		2. fsync the temporary file
 *		3. rename it and fsync the directory: durable_rename()
 *
 * The header comes last because it has the length and the checksum of the
 * rest.  A temporary file that a crash leaves is overwritten by the next one.
 */
void
rq_writer_replace(RqWriter *w, const void *header)
{
	/* Even if rq_writer_same() was true, the caller may want another header. */
	w->same = false;
	if (w->fd < 0)
		begin_file(w);
	drain(w);
	errno = 0;
	if (pg_pwrite(w->fd, header, w->header_len, 0) != (ssize_t) w->header_len)
	{
		/* If write didn't set errno, assume the problem is no disk space. */
		if (errno == 0)
			errno = ENOSPC;
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not write file \"%s\": %m", w->tmp)));
	}
	if (pg_fsync(w->fd) != 0)
		ereport(data_sync_elevel(ERROR),
				(errcode_for_file_access(),
				 errmsg("could not fsync file \"%s\": %m", w->tmp)));
	close(w->fd);
	w->fd = -1;
	RQ_FAULT("state-rename");
	durable_rename(w->tmp, w->path, ERROR);
}
