/*
 * rq_area.c
 *	  Area files: the chunks that extents of queues lie in.
 *
 * Given a file that everybody maps and that grows, when is a chunk of it there?
 * When it has a header, which is written last, after all else is zero and on
 * disk.  A chunk without a sound header is raw: it holds nothing, whatever is
 * in it, and is filled with zeros before it gets a header (again).
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/fd.h"

#include "base/rq_error.h"
#include "base/rq_fault.h"
#include "format/rq_segfmt.h"
#include "store/rq_area.h"
#include "store/rq_durable.h"

/* Where a chunk begins in its area file. */
static uint64
chunk_start(uint32 chunk)
{
	return (uint64) (chunk % RQ_AREA_CHUNKS) * RQ_CHUNK_SIZE;
}

char *
rq_area_chunk(uint32 chunk, RqMapMode mode)
{
	uint64		start = chunk_start(chunk);
	char	   *base = rq_map_area(chunk / RQ_AREA_CHUNKS,
								   start + RQ_CHUNK_SIZE, mode);

	if (base == NULL && !rq_map_probes(mode))
	{
		char		path[MAXPGPATH];

		rq_area_path(path, chunk / RQ_AREA_CHUNKS);
		rq_report_corruption(psprintf("file \"%s\"", path), "it is missing");
	}
	return base == NULL ? NULL : base + start;
}

/* ---- fill and raze ---- */

static int
write_at(int fd, const void *bytes, uint64 len, uint64 at)
{
	ssize_t		n;

	do
		n = pg_pwrite(fd, bytes, len, at);
	while (n < 0 && errno == EINTR);
	if (n == (ssize_t) len)
		return 0;
	return n < 0 ? errno : ENOSPC;
}

/*
 * The file has pages of other queues, which relied on nothing yet.  The kernel
 * reports their loss once, whatever the error, so it must not go unheard: PANIC,
 * unless data_sync_retry is on.
 */
static int
sync_fd(int fd, const char *path)
{
	int			err;

	if (!RQ_FAULT_FAILS("area-fsync") && pg_fsync(fd) == 0)
		return 0;
	err = errno;
	ereport(data_sync_elevel(LOG),
			(errcode_for_file_access(),
			 errmsg("could not fsync file \"%s\": %m", path)));
	return err;
}

/*
 * The fsync in between keeps the kernel from writing the header back before the
 * zeros: what the chunk was before would come back as extents.
 */
static int
fill_chunk(int fd, const char *path, uint32 chunk, int class, uint64 store)
{
	uint64		start = chunk_start(chunk);
	RqChunkHeader h = {.chunk = chunk, .class = class, .store = store};
	int			err;

	rq_chunk_seal(&h);
	err = rq_fill_zeros(fd, start, start + RQ_CHUNK_SIZE);
	if (err == 0)
		err = sync_fd(fd, path);
	RQ_FAULT("chunk-filled");
	if (err == 0)
		err = write_at(fd, &h, sizeof(h), start);
	if (err == 0)
		err = sync_fd(fd, path);
	return err;
}

/*
 * The name of a file is synced before its first chunk gets a header: the state
 * that will name extents in it syncs files that are there, no names.  Not only
 * by whoever creates the file, who may not have come that far.
 */
int
rq_area_fill(uint32 chunk, int class, uint64 store)
{
	char		path[MAXPGPATH];
	int			err;
	int			fd;

	Assert(chunk < RQ_CHUNKS_MAX && class < RQ_EXT_CLASSES);
	rq_area_path(path, chunk / RQ_AREA_CHUNKS);
	fd = BasicOpenFile(path, O_RDWR | O_CREAT | PG_BINARY);
	if (fd < 0)
		return errno;
	if (lseek(fd, 0, SEEK_END) == 0)
		rq_fsync_path(RQ_QUEUE_DIR, true);
	err = fill_chunk(fd, path, chunk, class, store);
	close(fd);
	return err;
}

/*
 * The header goes first, so that a hole that is only half there after a power
 * failure is in a raw chunk, or in one with a header and no extent of anybody's.
 */
int
rq_area_raze(uint32 chunk)
{
	static const RqChunkHeader zeros;
	uint64		start = chunk_start(chunk);
	char		path[MAXPGPATH];
	int			err;
	int			fd;

	rq_area_path(path, chunk / RQ_AREA_CHUNKS);
	fd = BasicOpenFile(path, O_RDWR | PG_BINARY);
	if (fd < 0)
		return errno;
	err = write_at(fd, &zeros, sizeof(zeros), start);
#if defined(FALLOC_FL_PUNCH_HOLE) && defined(FALLOC_FL_KEEP_SIZE)
	/* Best effort: without it the chunk is raw all the same. */
	if (err == 0)
		(void) fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
						 start, RQ_CHUNK_SIZE);
#endif
	RQ_FAULT("chunk-punched");
	close(fd);
	return err;
}

/* ---- sync ---- */

/*
 * A mark that is seen set stands for an fsync that includes the store: the
 * barrier orders the store before the look, and the exchange in rq_area_sync(),
 * which is one too, orders its clearing before the fsync.
 */
void
rq_area_mark(RqAreaMarks *marks, uint32 chunk)
{
	pg_atomic_uint32 *dirty = &marks->dirty[chunk / RQ_AREA_CHUNKS];

	pg_memory_barrier();
	if (pg_atomic_read_u32(dirty) == 0)
		pg_atomic_write_u32(dirty, 1);
}

/* False if nothing has been stored since it was synced last. */
static bool
sync_area(pg_atomic_uint32 *dirty, uint32 area)
{
	char		path[MAXPGPATH];

	if (pg_atomic_read_u32(dirty) == 0 ||
		pg_atomic_exchange_u32(dirty, 0) == 0)
		return false;
	rq_area_path(path, area);
	PG_TRY();
	{
		if (!rq_fsync_path(path, false))
			rq_report_corruption(psprintf("file \"%s\"", path), "it is missing");
	}
	PG_CATCH();
	{
		pg_atomic_write_u32(dirty, 1);
		PG_RE_THROW();
	}
	PG_END_TRY();
	RQ_FAULT_OF("area-fsynced", area);
	return true;
}

uint32
rq_area_sync(RqAreaMarks *marks)
{
	uint32		synced = 0;

	for (uint32 i = 0; i < RQ_AREAS_MAX; i++)
		synced += sync_area(&marks->dirty[i], i);
	return synced;
}

/* ---- before anybody maps ---- */

static void
report_unread(const char *path)
{
	ereport(FATAL,
			(errcode_for_file_access(),
			 errmsg("could not read or write file \"%s\": %m", path)));
}

/* A short read is of a chunk that is not complete, so its rest is zeros. */
static void
read_at(int fd, const char *path, void *bytes, uint64 len, uint64 at)
{
	ssize_t		n;

	do
		n = pg_pread(fd, bytes, len, at);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		report_unread(path);
	memset((char *) bytes + n, 0, len - n);
}

/*
 * Whoever needs an entry of a chunk whose header is not sound finds out that it
 * is missing.  What is wrong with which file is reported here.
 */
static int
class_of_chunk(const RqChunkHeader *h, uint32 chunk, uint64 store,
			   const char *path)
{
	const char *problem;

	if (rq_chunk_is_raw(h))
		return RQ_AREA_RAW;
	problem = rq_chunk_problem(h, chunk, store);
	if (problem == NULL)
		return h->class;
	ereport(LOG,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("chunk %u of rocketq file \"%s\" cannot be used: %s",
					chunk % RQ_AREA_CHUNKS, path, problem)));
	return rq_chunk_problem(h, h->chunk, h->store) == NULL ? RQ_AREA_FOREIGN : RQ_AREA_DAMAGED;
}

/* "table" has room for the header table of any class. */
static void
visit_chunk(int fd, const char *path, uint32 chunk, uint64 store,
			RqExtentHeader *table, RqChunkVisit visit, void *arg)
{
	uint64		start = chunk_start(chunk);
	int			class;
	uint64		len;
	int			err;

	read_at(fd, path, table, sizeof(RqChunkHeader), start);
	class = class_of_chunk((RqChunkHeader *) table, chunk, store, path);
	if (class < 0)
	{
		visit(chunk, class, NULL, 0, arg);
		return;
	}
	len = (uint64) rq_ext_places[class] * sizeof(RqExtentHeader);
	start += sizeof(RqChunkHeader);
	read_at(fd, path, table, len, start);
	if (!visit(chunk, class, table, rq_ext_places[class], arg))
		return;
	err = write_at(fd, table, len, start);
	if (err != 0)
	{
		errno = err;
		report_unread(path);
	}
}

void
rq_area_visit(uint64 store, RqChunkVisit visit, void *arg)
{
	RqExtentHeader *table = palloc(rq_ext_places[0] * sizeof(RqExtentHeader));

	for (uint32 area = 0; area < RQ_AREAS_MAX; area++)
	{
		char		path[MAXPGPATH];
		struct stat st;
		uint32		n;
		int			fd;

		rq_area_path(path, area);
		fd = BasicOpenFile(path, O_RDWR | PG_BINARY);
		if (fd < 0 && errno == ENOENT)
			continue;
		if (fd < 0 || fstat(fd, &st) != 0)
			report_unread(path);
		/* What is short of a whole chunk was never filled. */
		n = Min(st.st_size / RQ_CHUNK_SIZE, RQ_AREA_CHUNKS);
		for (uint32 i = 0; i < n; i++)
			visit_chunk(fd, path, area * RQ_AREA_CHUNKS + i, store, table, visit,
						arg);
		close(fd);
	}
	pfree(table);
}

/* Opens the file that a chunk is in, or FATAL. */
static int
open_area(uint32 chunk, char *path)
{
	int			fd;

	rq_area_path(path, chunk / RQ_AREA_CHUNKS);
	fd = BasicOpenFile(path, O_RDWR | PG_BINARY);
	if (fd < 0)
		report_unread(path);
	return fd;
}

void
rq_area_read_entries(uint32 chunk, int class, uint32 place,
					 RqEntry *entries, uint32 n)
{
	char		path[MAXPGPATH];
	int			fd = open_area(chunk, path);

	Assert(n <= rq_ext_entries[class]);
	read_at(fd, path, entries, n * sizeof(RqEntry),
			chunk_start(chunk) + rq_ext_offset(class, place));
	close(fd);
}

void
rq_area_write_entries(uint32 chunk, int class, uint32 place,
					  const RqEntry *entries, uint32 n)
{
	char		path[MAXPGPATH];
	int			fd = open_area(chunk, path);
	int			err;

	Assert(n <= rq_ext_entries[class]);
	err = write_at(fd, entries, n * sizeof(RqEntry),
				   chunk_start(chunk) + rq_ext_offset(class, place));
	if (err == 0)
		err = sync_fd(fd, path);
	close(fd);
	if (err != 0)
	{
		errno = err;
		report_unread(path);
	}
}

/* How many chunks there are up to the last one that is not raw. */
static uint32
chunks_in_use(int fd, const char *path, uint32 area, uint64 size)
{
	uint32		n = Min(size / RQ_CHUNK_SIZE, RQ_AREA_CHUNKS);

	for (; n > 0; n--)
	{
		RqChunkHeader h;
		uint32		chunk = area * RQ_AREA_CHUNKS + n - 1;

		read_at(fd, path, &h, sizeof(h), chunk_start(chunk));
		if (!rq_chunk_is_raw(&h))
			break;
	}
	return n;
}

/*
 * A chunk whose header is damaged is not raw here, nor is what is left of one that
 * is cut short: somebody may want to look at it.
 */
void
rq_area_cut(void)
{
	for (uint32 area = 0; area < RQ_AREAS_MAX; area++)
	{
		char		path[MAXPGPATH];
		struct stat st;
		uint32		n;
		int			fd;
		int			failed = 0;

		rq_area_path(path, area);
		fd = BasicOpenFile(path, O_RDWR | PG_BINARY);
		if (fd < 0 && errno == ENOENT)
			continue;
		if (fd < 0 || fstat(fd, &st) != 0)
			report_unread(path);
		n = chunks_in_use(fd, path, area, st.st_size);
		if (n == 0 && st.st_size % RQ_CHUNK_SIZE == 0)
			failed = unlink(path);
		else if (st.st_size % RQ_CHUNK_SIZE == 0 &&
				 st.st_size > (off_t) n * RQ_CHUNK_SIZE)
			failed = ftruncate(fd, (off_t) n * RQ_CHUNK_SIZE);
		if (failed != 0)
			ereport(LOG,
					(errcode_for_file_access(),
					 errmsg("could not truncate or remove file \"%s\": %m", path)));
		close(fd);
	}
}
