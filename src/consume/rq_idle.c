/*
 * rq_idle.c
 *	  Wait for messages of a group without taking any.
 *
 * Those who wait so hold neither the topic nor a snapshot.  So each look goes
 * by the meta lock, and the topic and the group can be gone at any time.  Others
 * need that lock: it is given up after each queue.
 */
#include "postgres.h"

#include "base/rq_fault.h"
#include "consume/rq_idle.h"
#include "consume/rq_offset.h"
#include "consume/rq_wait.h"
#include "queue/rq_queue.h"
#include "queue/rq_resolve.h"
#include "topic/rq_topic.h"
#include "topic/rq_waiters.h"

/*
 * Entries of a queue, and of all queues, that are looked at; behind them there
 * may be something.
 */
#define QUEUE_LOOK_MAX	1024
#define LOOK_MAX		(64 * QUEUE_LOOK_MAX)

/* A look at all queues. */
typedef struct Look
{
	RqWant	   *want;
	uint64		incarnation;
	int			left;			/* of LOOK_MAX */
} Look;

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
has_message(Look *look, RqQueue *q, bool *more)
{
	const RqWant *want = look->want;
	RqOff		from;
	RqOff		stable;

	if (want->group.id != 0)
		rq_group_used(want->group);
	if (want->group.id != 0 && rq_group_owner(want->group, q->id) >= 0)
		return false;
	*more = rq_resolve_refresh_some(want->topic, q);
	from = first_unread(want->group, q);
	stable = pg_atomic_read_u64(&q->stable);
	pg_read_barrier();
	for (RqOff off = from; off < stable; off++)
	{
		RqEntry		e;

		if (off == from + QUEUE_LOOK_MAX || look->left-- <= 0 ||
			!rq_queue_probe(want->topic, q, off, &e) ||
			((e.len_flags & RQ_CQ_ABORTED) == 0 &&
			 rq_filter_entry(want->filter, &e)))
			return true;
	}
	return false;
}

/* Look at one queue; "more" says that not all of it could be seen. */
static RqIdleEnd
look_at(Look *look, uint32 queue_id, bool *more)
{
	RqWant	   *want = look->want;
	RqIdleEnd	end = RQ_IDLE_TIMEOUT;

	*more = false;
	rq_meta_lock_again();
	if (is_gone(want->topic, look->incarnation))
		end = RQ_IDLE_TOPIC_GONE;
	else
	{
		if (want->group.id != 0 && is_dropped(want->group))
			want->group.id = 0;
		if (queue_id < rq_topic_nqueues(want->topic) &&
			has_message(look, rq_topic_queue(want->topic, queue_id), more))
			end = RQ_IDLE_MESSAGES;
	}
	LWLockRelease(rq_meta_lock);
	RQ_FAULT("idle-looked");
	return end;
}

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
			end = look_at(&look, i, &more);
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
