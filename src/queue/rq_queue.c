/*
 * rq_queue.c
 *	  Consume queues: their files and ends.
 *
 * How entries get into the files is in rq_enqueue.c, how they are read in
 * rq_entry.c, and how they come to count in rq_resolve.c.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "base/rq_error.h"
#include "format/rq_segfmt.h"
#include "queue/rq_queue_private.h"
#include "shmem/rq_stats.h"
#include "store/rq_durable.h"
#include "store/rq_map.h"
#include "topic/rq_topic.h"

/* ---- files ---- */

static void
report_no_file(const char *what, const char *path, int err)
{
	errno = err;
	ereport(ERROR,
			(errcode_for_file_access(),
			 errmsg("could not create %s \"%s\": %m", what, path),
			 err == ENOSPC ?
			 errhint("Free some space in \"%s\".", RQ_QUEUE_DIR) : 0));
}

void
rq_queue_report_missing(RqKey key, uint32 queue_id, uint64 segno)
{
	char		path[MAXPGPATH];

	rq_queue_path(path, key, queue_id, segno);
	rq_report_corruption(psprintf("queue %u of topic %u/%u",
								  queue_id, key.db, key.rel),
						 psprintf("file \"%s\" is missing", path));
}

/* Create a segment and, if need be, the topic's directory. */
static void
create_segment(RqKey key, uint32 queue_id, uint64 segno, bool redo)
{
	const char *what = "directory";
	char		path[MAXPGPATH];
	int			err;

	rq_topic_dir_path(path, key);
	err = rq_try_make_dir(path);
	if (err == 0 || err == EEXIST)
	{
		what = "file";
		rq_queue_path(path, key, queue_id, segno);
		err = rq_create_segment(path, rq_queue_segment_size(segno), NULL, 0, false);
	}
	if (err == 0)
		return;
	if (!redo)
		rq_count_refused_file(err);
	report_no_file(what, path, err);
}

/*
 * Is the missing file of a segment one that has been trimmed?  The file before
 * "start": rq_queue_trim_apply() raises "start" before the file is removed.
 */
static bool
is_segment_trimmed(RqQueue *q, uint64 segno)
{
	pg_read_barrier();
	return segno < rq_queue_segno(pg_atomic_read_u64(&q->start));
}

RqEntry *
rq_queue_open_segment(RqQueue *q, uint64 segno, int flags)
{
	bool		repair = (flags & RQ_OPEN_REPAIR) != 0;
	RqKey		key = rq_queue_key(q);
	uint64		incarnation = rq_queue_topic(q)->incarnation;
	char	   *base;

	base = rq_map_queue(key, incarnation, q->id, segno, RQ_MAP_WRITE, repair);
	if (base != NULL)
		return (RqEntry *) base;
	if ((flags & RQ_OPEN_EXISTING) == 0)
	{
		create_segment(key, q->id, segno, repair);
		base = rq_map_queue(key, incarnation, q->id, segno, RQ_MAP_WRITE, repair);
	}
	if (base == NULL && !is_segment_trimmed(q, segno))
		rq_queue_report_missing(key, q->id, segno);
	return (RqEntry *) base;
}

RqEntry *
rq_queue_redo_entry(RqQueue *q, RqOff off)
{
	return rq_queue_open_segment(q, rq_queue_segno(off), RQ_OPEN_REPAIR) +
		rq_queue_in_segment(off);
}

bool
rq_queue_sync(RqKey key, uint32 queue_id, RqOff from, RqOff to)
{
	if (from >= to)
		return false;
	for (uint64 s = rq_queue_segno(from); s <= rq_queue_segno(to - 1); s++)
	{
		char		path[MAXPGPATH];

		rq_queue_path(path, key, queue_id, s);
		rq_fsync_path(path, false);
	}
	return true;
}

void
rq_queue_remove_segment(RqKey key, uint32 queue_id, uint64 segno)
{
	char		path[MAXPGPATH];

	RQ_ASSERT_META_LOCK(LW_SHARED);
	rq_queue_path(path, key, queue_id, segno);
	if (!rq_remove_segment(path))
		rq_leftovers_note();
}

/* ---- ends ---- */

bool
rq_queue_try_lock(RqQueue *q, LWLockMode mode)
{
	for (int tries = 0; !LWLockConditionalAcquire(&q->lock, mode); tries++)
	{
		if (tries == 10)
			return false;
		pg_usleep(1000L);
	}
	return true;
}

RqQueueCounts
rq_queue_counts(RqQueue *q)
{
	RqQueueCounts c;

	c.exact = rq_queue_try_lock(q, LW_SHARED);
	c.start = pg_atomic_read_u64(&q->start);
	c.stable = pg_atomic_read_u64(&q->stable);
	c.end = pg_atomic_read_u64(&q->end);
	c.bytes_start = q->bytes_start;
	c.bytes_end = q->bytes_end;
	if (c.exact)
		LWLockRelease(&q->lock);
	return c;
}

/*
 * The caller has logged the trim (retain/rq_trim.c), or is its redo; it
 * removes files only after this.  The queue's lock is taken so that
 * rq_queue_counts() and the copy for the state file find "start" and
 * "bytes_start" of one moment, and because whoever resolves the queue goes on
 * from "stable".
 */
RqOff
rq_queue_trim_apply(RqQueue *q, RqOff start, uint64 bytes_start)
{
	RqOff		old;

	RQ_ASSERT_META_LOCK(LW_EXCLUSIVE);
	LWLockAcquire(&q->lock, LW_EXCLUSIVE);
	old = pg_atomic_read_u64(&q->start);
	start = Min(start, pg_atomic_read_u64(&q->end));
	if (start > old)
	{
		/* In redo the RESOLVE that says so can be yet to come. */
		if (start > pg_atomic_read_u64(&q->stable))
			pg_atomic_write_u64(&q->stable, start);
		if (start > q->logged_stable)
			q->logged_stable = start;
		q->bytes_start = Min(bytes_start, q->bytes_end);

		/*
		 * "stable" before "start": a process that reads "start" and then,
		 * after a read barrier, "stable", finds start <= stable.
		 */
		pg_write_barrier();
		pg_atomic_write_u64(&q->start, start);
		rq_queue_changed(q);
	}
	LWLockRelease(&q->lock);
	return old;
}

/* ---- redo ---- */

RqQueue *
rq_queue_for_redo(RqKey key, uint32 queue_id, XLogRecPtr lsn)
{
	uint32		topic = rq_topic_for_redo(key, lsn);
	RqQueue    *q;

	if (topic == RQ_NO_SLOT || queue_id >= rq_topic_nslots(topic))
		return NULL;
	q = rq_topic_queue(topic, queue_id);
	/* Before it was made, the number was an earlier queue's. */
	return lsn < q->born ? NULL : q;
}
