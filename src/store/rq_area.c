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
#include "base/rq_guc.h"
#include "format/rq_segfmt.h"
#include "store/rq_area.h"
#include "store/rq_durable.h"

/* What is read at once when the rest of a chunk's headers can't be. */
#define PAGE		4096

/* So many the headers of a chunk have at most. */
#define HEAD_PAGES	128

StaticAssertDecl(PAGE == RQ_RAW_BYTES, "what is read of a chunk first tells whether it is raw");

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

bool
rq_area_is_mapped(uint32 chunk, RqMapMode mode)
{
	return rq_map_has_area(chunk / RQ_AREA_CHUNKS, mode);
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

	if (!RQ_FAULT_FAILS("area-fsync") && rq_fsync_fd(fd) == 0)
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
	static const char zeros[RQ_RAW_BYTES];
	uint64		start = chunk_start(chunk);
	char		path[MAXPGPATH];
	int			err;
	int			fd;

	rq_area_path(path, chunk / RQ_AREA_CHUNKS);
	fd = BasicOpenFile(path, O_RDWR | PG_BINARY);
	if (fd < 0)
		return errno;
	err = write_at(fd, &zeros, sizeof(zeros), start);
	/* If it does nothing, the chunk is raw all the same. */
	if (err == 0)
		rq_punch_hole(fd, start, RQ_CHUNK_SIZE);
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

void
rq_area_flush(RqAreaMarks *marks)
{
	for (uint32 i = 0; i < RQ_AREAS_MAX; i++)
	{
		char		path[MAXPGPATH];

		if (pg_atomic_read_u32(&marks->dirty[i]) == 0)
			continue;
		rq_area_path(path, i);
		rq_flush_path(path, 0, RQ_AREA_SIZE);
	}
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
report_failed(const char *path)
{
	ereport(FATAL,
			(errcode_for_file_access(),
			 errmsg("could not open or write file \"%s\": %m", path)));
}

/* Can a test read all of these bytes? */
static bool
is_readable(uint32 area, uint64 at, uint64 len)
{
#ifdef RQ_TESTING
	for (uint64 page = at / PAGE; page < (at + len + PAGE - 1) / PAGE; page++)
		if (RQ_FAULT_FAILS_OF("area-read", area * (RQ_AREA_SIZE / PAGE) + page))
			return false;
#endif
	return true;
}

/*
 * False, with errno, if that fails.  A short read is of a chunk that is not
 * complete, so its rest is zeros.
 */
static bool
read_at(int fd, uint32 area, void *bytes, uint64 len, uint64 at)
{
	ssize_t		n;

	if (!is_readable(area, at, len))
		return false;
	do
		n = pg_pread(fd, bytes, len, at);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return false;
	memset((char *) bytes + n, 0, len - n);
	return true;
}

/*
 * One sector that is lost must not keep all that is not from being used.  What
 * was in it counts as lost only if the user says so: it can be another error.
 */
static void
report_unread(const char *path, uint64 at)
{
	ereport(rq_ignore_missing_files ? LOG : FATAL,
			(errcode_for_file_access(),
			 errmsg("could not read rocketq file \"%s\" at offset " UINT64_FORMAT ": %m",
					path, at),
			 rq_ignore_missing_files ? 0 :
			 errhint("Put back a copy of the file, or restore the data directory from a backup.  "
					 "With rocketq.ignore_missing_files = on, the server starts, but messages that need this part of the file are lost.")));
}

/*
 * Whoever needs an entry of a chunk whose header is not sound finds out that it
 * is missing.  What is wrong with which file is reported here.
 */
static int
class_of_chunk(const char *bytes, uint32 chunk, uint64 store, const char *path)
{
	static const RqChunkHeader zeros;
	const RqChunkHeader *h = (const RqChunkHeader *) bytes;
	const char *problem;

	if (rq_chunk_is_raw(bytes))
		return RQ_AREA_RAW;
	problem = rq_chunk_problem(h, chunk, store);
	if (problem == NULL)
		return h->class;
	ereport(LOG,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("chunk %u of rocketq file \"%s\" cannot be used: %s",
					chunk % RQ_AREA_CHUNKS, path, problem)));
	if (memcmp(h, &zeros, sizeof(zeros)) == 0)
		return RQ_AREA_BEHEADED;
	return rq_chunk_problem(h, h->chunk, h->store) == NULL ? RQ_AREA_FOREIGN : RQ_AREA_DAMAGED;
}

/* The headers of a chunk, as they are on disk. */
typedef struct Head
{
	int			fd;
	const char *path;
	uint32		chunk;
	char	   *bytes;			/* has room for those of any class */
	uint32		npages;
	bool		whole;
	bool		unread[HEAD_PAGES];
} Head;

/* Its first page is there already.  After an error, page by page. */
static void
read_head(Head *head, int class)
{
	uint32		area = head->chunk / RQ_AREA_CHUNKS;
	uint64		start = chunk_start(head->chunk);

	head->npages = rq_ext_offset(class, 1) / PAGE;
	head->whole = true;
	Assert(head->npages <= HEAD_PAGES);
	if (head->npages == 1 ||
		read_at(head->fd, area, head->bytes + PAGE, (head->npages - 1) * PAGE, start + PAGE))
		return;
	head->unread[0] = false;
	for (uint32 i = 1; i < head->npages; i++)
	{
		char	   *page = head->bytes + i * PAGE;

		head->unread[i] = !read_at(head->fd, area, page, PAGE, start + i * PAGE);
		if (!head->unread[i])
			continue;
		report_unread(head->path, start + i * PAGE);
		head->whole = false;
		memset(page, 0xFF, PAGE);
	}
}

/* What could not be read stays as it is: it may be readable another time. */
static int
write_head(const Head *head)
{
	uint64		start = chunk_start(head->chunk);
	int			err = 0;

	if (head->whole)
		return write_at(head->fd, head->bytes, head->npages * PAGE, start);
	for (uint32 i = 0; i < head->npages && err == 0; i++)
		if (!head->unread[i])
			err = write_at(head->fd, head->bytes + i * PAGE, PAGE, start + i * PAGE);
	return err;
}

static void
visit_chunk(Head *head, uint64 store, RqChunkVisit visit, void *arg)
{
	uint64		start = chunk_start(head->chunk);
	int			class = RQ_AREA_DAMAGED;

	if (read_at(head->fd, head->chunk / RQ_AREA_CHUNKS, head->bytes, PAGE, start))
		class = class_of_chunk(head->bytes, head->chunk, store, head->path);
	else
		report_unread(head->path, start);
	if (class < 0)
	{
		visit(head->chunk, class, NULL, 0, true, arg);
		return;
	}
	read_head(head, class);
	if (!visit(head->chunk, class, rq_area_header(head->bytes, 1),
			   rq_ext_places[class], head->whole, arg))
		return;
	errno = write_head(head);
	if (errno != 0)
		report_failed(head->path);
}

void
rq_area_visit(uint64 store, RqChunkVisit visit, void *arg)
{
	Head		head = {.bytes = palloc(HEAD_PAGES * PAGE)};

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
			report_failed(path);
		head.fd = fd;
		head.path = path;
		/* What is short of a whole chunk was never filled. */
		n = Min(st.st_size / RQ_CHUNK_SIZE, RQ_AREA_CHUNKS);
		for (uint32 i = 0; i < n; i++)
		{
			head.chunk = area * RQ_AREA_CHUNKS + i;
			visit_chunk(&head, store, visit, arg);
		}
		close(fd);
	}
	pfree(head.bytes);
}

/* Opens the file that a chunk is in, or FATAL. */
static int
open_area(uint32 chunk, char *path)
{
	int			fd;

	rq_area_path(path, chunk / RQ_AREA_CHUNKS);
	fd = BasicOpenFile(path, O_RDWR | PG_BINARY);
	if (fd < 0)
		report_failed(path);
	return fd;
}

bool
rq_area_read_entries(uint32 chunk, int class, uint32 place,
					 RqEntry *entries, uint32 n)
{
	uint64		at = chunk_start(chunk) + rq_ext_offset(class, place);
	char		path[MAXPGPATH];
	int			fd = open_area(chunk, path);
	bool		done;

	Assert(n <= rq_ext_entries[class]);
	done = read_at(fd, chunk / RQ_AREA_CHUNKS, entries, n * sizeof(RqEntry), at);
	if (!done)
		report_unread(path, at);
	close(fd);
	return done;
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
		report_failed(path);
	}
}

/* How many chunks there are up to the last one that is not raw, or can't be read. */
static uint32
chunks_in_use(int fd, uint32 area, uint64 size)
{
	uint32		n = Min(size / RQ_CHUNK_SIZE, RQ_AREA_CHUNKS);

	for (; n > 0; n--)
	{
		char		bytes[RQ_RAW_BYTES];
		uint32		chunk = area * RQ_AREA_CHUNKS + n - 1;

		if (!read_at(fd, area, bytes, sizeof(bytes), chunk_start(chunk)) ||
			!rq_chunk_is_raw(bytes))
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
			report_failed(path);
		n = chunks_in_use(fd, area, st.st_size);
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
