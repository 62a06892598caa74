/*
 * rq_consumed.c
 *	  Has every group consumed what a queue holds?  Asked before the queue is
 *	  removed.
 */
#include "postgres.h"

#include "consume/rq_consumed.h"
#include "consume/rq_offset.h"
#include "queue/rq_queue.h"
#include "queue/rq_resolve.h"
#include "topic/rq_group.h"
#include "topic/rq_topic.h"

/*
 * Not part of the check, which is made under the meta lock: resolving can take
 * long.
 */
void
rq_consumed_prepare(uint32 topic, uint32 nqueues)
{
	for (uint32 i = nqueues; i < rq_topic_nqueues(topic); i++)
		rq_resolve_refresh(rq_topic_queue(topic, i));
}

/*
 * The first offset of a queue that some group has not consumed; without groups,
 * the queue's first.
 */
static RqOff
first_unconsumed(RqQueue *q)
{
	RqOff		first = PG_UINT64_MAX;
	uint64		xid;

	RQ_ASSERT_META_LOCK(LW_SHARED);
	for (uint32 g = rq_queue_topic(q)->first_group; g != RQ_NO_SLOT;
		 g = rq_groups[g].next)
		if (rq_group_state_locked(g, &xid) != RQ_GROUP_ABSENT)
			first = Min(first, rq_offset_committed(rq_group_offset(g, q->id)));
	if (first == PG_UINT64_MAX)
		return pg_atomic_read_u64(&q->start);
	return Max(first, pg_atomic_read_u64(&q->start));
}

void
rq_consumed_check(RqQueue *q)
{
	RqOff		end = pg_atomic_read_u64(&q->end);
	RqEntry		e;

	RQ_ASSERT_META_LOCK(LW_SHARED);
	for (RqOff off = first_unconsumed(q); off < end; off++)
		if (rq_queue_entry(q, off, &e) &&
			(e.len_flags & RQ_CQ_ABORTED) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_IN_USE),
					 errmsg("queue %u contains messages that have not been consumed",
							q->id),
					 errdetail("The first of these has offset " UINT64_FORMAT ".", off),
					 errhint("Let every consumer group consume them, or move the groups with rocketq.reset_offset().")));
}
