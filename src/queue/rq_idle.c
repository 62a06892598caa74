/*
 * rq_idle.c
 *	  Wait for messages of a group without taking any.
 *
 * Those who wait so hold neither the topic nor a snapshot.  So each look goes
 * by the meta lock, and the topic and the group can be gone at any time.
 */
#include "postgres.h"

#include "queue/rq_consume.h"
#include "queue/rq_cqueue.h"
#include "queue/rq_owner.h"
#include "queue/rq_topic.h"
#include "queue/rq_wait.h"

/* Entries of a queue that are looked at; behind them there may be something. */
#define LOOK_MAX	1024

static bool
is_gone(uint32 topic, uint64 incarnation)
{
	return pg_atomic_read_u64(&rq_topics[topic].key) == 0 ||
		rq_topics[topic].incarnation != incarnation;
}

static bool
is_dropped(RqGroupRef group)
{
	uint64		xid;

	return rq_groups[group.slot].id != group.id ||
		rq_group_state_locked(group.slot, &xid) == RQ_GROUP_ABSENT;
}

/* Where the group goes on in a queue, a group that does not exist at its start. */
static RqOff
first_unread(RqGroupRef group, RqQueue *q)
{
	RqOff		committed = group.id == 0 ? 0 :
	rq_offset_committed(rq_group_offset(group.slot, q->id));

	return Max(committed, pg_atomic_read_u64(&q->start));
}

/* Consuming from an owned queue would give nothing. */
static bool
has_message(const RqWant *want, uint32 queue_id)
{
	RqQueue    *q = rq_topic_queue(want->topic, queue_id);
	RqOff		from;
	RqOff		stable;

	if (want->group.id != 0)
		rq_group_used(want->group.slot);
	if (want->group.id != 0 && rq_owner_of(want->group, queue_id) >= 0)
		return false;
	rq_queue_refresh(want->topic, q);
	from = first_unread(want->group, q);
	stable = pg_atomic_read_u64(&q->stable);
	pg_read_barrier();
	for (RqOff off = from; off < stable; off++)
	{
		RqEntry		e;

		if (off == from + LOOK_MAX ||
			!rq_queue_probe(want->topic, q, off, &e) ||
			((e.len_flags & RQ_CQ_ABORTED) == 0 &&
			 rq_filter_entry(want->filter, &e)))
			return true;
	}
	return false;
}

static int
look(RqWant *want, uint32 unused, void *arg)
{
	const uint64 incarnation = *(uint64 *) arg;
	RqIdleEnd	end = RQ_IDLE_TIMEOUT;

	LWLockAcquire(rq_meta_lock, LW_SHARED);
	if (is_gone(want->topic, incarnation))
		end = RQ_IDLE_TOPIC_GONE;
	else if (want->group.id != 0 && is_dropped(want->group))
		want->group.id = 0;
	for (uint32 i = 0; end == RQ_IDLE_TIMEOUT &&
		 i < rq_topic_nqueues(want->topic); i++)
		if (has_message(want, i))
			end = RQ_IDLE_MESSAGES;
	LWLockRelease(rq_meta_lock);
	return end;
}

RqIdleEnd
rq_wait_for_messages(uint32 topic, uint64 incarnation, RqGroupRef group,
					 const RqFilter *filter, int64 timeout_ms)
{
	RqWant		want = {.topic = topic, .group = group,
	.queue_id = RQ_ALL_QUEUES, .filter = filter};

	return (RqIdleEnd) rq_wait(&want, timeout_ms, look, &incarnation);
}
