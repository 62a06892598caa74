/*
 * rq_retain.c
 *	  Remove segments that nobody needs any more.
 *
 * The oldest segment may go when
 *		1. all its frames are older than rocketq.retention_time,
 *		2. no running transaction has a frame in it, and
 *		3. no entry points into it that is unresolved, enqueued within the
 *		   retention time, or not yet consumed by a group of its topic.
 *
 * Positions do not rise with offsets in a queue: a long transaction enqueues
 * old frames late.  So rule 3 is checked for every entry that could matter,
 * and a queue's start only moves over entries that all point below the cut.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "access/xloginsert.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/timestamp.h"

#include "base/rq_compat.h"
#include "base/rq_fault.h"
#include "base/rq_guc.h"
#include "format/rq_segfmt.h"
#include "log/rq_log.h"
#include "queue/rq_cqueue.h"
#include "queue/rq_group.h"
#include "queue/rq_retain.h"
#include "queue/rq_topic.h"
#include "shmem/rq_stats.h"

/* Is every frame below "cut" older than that? */
static bool
frames_are_older(RqPos cut, TimestampTz than)
{
	RqPos		pos = cut;
	RqPos		next;
	RqFrame		frame;
	const char *problem;

	/* Frames are stored in order, give or take the width of an append. */
	return rq_log_walk(&pos, rq_log_safe_end(), &frame, &next, &problem) &&
		problem == NULL && frame.stored_at < than;
}

static bool
running_transaction_needs(RqPos cut)
{
	for (int i = 0; i < rq_max_backends(); i++)
		if (pg_atomic_read_u64(&rq_backends[i].xact_pos) < cut)
			return true;
	return false;
}

/*
 * The first offset of a queue that somebody may still want.  Not above what
 * the state file may say is resolved.
 */
static RqOff
first_wanted(uint32 topic, RqQueue *q, TimestampTz than)
{
	RqOff		wanted = rq_queue_offset_at(topic, q, than);

	wanted = Min(wanted, q->logged_stable);
	for (uint32 g = rq_topics[topic].first_group; g != RQ_NO_SLOT;
		 g = rq_groups[g].next)
		wanted = Min(wanted, rq_offset_committed(rq_group_offset(g, q->id)));
	return wanted;
}

/*
 * Can the queue do without what lies below "cut"?  Then "s" gets where it
 * begins afterwards.
 */
static bool
queue_lets_go(uint32 topic, RqQueue *q, RqPos cut, TimestampTz than,
			  xl_rq_queue_start *s)
{
	RqOff		wanted = first_wanted(topic, q, than);
	RqOff		end = pg_atomic_read_u64(&q->end);
	RqEntry		e;

	pg_read_barrier();
	for (RqOff off = wanted; off < end; off++)
		if (rq_queue_entry(topic, q, off, &e) && e.pos < cut &&
			(e.len_flags & RQ_CQ_ABORTED) == 0)
			return false;
	s->start = pg_atomic_read_u64(&q->start);
	s->bytes_start = q->bytes_start;
	for (; s->start < wanted && rq_queue_entry(topic, q, s->start, &e) &&
		 e.pos < cut; s->start++)
		s->bytes_start += RQ_CQ_FRAME_LEN(&e);
	return true;
}

/*
 * Ask the i-th queue of a topic.  The meta lock is held for one queue at a
 * time: a look at all entries can take long.
 */
static bool
ask_queue(uint32 topic, uint32 i, RqPos cut, TimestampTz than,
		  StringInfo starts, uint32 *count)
{
	xl_rq_queue_start s = {.key = rq_topic_key(topic), .queue_id = i};
	bool		go = true;

	LWLockAcquire(rq_meta_lock, LW_SHARED);
	if (i < rq_topic_nslots(topic))
	{
		RqQueue    *q = rq_topic_queue(topic, i);
		RqOff		start = pg_atomic_read_u64(&q->start);

		if (start != pg_atomic_read_u64(&q->end))
			go = queue_lets_go(topic, q, cut, than, &s);
		if (go && s.start > start)
		{
			appendBinaryStringInfo(starts, (char *) &s, sizeof(s));
			(*count)++;
		}
	}
	LWLockRelease(rq_meta_lock);
	return go;
}

/* Ask every queue; the ones that move go to "starts". */
static bool
queues_let_go(RqPos cut, TimestampTz than, StringInfo starts, uint32 *count)
{
	for (int t = 0; t < rq_max_topics; t++)
		for (uint32 i = 0; i < rq_topic_nslots(t); i++)
		{
			CHECK_FOR_INTERRUPTS();
			if (!ask_queue(t, i, cut, than, starts, count))
				return false;
		}
	return true;
}

/* The queue a start is about, NULL if it has gone. */
static RqQueue *
queue_of(const xl_rq_queue_start *s, XLogRecPtr lsn)
{
	uint32		topic;

	return rq_queue_for_redo(s->key, s->queue_id, lsn, &topic);
}

/*
 * Raise the log's start and the queues'; the meta lock is held exclusively, or
 * this is redo.  "starts" get where the queues began before.
 */
static RqPos
trim_apply(RqPos log_start, xl_rq_queue_start *starts, uint32 count,
		   XLogRecPtr lsn)
{
	for (uint32 i = 0; i < count; i++)
	{
		RqQueue    *q = queue_of(&starts[i], lsn);

		starts[i].start = q ? rq_queue_trim_apply(q, starts[i].start,
												  starts[i].bytes_start) :
			PG_UINT64_MAX;
	}
	return rq_log_trim_apply(log_start);
}

/* Remove files; the record that says so is safe. */
static void
remove_trimmed(RqPos old_start, const xl_rq_queue_start *starts, uint32 count,
			   XLogRecPtr lsn)
{
	rq_log_remove_trimmed(old_start);
	LWLockAcquire(rq_meta_lock, LW_SHARED);
	for (uint32 i = 0; i < count; i++)
	{
		RqQueue    *q = queue_of(&starts[i], lsn);

		if (q != NULL)
			rq_queue_remove_trimmed(starts[i].key, q, starts[i].start);
	}
	LWLockRelease(rq_meta_lock);
}

static void
trim(xl_rq_trim *rec, xl_rq_queue_start *starts)
{
	RqPos		old_start;
	XLogRecPtr	lsn;

	rq_gate_enter();
	LWLockAcquire(rq_meta_lock, LW_EXCLUSIVE);
	START_CRIT_SECTION();
	XLogBeginInsert();
	rq_xlog_register(rec, SizeOfRqTrim);
	if (rec->count > 0)
		rq_xlog_register(starts, rec->count * sizeof(*starts));
	lsn = rq_xlog_insert(XLOG_RQ_TRIM);
	old_start = trim_apply(rec->log_start, starts, rec->count, lsn);
	END_CRIT_SECTION();
	LWLockRelease(rq_meta_lock);
	rq_gate_leave();

	XLogFlush(lsn);
	RQ_FAULT("trim-wal");
	remove_trimmed(old_start, starts, rec->count, lsn);
	RQ_FAULT("trim-removed");
	ereport(LOG,
			(errmsg("rocketq trimmed the commit log to position " UINT64_FORMAT,
					rec->log_start)));
}

/* Trim the log's oldest segment if it may go. */
static bool
trim_one(TimestampTz than)
{
	RqPos		log_start = pg_atomic_read_u64(&rq_ctl->log_start);
	RqPos		cut = rq_log_segment_start(rq_log_segno(log_start) + 1);
	xl_rq_trim	rec = {.log_start = cut};
	StringInfoData starts;

	if (cut >= rq_log_safe_end() || !frames_are_older(cut, than) ||
		running_transaction_needs(cut))
		return false;

	initStringInfo(&starts);
	if (!queues_let_go(cut, than, &starts, &rec.count))
		return false;
	trim(&rec, (xl_rq_queue_start *) starts.data);
	return true;
}

int
rq_retain_round(void)
{
	TimestampTz than;
	int			count = 0;

	if (rq_retention_time_s < 0)
		return 0;
	than = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
									   -1000 * (int64) rq_retention_time_s);
	while (trim_one(than))
		count++;
	return count;
}

void
rq_retain_redo_trim(const xl_rq_trim *rec, const xl_rq_queue_start *starts,
					XLogRecPtr lsn)
{
	Size		size = rec->count * sizeof(*starts);
	xl_rq_queue_start *copy = palloc(Max(size, 1));
	RqPos		old_start;

	/* The rest of a segment can be too short for a frame and not logged. */
	if (rq_log_segno(rec->log_start) >
		rq_log_segno(pg_atomic_read_u64(&rq_ctl->log_end)) + 1)
		elog(PANIC, "TRIM record goes past the end of the commit log");
	memcpy(copy, starts, size);
	LWLockAcquire(rq_meta_lock, LW_EXCLUSIVE);
	old_start = trim_apply(rec->log_start, copy, rec->count, lsn);
	LWLockRelease(rq_meta_lock);

	/* Recovery must not be able to end before this record from here on. */
	XLogFlush(lsn);
	remove_trimmed(old_start, copy, rec->count, lsn);
}
