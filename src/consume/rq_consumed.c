/*
 * rq_consumed.c
 *	  Has every group consumed what a queue holds?  Asked before the queue is
 *	  removed.
 *
 * A queue can end with any number of entries that were rolled back, which
 * nobody has to consume.  They are read without a lock, and what was found is
 * remembered: that all of a stretch of the queue was rolled back.  Under the
 * lock under which the queue goes, it need only be checked that whatever has
 * not been consumed lies in that stretch.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "base/rq_compat.h"
#include "base/rq_fault.h"
#include "consume/rq_consumed.h"
#include "consume/rq_offset.h"
#include "queue/rq_entry.h"
#include "queue/rq_resolve.h"
#include "topic/rq_group.h"
#include "topic/rq_topic.h"

/* Entries between two checks for interrupts. */
#define LOOK_STEP	1024

/* A queue has no message in [from, to). */
typedef struct Stretch
{
	RqOff		from;
	RqOff		to;
} Stretch;

/* What was found; "from" is what these groups have not consumed. */
typedef struct Looked
{
	uint32		ngroups;
	Stretch		queues[FLEXIBLE_ARRAY_MEMBER];
} Looked;

static uint32
count_present(uint32 topic)
{
	uint32		n = 0;
	uint64		xid;

	RQ_ASSERT_META_LOCK(LW_SHARED);
	for (uint32 g = rq_topics[topic].first_group; g != RQ_NO_SLOT;
		 g = rq_groups[g].next)
		if (rq_group_state_locked(g, &xid) != RQ_GROUP_ABSENT)
			n++;
	return n;
}

/*
 * The first offset of a queue that some group has not consumed, and which
 * group that is; without groups, the queue's first, and RQ_NO_SLOT.
 */
static RqOff
first_unconsumed(RqQueue *q, uint32 *group)
{
	RqOff		start = pg_atomic_read_u64(&q->start);
	RqOff		first = PG_UINT64_MAX;
	uint64		xid;

	RQ_ASSERT_META_LOCK(LW_SHARED);
	*group = RQ_NO_SLOT;
	for (uint32 g = rq_queue_topic(q)->first_group; g != RQ_NO_SLOT;
		 g = rq_groups[g].next)
	{
		RqOff		off;

		if (rq_group_state_locked(g, &xid) == RQ_GROUP_ABSENT)
			continue;
		off = rq_offset_committed(rq_group_offset(g, q->id));
		if (*group != RQ_NO_SLOT && off >= first)
			continue;
		*group = g;
		first = off;
	}
	return *group == RQ_NO_SLOT ? start : Max(first, start);
}

/* "group" is the name of the one furthest behind, empty if there is none. */
RQ_NORETURN static void
report_unconsumed(uint32 queue_id, RqOff off, const char *group)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_IN_USE),
			 errmsg("queue %u contains messages that have not been consumed",
					queue_id),
			 group[0] != '\0' ?
			 errdetail("Consumer group \"%s\" has not consumed the message at offset " UINT64_FORMAT ".",
					   group, off) :
			 errdetail("The first of these has offset " UINT64_FORMAT ", and the topic has no consumer group.",
					   off),
			 group[0] != '\0' ?
			 errhint("Let every consumer group consume them, or move the groups with rocketq.reset_offset().") :
			 errhint("Let a consumer group consume them; one that is created to start from 'last' passes over them.")));
}

/*
 * The lock on the topic's relation keeps the queue while its entries are read
 * without the meta lock.  Only retention can take some of them meanwhile.
 */
static Stretch
look_at(RqQueue *q)
{
	char		name[RQ_GROUP_NAME_MAX + 1] = "";
	RqExtRun	run = {0};
	Stretch		s;
	uint32		group;
	RqEntry		e;

	rq_resolve_refresh(q);
	rq_meta_lock_again();
	s.from = first_unconsumed(q, &group);
	if (group != RQ_NO_SLOT)
		strlcpy(name, rq_groups[group].name, sizeof(name));
	LWLockRelease(rq_meta_lock);

	/*
	 * "end" before the entries below it: pairs with the write barrier in
	 * rq_queue_enqueue().
	 */
	s.to = pg_atomic_read_u64(&q->end);
	pg_read_barrier();
	for (RqOff off = s.from; off < s.to; off++)
	{
		if (off % LOOK_STEP == 0)
			CHECK_FOR_INTERRUPTS();
		RQ_FAULT("consumed-look");
		if (rq_queue_next_entry(q, off, &run, &e) &&
			(e.len_flags & RQ_ENTRY_ABORTED) == 0)
			report_unconsumed(q->id, off, name);
	}
	return s;
}

/*
 * Returns a Looked.  Groups are counted first: one that goes while the queues
 * are looked at is missed in still_holds().
 */
static void *
look(uint32 topic, uint32 nqueues)
{
	uint32		now = rq_topic_nqueues(topic);
	Looked	   *found = palloc(offsetof(Looked, queues) +
							   Max(now, 1) * sizeof(Stretch));

	rq_meta_lock_again();
	found->ngroups = count_present(topic);
	LWLockRelease(rq_meta_lock);
	for (uint32 i = nqueues; i < now; i++)
		found->queues[i - nqueues] = look_at(rq_topic_queue(topic, i));
	return found;
}

/*
 * The caller's lock on the relation lets nobody make a group or move one back.
 * But one can be dropped or expire, and if it was the last one, all that a
 * queue holds counts.  So as long as there are as many groups, they are the
 * same, and have consumed at least what they had: they need not be asked again
 * for each queue, with everybody waiting for the meta lock.
 */
static bool
still_holds(uint32 topic, uint32 nqueues, const void *looked)
{
	const Looked *found = looked;

	RQ_ASSERT_META_LOCK(LW_EXCLUSIVE);
	if (count_present(topic) != found->ngroups)
		return false;
	for (uint32 i = nqueues; i < rq_topic_nqueues(topic); i++)
		if (pg_atomic_read_u64(&rq_topic_queue(topic, i)->end) >
			found->queues[i - nqueues].to)
			return false;
	return true;
}

const RqRemovalCheck rq_consumed_check = {
	.look = look,
	.still_holds = still_holds
};
