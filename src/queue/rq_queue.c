/*
 * rq_queue.c
 *	  Consume queues: their bounds.
 *
 * How entries get into queues is in rq_enqueue.c, how they are read in
 * rq_entry.c, and how they come to count in rq_resolve.c.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "queue/rq_queue.h"
#include "topic/rq_topic.h"

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
 * The caller has logged the trim (retain/rq_trim.c), or is its redo; it gives
 * back extents only after this.  The queue's lock is taken so that
 * rq_queue_counts() and the copy for the state file find "start" and
 * "bytes_start" of one moment, and because whoever resolves the queue goes on
 * from "stable".
 */
void
rq_queue_trim_apply(RqQueue *q, RqOff start, uint64 bytes_start)
{
	RQ_ASSERT_META_LOCK(LW_EXCLUSIVE);
	LWLockAcquire(&q->lock, LW_EXCLUSIVE);
	start = Min(start, pg_atomic_read_u64(&q->end));
	if (start > pg_atomic_read_u64(&q->start))
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
