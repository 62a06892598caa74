/*
 * rq_durable.c
 *	  Files and directories of the store: create, fsync, replace, remove.
 *
 * Given files that other processes map while we work, and a crash at any
 * moment, how does a name always stand for a whole file?  A segment is written
 * under a temporary name and then linked; a small file is written under a
 * temporary name and then renamed.  No file is ever truncated, because others
 * may have it mapped: an access to a page past its end raises SIGBUS.
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file_perm.h"
#include "common/file_utils.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "storage/fd.h"

#include "base/rq_fault.h"
#include "base/rq_waits.h"
#include "store/rq_durable.h"

RqFsyncs	rq_fsyncs = {0};

#define ZERO_CHUNK	(128 * 1024)
#define TMP_MARK	".tmp."

/*
 * A directory that does not exist yet is fine.  FATAL, since this is called
 * while the server starts (wal/rq_stateload.c), when nothing can be done
 * without the store.
 */
static void
refuse_link(const char *path)
{
	struct stat st;

	if (lstat(path, &st) != 0)
	{
		if (errno == ENOENT)
			return;
		ereport(FATAL,
				(errcode_for_file_access(),
				 errmsg("could not stat file \"%s\": %m", path)));
	}
	if (!S_ISDIR(st.st_mode))
		ereport(FATAL,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("\"%s\" is not a directory", path),
				 errdetail("pg_basebackup would skip a symbolic link, and the backup would contain no messages."),
				 errhint("To store messages on another disk, mount it at this path.")));
}

/* The outermost first, as they are created. */
static const char *const store_dirs[] = {RQ_DIR, RQ_LOG_DIR, RQ_QUEUE_DIR};

void
rq_refuse_links(void)
{
	for (int i = 0; i < lengthof(store_dirs); i++)
		refuse_link(store_dirs[i]);
}

/* False if it is there already. */
static bool
make_dir(const char *path)
{
	if (MakePGDirectory(path) == 0)
		return true;
	if (errno != EEXIST)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not create directory \"%s\": %m", path)));
	return false;
}

void
rq_make_directories(void)
{
	for (int i = 0; i < lengthof(store_dirs); i++)
		if (make_dir(store_dirs[i]))
			rq_fsync_path(i == 0 ? "." : RQ_DIR, true);
}

/*
 * Write zeros over [from, to); returns 0 or an errno.  A short write goes on
 * after what has been written; the next one then says why it was short.
 */
static int
write_zeros(int fd, uint64 from, uint64 to)
{
	static const char zeros[ZERO_CHUNK];

	while (from < to)
	{
		ssize_t		n = pg_pwrite(fd, zeros, Min(to - from, ZERO_CHUNK), from);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return errno ? errno : ENOSPC;
		from += n;
	}
	return 0;
}

/*
 * Allocate first, so that a lack of space is found before anything is written.
 * Then write zeros, so that stores into a mapping go to blocks that have been
 * written already; where the file system cannot allocate, only this reserves
 * the space.  A store into a mapping could not report that the disk is full: it
 * would get SIGBUS.
 */
int
rq_fill_zeros(int fd, uint64 from, uint64 to)
{
	int			err;

	rq_wait_start(RQ_WAIT_FILE_ALLOCATE);
	do
		err = posix_fallocate(fd, from, to - from);
	while (err == EINTR);
	if (err == 0 || err == EOPNOTSUPP || err == EINVAL)
		err = write_zeros(fd, from, to);
	rq_wait_end();
	return err;
}

static int
fill_segment(int fd, uint64 size, const void *header, uint32 header_len,
			 bool sync)
{
	int			err = rq_fill_zeros(fd, 0, size);

	if (err == 0 && header_len > 0 &&
		pg_pwrite(fd, header, header_len, 0) != (ssize_t) header_len)
		err = errno ? errno : ENOSPC;
	RQ_FAULT("segment-zero");
	if (err == 0 && sync && rq_fsync_fd(fd) != 0)
		err = errno;
	return err;
}

/*
 * In this order, so that the name is never that of half a file:
 *
 *		1. write the file under a temporary name, which has our process id in it
 *		2. fsync it
 *		3. link it to its name
 *		4. fsync the directory
 *
 * Linked and not renamed: a rename would replace a file that another process
 * has put there concurrently, and may have mapped and written to already.
 *
 * Without "sync", steps 2 and 4 are left to the next sync of the store, and a
 * crash before it can leave a file that is too short; redo extends that.  No
 * checkpoint completes before that sync, so redo meets every record that has
 * written to the file.
 *
 * An errno is returned and not thrown, because the allocator hands it on to the
 * producers that wait for the segment.
 */
int
rq_create_segment(const char *path, uint64 size, const void *header,
				  uint32 header_len, bool sync)
{
	char		tmp[MAXPGPATH];
	int			err;
	int			fd;

	snprintf(tmp, sizeof(tmp), "%s" TMP_MARK "%d", path, MyProcPid);
	/* A leftover of a crashed process that had the same id. */
	unlink(tmp);
	fd = BasicOpenFile(tmp, O_RDWR | O_CREAT | O_EXCL | PG_BINARY);
	if (fd < 0)
		return errno;
	err = fill_segment(fd, size, header, header_len, sync);
	close(fd);
	if (err == 0 && link(tmp, path) != 0 && errno != EEXIST)
		err = errno;
	unlink(tmp);
	RQ_FAULT("segment-named");
	if (err == 0 && sync)
	{
		char		parent[MAXPGPATH];

		strlcpy(parent, path, sizeof(parent));
		get_parent_directory(parent);
		rq_fsync_path(parent, true);
	}
	return err;
}

/*
 * With write() and not through a mapping, so that a lack of space or a bad disk
 * is an errno and no SIGBUS.  Mappings of other processes show the zeros, since
 * both go through the page cache.
 */
int
rq_zero_tail(const char *path, uint64 from, uint64 size)
{
	int			err;
	int			fd = BasicOpenFile(path, O_RDWR | PG_BINARY);

	if (fd < 0)
		return errno;
	err = write_zeros(fd, from, size);

	/* Others have dirtied pages of the file, too: see rq_fsync_path(). */
	if (err == 0 && (RQ_FAULT_FAILS("zero-fsync") || rq_fsync_fd(fd) != 0))
	{
		err = errno;
		ereport(data_sync_elevel(LOG),
				(errcode_for_file_access(),
				 errmsg("could not fsync file \"%s\": %m", path)));
	}
	close(fd);
	return err;
}

int
rq_fsync_fd(int fd)
{
	int			rc;

	rq_wait_start(RQ_WAIT_FILE_SYNC);
	rc = pg_fsync(fd);
	rq_wait_end();
	return rc;
}

static void
count_fsync(instr_time start)
{
	instr_time	took;

	INSTR_TIME_SET_CURRENT(took);
	INSTR_TIME_SUBTRACT(took, start);
	rq_fsyncs.files++;
	rq_fsyncs.longest_us = Max(rq_fsyncs.longest_us,
							   INSTR_TIME_GET_MICROSEC(took));
}

/*
 * By path, since a segment is mapped without keeping a descriptor.  Any
 * descriptor of the file will do: the kernel writes its dirty pages, whichever
 * process has dirtied them, and through which mapping.
 *
 * A failure is a PANIC as in PostgreSQL, unless data_sync_retry is on: the
 * kernel may have dropped the dirty pages, and another fsync would succeed
 * without them.
 */
bool
rq_fsync_path(const char *path, bool isdir)
{
	instr_time	start;
	int			fd = BasicOpenFile(path, (isdir ? O_RDONLY : O_RDWR) | PG_BINARY);

	/* It may have been made read-only after it was mapped. */
	if (fd < 0 && !isdir && (errno == EACCES || errno == EROFS))
		fd = BasicOpenFile(path, O_RDONLY | PG_BINARY);
	if (fd < 0)
	{
		if (errno == ENOENT)
			return false;
		ereport(data_sync_elevel(ERROR),
				(errcode_for_file_access(),
				 errmsg("could not open file \"%s\": %m", path)));
		return false;
	}
	INSTR_TIME_SET_CURRENT(start);
	if (rq_fsync_fd(fd) != 0 && !(isdir && (errno == EBADF || errno == EINVAL)))
	{
		int			save_errno = errno;

		close(fd);
		errno = save_errno;
		ereport(data_sync_elevel(ERROR),
				(errcode_for_file_access(),
				 errmsg("could not fsync file \"%s\": %m", path)));
	}
	if (!isdir)
		count_fsync(start);
	close(fd);
	return true;
}

/*
 * Only begins to write back, so that the fsync that comes later finds little
 * to do.  If even that fails, pg_flush_data() makes it a PANIC as for an fsync,
 * since the kernel may report an error only once.
 */
void
rq_flush_path(const char *path, uint64 from, uint64 to)
{
	int			fd = BasicOpenFile(path, O_RDWR | PG_BINARY);

	if (fd < 0)
		return;
	pg_flush_data(fd, from, to - from);
	close(fd);
}

void
rq_punch_hole(int fd, uint64 from, uint64 len)
{
#if defined(FALLOC_FL_PUNCH_HOLE) && defined(FALLOC_FL_KEEP_SIZE)
	rq_wait_start(RQ_WAIT_FILE_REMOVE);
	(void) fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, from, len);
	rq_wait_end();
#endif
}

/*
 * Punch the hole first: processes may keep the file mapped for long, and with
 * it its space, although it has no name any more.  Never truncate it instead,
 * see above.
 */
bool
rq_remove_segment(const char *path)
{
	int			fd = BasicOpenFile(path, O_RDWR | PG_BINARY);

	if (fd >= 0)
	{
		struct stat st;

		/* If it does nothing, the space is free once nobody maps it. */
		if (fstat(fd, &st) == 0 && st.st_size > 0)
			rq_punch_hole(fd, 0, st.st_size);
		close(fd);
	}
	if (unlink(path) == 0 || errno == ENOENT)
		return true;
	ereport(LOG,
			(errcode_for_file_access(),
			 errmsg("could not remove file \"%s\": %m", path)));
	return false;
}

/* The next name, or NULL: at the end with errno 0, else reported. */
static struct dirent *
next_name(DIR *dir, const char *path)
{
	struct dirent *de;
	int			err;

	errno = 0;
	de = readdir(dir);
	if (de != NULL && !RQ_FAULT_FAILS("dir-read"))
		return de;
	err = errno;
	if (err != 0)
		ereport(LOG,
				(errcode_for_file_access(),
				 errmsg("could not read directory \"%s\": %m", path)));
	errno = err;
	return NULL;
}

bool
rq_visit_dir(const char *path, RqDirVisit visit, void *arg)
{
	DIR		   *dir = AllocateDir(path);
	struct dirent *de;
	bool		whole;

	if (dir == NULL && errno == ENOENT)
		return true;
	if (dir == NULL)
	{
		ereport(LOG,
				(errcode_for_file_access(),
				 errmsg("could not open directory \"%s\": %m", path)));
		return false;
	}
	while ((de = next_name(dir, path)) != NULL)
		if (strcmp(de->d_name, ".") != 0 && strcmp(de->d_name, "..") != 0)
			visit(path, de->d_name, arg);
	whole = errno == 0;
	FreeDir(dir);
	return whole;
}

/* Nobody else may be making one: redo has not begun, or the gate is closed. */
void
rq_remove_temporaries(const char *path)
{
	DIR		   *dir = AllocateDir(path);
	struct dirent *de;

	while ((de = ReadDirExtended(dir, path, LOG)) != NULL)
	{
		char		file[MAXPGPATH * 2];

		if (strstr(de->d_name, TMP_MARK) == NULL)
			continue;
		snprintf(file, sizeof(file), "%s/%s", path, de->d_name);
		unlink(file);
	}
	FreeDir(dir);
}

/*
 * A file whose existence says something to later starts of the server, and its
 * text to whoever finds it.  It must not be seen before it is durable, so it is
 * written under a temporary name; a leftover of that is overwritten.
 */
void
rq_make_note(const char *path, const char *note)
{
	char		tmp[MAXPGPATH];
	ssize_t		len = strlen(note);
	int			fd;

	if (access(path, F_OK) == 0)
		return;
	snprintf(tmp, sizeof(tmp), "%s.tmp", path);
	fd = BasicOpenFile(tmp, O_RDWR | O_CREAT | O_TRUNC | PG_BINARY);
	if (fd < 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not create file \"%s\": %m", tmp)));
	errno = 0;
	if (write(fd, note, len) != len)
	{
		int			save_errno = errno ? errno : ENOSPC;

		close(fd);
		errno = save_errno;
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not write file \"%s\": %m", tmp)));
	}
	close(fd);
	/* Syncs the file first, and the directory afterwards. */
	durable_rename(tmp, path, ERROR);
}
