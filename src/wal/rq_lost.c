/*
 * rq_lost.c
 *	  Go on without files that are lost (rocketq.ignore_missing_files).
 *
 * Which of the missing files must exist for the server to work at all?  The
 * segments that the log and the queues end in are written to, and entries that
 * are not resolved are read; so these are made again, and others are not.
 * What was in them is lost: a segment of the log becomes filler up to the
 * log's end, and entries become aborted ones that point nowhere, which readers
 * pass by and verify() reports.
 *
 * None of that is WAL-logged: a standby has files of its own, and after a
 * crash redo brings back what is still in WAL.
 *
 * The gate is closed and nobody else changes the store, so it does no harm
 * that the meta lock is held while files are made.
 */
#include "postgres.h"

#include <unistd.h>

#include "utils/timestamp.h"

#include "base/rq_guc.h"
#include "format/rq_queuefmt.h"
#include "format/rq_framefmt.h"
#include "format/rq_segfmt.h"
#include "log/rq_log.h"
#include "queue/rq_entry.h"
#include "shmem/rq_shmem.h"
#include "store/rq_durable.h"
#include "store/rq_map.h"
#include "topic/rq_topic.h"
#include "wal/rq_lost.h"

static bool
is_missing(const char *path)
{
	return access(path, F_OK) != 0 && errno == ENOENT;
}

/*
 * Synced at once, name included: later syncs cover what has been logged since,
 * which this is not.
 */
static void
make_file(const char *path, uint64 size, const void *begin, uint32 len)
{
	int			err = rq_create_segment(path, size, begin, len, true);

	if (err != 0)
	{
		errno = err;
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not create file \"%s\": %m", path)));
	}
	ereport(LOG,
			(errmsg("rocketq recreated missing file \"%s\"", path)));
}

/*
 * Filler from the segment's first frame to the log's end, where the next
 * append goes on.  If the log ends at a segment boundary, the allocator makes
 * the next segment.  The file gets its name with the filler in it, so a crash
 * leaves all of that or nothing.
 */
static void
make_end_of_log(void)
{
	RqPos		end = pg_atomic_read_u64(&rq_log->end);
	uint64		segno = rq_log_segno(end);
	RqPos		start = rq_log_segment_start(segno) + RQ_SEG_HEADER_SIZE;
	char		begin[RQ_SEG_HEADER_SIZE + RQ_FRAME_HEADER_SIZE];
	RqSegHeader header;
	char		path[MAXPGPATH];

	rq_log_path(path, segno);
	if (start >= end || !is_missing(path))
		return;
	rq_seg_header_init(&header, rq_log->segment_mb, rq_log_segment_start(segno));
	memcpy(begin, &header, sizeof(header));
	rq_frame_filler(begin + RQ_SEG_HEADER_SIZE, start, end - start,
					GetCurrentTimestamp());
	make_file(path, rq_log->segment_size, begin, sizeof(begin));
}

/*
 * Flag as aborted the entries [from, to) of a segment that redo has not
 * written either.  They get the time of the entry before, since a search by
 * time relies on times that never fall (rq_queue_offset_at()).
 */
static void
flag_lost(RqQueue *q, RqOff from, RqOff to)
{
	RqKey		key = rq_queue_key(q);
	uint64		segno = rq_queue_segno(from);
	int64		time = 0;
	uint32		n = 0;
	RqEntry    *entries;
	RqEntry		before;
	char		path[MAXPGPATH];

	if (from > pg_atomic_read_u64(&q->start) &&
		rq_queue_probe(q, from - 1, &before))
		time = before.enqueued_at;
	entries = (RqEntry *) rq_map_queue(key, rq_queue_topic(q)->incarnation, q->id,
									   segno, RQ_MAP_WRITE, true);
	for (RqOff off = from; entries != NULL && off < to; off++)
	{
		RqEntry    *e = &entries[rq_queue_in_segment(off)];

		if (e->pos == 0 && (e->len_flags & RQ_ENTRY_ABORTED) == 0)
		{
			e->enqueued_at = time;
			e->len_flags = RQ_ENTRY_ABORTED;
			n++;
		}
		time = e->enqueued_at;
	}
	if (n == 0)
		return;
	rq_queue_path(path, key, q->id, segno);
	rq_fsync_path(path, false);
	ereport(LOG,
			(errmsg("rocketq lost %u messages with file \"%s\"", n, path)));
}

/* Redo may have made the file already, with as much as WAL still has. */
static void
make_lost_segment(RqQueue *q, uint64 segno)
{
	RqOff		from = Max(rq_queue_segment_start(segno), pg_atomic_read_u64(&q->start));
	RqOff		to = Min(rq_queue_segment_start(segno + 1), pg_atomic_read_u64(&q->end));
	char		path[MAXPGPATH];

	rq_queue_path(path, rq_queue_key(q), q->id, segno);
	if (is_missing(path))
		make_file(path, rq_queue_segment_size(segno), NULL, 0);
	if (from < to)
		flag_lost(q, from, to);
}

/*
 * From the first entry that is not resolved: the segment that the queue ends
 * in, and those before it that readers and the keeper have to go through to
 * resolve the rest.
 */
static void
make_end_of_queue(RqQueue *q)
{
	RqOff		end = pg_atomic_read_u64(&q->end);
	RqOff		from = Min(pg_atomic_read_u64(&q->stable), end - 1);
	char		dir[MAXPGPATH];

	/*
	 * A queue that keeps no entry needs no segment if it ends at a boundary:
	 * enqueueing makes the next one.  Else the segment it ends in must exist,
	 * even if all of it has been trimmed.
	 */
	if (end == 0 ||
		(pg_atomic_read_u64(&q->start) >= end && rq_queue_in_segment(end) == 0))
		return;
	rq_topic_dir_path(dir, rq_queue_key(q));
	if (rq_make_dir(dir))
		rq_fsync_path(RQ_QUEUE_DIR, true);
	for (uint64 s = rq_queue_segno(from); s <= rq_queue_segno(end - 1); s++)
		make_lost_segment(q, s);
}

/* Repeatable: what an earlier, failed call has made is not missing any more. */
void
rq_files_make_lost(void)
{
	LWLockAcquire(rq_meta_lock, LW_SHARED);
	make_end_of_log();
	for (uint32 t = 0; t < rq_topics_begun(); t++)
		for (uint32 i = 0; i < rq_topic_nslots(t); i++)
			make_end_of_queue(rq_topic_queue(t, i));
	LWLockRelease(rq_meta_lock);
}
