/*
 * rq_wake.c
 *	  Who waits for messages of a topic, and whom news wakes.
 *
 * A waiter first joins its topic's list, then checks the queues, then sleeps
 * (rq_wait.c).  A waker first publishes what has come, or gives a queue up, and
 * then checks the list.  A full barrier on both sides ensures that at least one
 * of them sees the other.  Without waiters that check is all it costs.
 *
 * A queue is one consumer's at a time, so new messages of a queue wake one
 * waiter of each group: one whose tags match, if the queue has an owner only
 * that one.  The waiter is "picked" until it begins to look; until then further
 * news of the queue wake nobody else.  Waiters without a group (pull) are all
 * woken: each gets the message.
 *
 * Everything here is in shared memory.  Nothing is known of entries, or of how
 * far a group has come: whoever wakes has found out that there is something.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "lib/qunique.h"

#include "base/rq_compat.h"
#include "base/rq_guc.h"
#include "topic/rq_waiters.h"
#include "topic/rq_wake.h"

/* Groups, by filter, that one look at the list tells apart. */
#define SERVED_MAX		32

/* Groups for which somebody has been woken. */
typedef struct Served
{
	uint32		n;
	struct
	{
		uint32		group_id;
		uint32		tags;		/* hash of the filter's tags */
	}			who[SERVED_MAX];
} Served;

/* ---- list ---- */

void
rq_wake_join(uint32 topic)
{
	RqTopic    *t = &rq_topics[topic];
	uint32		me = RQ_MY_PROC_NUMBER;
	RqWaiter   *w = &rq_waiters[me];

	Assert(LWLockHeldByMeInMode(rq_wait_lock(topic), LW_EXCLUSIVE));
	w->next = RQ_NO_SLOT;
	w->prev = t->last_waiter;
	if (w->prev == RQ_NO_SLOT)
		t->first_waiter = me;
	else
		rq_waiters[w->prev].next = me;
	t->last_waiter = me;

	/* A full barrier: pairs with the one in rq_wake_is_awaited(). */
	pg_atomic_fetch_add_u32(&t->nwaiters, 1);
	pg_atomic_fetch_add_u32(&rq_ctl->nwaiters, 1);
}

void
rq_wake_leave(uint32 topic)
{
	RqTopic    *t = &rq_topics[topic];
	RqWaiter   *w = &rq_waiters[RQ_MY_PROC_NUMBER];

	Assert(LWLockHeldByMeInMode(rq_wait_lock(topic), LW_EXCLUSIVE));
	if (w->prev == RQ_NO_SLOT)
		t->first_waiter = w->next;
	else
		rq_waiters[w->prev].next = w->next;
	if (w->next == RQ_NO_SLOT)
		t->last_waiter = w->prev;
	else
		rq_waiters[w->next].prev = w->prev;
	pg_atomic_fetch_sub_u32(&t->nwaiters, 1);
	pg_atomic_fetch_sub_u32(&rq_ctl->nwaiters, 1);
}

bool
rq_wake_is_awaited(uint32 topic)
{
	/*
	 * What the caller has published comes before the look at the list: pairs
	 * with rq_wake_join(), after which a waiter looks at the queues.
	 */
	pg_memory_barrier();
	return pg_atomic_read_u32(&rq_topics[topic].nwaiters) > 0;
}

static int
compare_groups(const void *a, const void *b)
{
	uint32		one = ((const RqGroupRef *) a)->id;
	uint32		other = ((const RqGroupRef *) b)->id;

	return (one > other) - (one < other);
}

int
rq_wake_groups(uint32 topic, RqGroupRef *groups)
{
	int			n = 0;

	LWLockAcquire(rq_wait_lock(topic), LW_SHARED);
	for (uint32 i = rq_topics[topic].first_waiter; i != RQ_NO_SLOT;
		 i = rq_waiters[i].next)
		if (rq_waiters[i].group_id != 0)
			groups[n++] = (RqGroupRef)
		{
			.slot = rq_waiters[i].group_slot, .id = rq_waiters[i].group_id
		};
	LWLockRelease(rq_wait_lock(topic));
	qsort(groups, n, sizeof(RqGroupRef), compare_groups);
	return (int) qunique(groups, n, sizeof(RqGroupRef), compare_groups);
}

/* ---- choosing ---- */

static bool
wants(const RqWaiter *w, uint32 queue_id, const RqNews *news)
{
	if (w->queue_id != RQ_ALL_QUEUES &&
		(w->queue_id != queue_id || w->from >= news->to))
		return false;
	if (w->ntags == 0 || news->any)
		return true;
	for (uint32 i = 0; i < news->ntags; i++)
		for (uint32 k = 0; k < w->ntags; k++)
			if (news->tags[i] == w->tags[k])
				return true;
	return false;
}

static uint32
hash_tags(const RqWaiter *w)
{
	return hash_bytes((const unsigned char *) w->tags,
					  (int) (w->ntags * sizeof(w->tags[0])));
}

static bool
is_served(const Served *s, const RqWaiter *w)
{
	uint32		tags = hash_tags(w);

	for (uint32 i = 0; i < s->n; i++)
		if (s->who[i].group_id == w->group_id && s->who[i].tags == tags)
			return true;
	return false;
}

/* If the table is full somebody is woken for nothing. */
static void
add_served(Served *s, const RqWaiter *w)
{
	if (s->n == SERVED_MAX)
		return;
	s->who[s->n].group_id = w->group_id;
	s->who[s->n].tags = hash_tags(w);
	s->n++;
}

/* Groups that have somebody on the way to the queue. */
static void
find_served(const RqTopic *t, uint32 queue_id, Served *served)
{
	served->n = 0;
	for (uint32 i = t->first_waiter; i != RQ_NO_SLOT; i = rq_waiters[i].next)
		if (rq_waiters[i].group_id != 0 && rq_wake_is_picked(&rq_waiters[i]) &&
			rq_waiters[i].picked_queue == queue_id)
			add_served(served, &rq_waiters[i]);
}

/* Could this waiter of a group have the queue, as far as others own it? */
static bool
can_take(uint32 i, uint32 queue_id)
{
	RqGroupRef	group = {.slot = rq_waiters[i].group_slot,
	.id = rq_waiters[i].group_id};
	int			owner = rq_group_owner(group, queue_id);

	return owner < 0 || owner == (int) i;
}

/* ---- waking ---- */

static void
pick(RqWaiter *w, uint32 queue_id)
{
	w->picked_queue = queue_id;
	pg_atomic_write_u32(&w->picked, 1);
	ConditionVariableSignal(&w->cv);
}

/* Wake who is to get the news: of one group ("group_id") or of all (0). */
static void
wake(uint32 topic, uint32 queue_id, const RqNews *news, uint32 group_id,
	 RqWakeMode mode)
{
	RqTopic    *t = &rq_topics[topic];
	Served		served = {0};

	if (!news->any && news->ntags == 0)
		return;
	LWLockAcquire(rq_wait_lock(topic), LW_EXCLUSIVE);
	if (mode == RQ_WAKE_NEXT)
		find_served(t, queue_id, &served);
	for (uint32 i = t->first_waiter; i != RQ_NO_SLOT; i = rq_waiters[i].next)
	{
		RqWaiter   *w = &rq_waiters[i];

		if (rq_wake_is_picked(w) || (group_id != 0 && w->group_id != group_id))
			continue;
		if (w->group_id != 0 &&
			(is_served(&served, w) || !can_take(i, queue_id)))
			continue;
		if (!wants(w, queue_id, news))
			continue;
		pick(w, queue_id);
		if (w->group_id != 0)
			add_served(&served, w);
	}
	LWLockRelease(rq_wait_lock(topic));
}

void
rq_wake_news(uint32 topic, uint32 queue_id, const RqNews *news)
{
	if (unlikely(rq_wake_is_awaited(topic)))
		wake(topic, queue_id, news, 0, RQ_WAKE_NEXT);
}

void
rq_wake_group(uint32 topic, uint32 group_id, uint32 queue_id,
			  const RqNews *news, RqWakeMode mode)
{
	Assert(group_id != 0);
	if (unlikely(rq_wake_is_awaited(topic)))
		wake(topic, queue_id, news, group_id, mode);
}

/* Wake all of a topic, or of one of its groups. */
static void
wake_all(uint32 topic, uint32 group_id)
{
	if (likely(!rq_wake_is_awaited(topic)))
		return;
	LWLockAcquire(rq_wait_lock(topic), LW_EXCLUSIVE);
	for (uint32 i = rq_topics[topic].first_waiter; i != RQ_NO_SLOT;
		 i = rq_waiters[i].next)
		if (group_id == 0 || rq_waiters[i].group_id == group_id)
			pick(&rq_waiters[i], RQ_ALL_QUEUES);
	LWLockRelease(rq_wait_lock(topic));
}

void
rq_wake_whole_group(uint32 topic, uint32 group_id)
{
	Assert(group_id != 0);
	wake_all(topic, group_id);
}

void
rq_wake_topic(uint32 topic)
{
	wake_all(topic, 0);
}

/* Wake those who wait for a queue that has entries which may be readable now. */
static void
wake_unresolved(uint32 topic)
{
	LWLockAcquire(rq_wait_lock(topic), LW_EXCLUSIVE);
	for (uint32 i = rq_topics[topic].first_waiter; i != RQ_NO_SLOT;
		 i = rq_waiters[i].next)
	{
		uint32		slot = rq_slots_find(rq_queue_pool, &rq_topics[topic].queues,
										 rq_waiters[i].queue_id);

		if (slot != RQ_NO_SLOT &&
			pg_atomic_read_u64(&rq_queues[slot].stable) <
			pg_atomic_read_u64(&rq_queues[slot].end))
			pick(&rq_waiters[i], rq_waiters[i].queue_id);
	}
	LWLockRelease(rq_wait_lock(topic));
}

void
rq_wake_replayed(void)
{
	/*
	 * The outcome in pg_xact comes before the look at the lists: pairs with
	 * rq_wake_join().
	 */
	pg_memory_barrier();
	if (likely(pg_atomic_read_u32(&rq_ctl->nwaiters) == 0))
		return;
	for (int t = 0; t < rq_max_topics; t++)
		if (pg_atomic_read_u32(&rq_topics[t].nwaiters) > 0)
			wake_unresolved(t);
}
