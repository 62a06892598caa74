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

/* The first offset of a queue that somebody may still want. */
static RqOff
first_wanted(uint32 topic, RqQueue *q, TimestampTz than)
{
	RqOff		wanted = rq_queue_offset_at(topic, q, than);

	wanted = Min(wanted, pg_atomic_read_u64(&q->stable));
	for (uint32 g = rq_topics[topic].first_group; g != RQ_NO_SLOT;
		 g = rq_groups[g].next)
		wanted = Min(wanted, rq_offset_committed(rq_group_offset(g, q->id)));
	return wanted;
}

/*
 * Can the queue do without what lies below "cut"?  Then "start" gets where it
 * begins afterwards.
 */
static bool
queue_lets_go(uint32 topic, RqQueue *q, RqPos cut, TimestampTz than,
			  RqOff *start)
{
	RqOff		wanted = first_wanted(topic, q, than);
	RqOff		end = pg_atomic_read_u64(&q->end);
	RqEntry		e;

	pg_read_barrier();
	for (RqOff off = wanted; off < end; off++)
		if (rq_queue_entry(topic, q, off, &e) && e.pos < cut &&
			(e.len_flags & RQ_CQ_ABORTED) == 0)
			return false;
	*start = pg_atomic_read_u64(&q->start);
	while (*start < wanted && rq_queue_entry(topic, q, *start, &e) &&
		   e.pos < cut)
		(*start)++;
	return true;
}

/* Ask every queue; the ones that move go to "starts". */
static bool
queues_let_go(RqPos cut, TimestampTz than, StringInfo starts, uint32 *count)
{
	*count = 0;
	for (int t = 0; t < rq_max_topics; t++)
	{
		RqKey		key = rq_topic_key(t);

		for (uint32 i = 0; key.rel != 0 && i < rq_topic_nqueues(t); i++)
		{
			RqQueue    *q = rq_topic_queue(t, i);
			xl_rq_queue_start s = {.key = key, .queue_id = i};

			if (pg_atomic_read_u64(&q->end) == pg_atomic_read_u64(&q->start))
				continue;
			if (!queue_lets_go(t, q, cut, than, &s.start))
				return false;
			if (s.start == pg_atomic_read_u64(&q->start))
				continue;
			appendBinaryStringInfo(starts, (char *) &s, sizeof(s));
			(*count)++;
		}
	}
	return true;
}

static void
trim_apply(RqPos log_start, const xl_rq_queue_start *starts, uint32 count,
		   XLogRecPtr lsn)
{
	rq_log_trim_apply(log_start);
	for (uint32 i = 0; i < count; i++)
	{
		uint32		topic = rq_topic_for_redo(starts[i].key, lsn);

		if (topic != RQ_NO_SLOT && starts[i].queue_id < rq_topic_nqueues(topic))
			rq_queue_trim_apply(starts[i].key,
								rq_topic_queue(topic, starts[i].queue_id),
								starts[i].start);
	}
}

/* Trim the log's oldest segment if it may go. */
static bool
trim_one(TimestampTz than)
{
	RqPos		log_start = pg_atomic_read_u64(&rq_ctl->log_start);
	RqPos		cut = rq_log_segment_start(rq_log_segno(log_start) + 1);
	xl_rq_trim	rec = {.log_start = cut};
	StringInfoData starts;
	bool		go;

	if (cut >= rq_log_safe_end() || !frames_are_older(cut, than) ||
		running_transaction_needs(cut))
		return false;

	initStringInfo(&starts);
	rq_gate_enter();
	LWLockAcquire(rq_meta_lock, LW_SHARED);
	go = queues_let_go(cut, than, &starts, &rec.count);
	if (go)
	{
		XLogRecPtr	lsn;

		XLogBeginInsert();
		rq_xlog_register(&rec, SizeOfRqTrim);
		if (rec.count > 0)
			rq_xlog_register(starts.data, starts.len);
		lsn = XLogInsert(RQ_RMGR_ID, XLOG_RQ_TRIM);
		XLogFlush(lsn);
		RQ_FAULT("trim-wal");
		trim_apply(cut, (xl_rq_queue_start *) starts.data, rec.count, lsn);
		ereport(LOG,
				(errmsg("rocketq trimmed the commit log to position " UINT64_FORMAT,
						cut)));
	}
	LWLockRelease(rq_meta_lock);
	rq_gate_leave();
	pfree(starts.data);
	return go;
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
	LWLockAcquire(rq_meta_lock, LW_SHARED);
	trim_apply(rec->log_start, starts, rec->count, lsn);
	LWLockRelease(rq_meta_lock);
}
