/*
 * rq_idle.c
 *	  Wait for messages of a group without taking any.
 *
 * Is there anything for a group to consume, asked by a session that must not
 * keep anybody from dropping the topic or from vacuuming while it waits?
 *
 * Such a waiter holds neither the topic nor a snapshot.  So it checks under the
 * meta lock, and the topic and the group can be gone at any time.  Others need
 * that lock: it is released after each queue.
 *
 * A wrong "yes" costs a call of consume(); after a wrong "no" the session
 * would sleep though there is a message.  So whatever cannot be decided
 * quickly is a "yes".
 */
#include "postgres.h"

#include "base/rq_fault.h"
#include "consume/rq_idle.h"
#include "consume/rq_mark.h"
#include "consume/rq_offset.h"
#include "consume/rq_wait.h"
#include "consume/rq_whole.h"
#include "queue/rq_entry.h"
#include "queue/rq_resolve.h"
#include "topic/rq_topic.h"
#include "topic/rq_waiters.h"

/*
 * Entries of all queues that are checked; after these, and after
 * RQ_META_HOLD_ENTRIES of one queue, there may be something.
 */
#define LOOK_MAX		65536

/* A check of all queues. */
typedef struct Look
{
	RqWant	   *want;
	uint64		incarnation;
	int			left;			/* of LOOK_MAX */
} Look;

static bool
topic_is_gone(uint32 topic, uint64 incarnation)
{
	RQ_ASSERT_META_LOCK(LW_SHARED);
	return pg_atomic_read_u64(&rq_topics[topic].key) == 0 ||
		rq_topics[topic].incarnation != incarnation;
}

static bool
group_is_dropped(RqGroupRef group)
{
	uint64		xid;

	return rq_groups[group.slot].id != group.id ||
		rq_group_state_locked(group.slot, &xid) == RQ_GROUP_ABSENT;
}

/* Where the group goes on in a queue; if it does not exist, at the start. */
static RqOff
first_unread(RqGroupRef group, RqQueue *q)
{
	RqOff		committed = group.id == 0 ? 0 :
	rq_offset_committed(rq_group_offset(group.slot, q->id));

	return Max(committed, pg_atomic_read_u64(&q->start));
}

/* So it is, too, while it is kept for somebody who waits for it, or for all. */
static bool
is_taken(RqGroupRef group, uint32 queue_id)
{
	RqOffset   *o = rq_offset_find(group.slot, queue_id);

	return rq_group_owner(group, queue_id) >= 0 ||
		rq_whole_is_wanted(group) ||
		(o != NULL && !rq_mark_is_free(o));
}

/*
 * Consuming from a queue that has an owner would give nothing; the owner offers
 * what it leaves.  The caller holds the meta lock shared, which keeps the slots
 * of the queue and the group.
 */
static bool
has_message(Look *look, RqQueue *q, bool *more)
{
	const RqWant *want = look->want;
	RqExtRun	run = {0};
	RqOff		from;
	RqOff		stable;

	RQ_ASSERT_META_LOCK(LW_SHARED);
	if (want->group.id != 0)
		rq_group_used(want->group);
	if (want->group.id != 0 && is_taken(want->group, q->id))
		return false;
	*more = rq_resolve_refresh_some(q);
	from = first_unread(want->group, q);
	stable = pg_atomic_read_u64(&q->stable);

	/*
	 * "stable" before the entries below it: pairs with the write barrier in
	 * resolve_chunk() (queue/rq_resolve.c).
	 */
	pg_read_barrier();
	for (RqOff off = from; off < stable; off++)
	{
		RqEntry		e;

		if (off == from + RQ_META_HOLD_ENTRIES || look->left-- <= 0 ||
			!rq_queue_probe_next(q, off, &run, &e) ||
			((e.len_flags & RQ_ENTRY_ABORTED) == 0 &&
			 rq_filter_entry(want->filter, &e)))
			return true;
	}
	return false;
}

/*
 * Check one queue; "more" says that not all of it could be seen.  What was
 * seen under the last hold of the meta lock may be gone by now, so the topic
 * and the group are checked first.  A group that has been dropped can be
 * created again by the next consumer, from the first message on; so everything
 * is unread then.
 */
static RqIdleEnd
check_queue(Look *look, uint32 queue_id, bool *more)
{
	RqWant	   *want = look->want;
	RqIdleEnd	end = RQ_IDLE_TIMEOUT;

	*more = false;
	rq_meta_lock_again();
	if (topic_is_gone(want->topic, look->incarnation))
		end = RQ_IDLE_TOPIC_GONE;
	else
	{
		if (want->group.id != 0 && group_is_dropped(want->group))
			want->group.id = 0;
		if (queue_id < rq_topic_nqueues(want->topic) &&
			has_message(look, rq_topic_queue(want->topic, queue_id), more))
			end = RQ_IDLE_MESSAGES;
	}
	LWLockRelease(rq_meta_lock);
	RQ_FAULT("idle-looked");
	return end;
}

/*
 * An RqLook.  With no queue at all one look is left, which finds that the topic
 * is gone.
 */
static int
look_at_all(RqWant *want, uint32 unused, void *arg)
{
	Look		look = {.want = want, .incarnation = *(uint64 *) arg,
	.left = LOOK_MAX};
	RqIdleEnd	end = RQ_IDLE_TIMEOUT;

	for (uint32 i = 0; end == RQ_IDLE_TIMEOUT &&
		 i < Max(rq_topic_nqueues(want->topic), 1); i++)
	{
		bool		more = true;

		while (more && end == RQ_IDLE_TIMEOUT)
			end = check_queue(&look, i, &more);
	}
	return end;
}

RqIdleEnd
rq_wait_for_messages(uint32 topic, uint64 incarnation, RqGroupRef group,
					 const RqFilter *filter, int64 timeout_ms)
{
	RqWant		want = {.topic = topic, .group = group,
	.queue_id = RQ_ALL_QUEUES, .filter = filter};

	return (RqIdleEnd) rq_wait(&want, timeout_ms, look_at_all, &incarnation);
}
