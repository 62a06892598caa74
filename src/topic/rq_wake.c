/*
 * rq_wake.c
 *	  Who waits for messages of a topic, and whom news wakes.
 *
 * Given that a queue has messages for somebody, because they have just become
 * readable or because a consumer has given the queue up, which of the
 * processes that wait for its topic must be woken?  To wake too few would let
 * messages lie; to wake them all would have every waiter of a group run for
 * one message.
 *
 * A waiter first joins its topic's list, then checks the queues, then sleeps
 * (rq_wait.c).  A waker first publishes what has come, or gives a queue up,
 * and then checks the list.  A full barrier on both sides ensures that at
 * least one of them sees the other.  Without waiters that check is all it
 * costs.
 *
 * A queue is one consumer's at a time, so new messages of a queue wake one
 * waiter of each group whose tags match; if the queue has an owner, only the
 * owner, since anybody else would be turned away.  Waiters of a group with
 * different filters are treated as different groups: what one of them does not
 * want may be what another waits for.  What the list says of
 * their tags does not tell filters apart: different tags can share a hash.  The waiter is "picked" until
 * it begins to check; until then further news of the queue wakes nobody else,
 * since the one that is on its way will see that, too.  Waiters without a
 * group (pull) are all woken: each gets the message.
 *
 * A picked waiter can leave without checking; then it passes the queue on
 * (rq_offer.c).  So whoever is picked here either checks or finds a successor.
 *
 * Everything here is in shared memory.  Nothing is known of entries, or of how
 * far a group has come: the waker has found out that there is something.
 */
#include "postgres.h"

#include "lib/qunique.h"

#include "base/rq_compat.h"
#include "base/rq_guc.h"
#include "topic/rq_waiters.h"
#include "topic/rq_wake.h"

/* Pairs of a group and a filter that one pass over the list keeps apart. */
#define SERVED_MAX		32

/* Groups for which somebody has been woken. */
typedef struct Served
{
	uint32		n;
	struct
	{
		uint32		group_id;
		uint64		filter;
	}			who[SERVED_MAX];
} Served;

/* ---- list ---- */

/*
 * At the end, so that those who have waited longest are woken first.  The
 * count is raised last: a waker that sees it takes the wait lock, which we
 * hold, and so finds us in the list.
 */
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

	/*
	 * Both are full barriers.  They order our presence in the list before our
	 * check of the queues, and pair with those in rq_wake_is_awaited() and
	 * rq_wake_replayed(), which order what has been published before the look
	 * at these counts.
	 */
	pg_atomic_fetch_add_u32(&t->nwaiters, 1);
	pg_atomic_fetch_add_u32(&rq_tables->nwaiters, 1);
}

/*
 * No barrier is needed here: a waker that still counts us finds the list
 * without us, or picks us before we get the lock, which end_wait() in
 * rq_wait.c notices afterwards.
 */
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
	pg_atomic_fetch_sub_u32(&rq_tables->nwaiters, 1);
}

bool
rq_wake_is_awaited(uint32 topic)
{
	/*
	 * What the caller has published ("stable", or the end of an ownership) is
	 * visible before the count of waiters is read.  Pairs with the atomic
	 * increment in rq_wake_join(), after which a waiter checks the queues: if
	 * we do not count it, it sees what we have published.
	 */
	pg_memory_barrier();
	return pg_atomic_read_u32(&rq_topics[topic].nwaiters) > 0;
}

/* By id alone: it is never reused, so it determines the slot. */
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

/*
 * Could there be something for the waiter in the news?  An error on the side
 * of "yes" wakes it for nothing.  A waiter for one queue does so from an
 * offset ("from"), and has been through what lies before.
 */
static bool
wants(const RqWaiter *w, uint32 queue_id, const RqNews *news)
{
	if (w->queue_id != RQ_ALL_QUEUES &&
		(w->queue_id != queue_id || w->from >= news->to))
		return false;
	if (news->any)
		return true;
	for (uint32 i = 0; i < news->ntags; i++)
		if (rq_wake_tags_match(&w->tags, news->tags[i]))
			return true;
	return false;
}

static bool
is_served(const Served *s, const RqWaiter *w)
{
	for (uint32 i = 0; i < s->n; i++)
		if (s->who[i].group_id == w->group_id && s->who[i].filter == w->filter)
			return true;
	return false;
}

/* If the table is full, another waiter of the group is woken for nothing. */
static void
add_served(Served *s, const RqWaiter *w)
{
	if (s->n == SERVED_MAX)
		return;
	s->who[s->n].group_id = w->group_id;
	s->who[s->n].filter = w->filter;
	s->n++;
}

/*
 * Groups that have somebody on the way to the queue: it has been picked for it
 * and not begun to check, so it will see what is there now.  Wait lock, in any
 * mode.
 */
static void
find_served(const RqTopic *t, uint32 queue_id, Served *served)
{
	served->n = 0;
	for (uint32 i = t->first_waiter; i != RQ_NO_SLOT; i = rq_waiters[i].next)
		if (rq_waiters[i].group_id != 0 && rq_wake_is_picked(&rq_waiters[i]) &&
			rq_waiters[i].picked_queue == queue_id)
			add_served(served, &rq_waiters[i]);
}

/*
 * Is the queue nobody's, or this waiter's own?  Read without a lock.  An owner
 * that gives the queue up at this moment clears its mark first and then offers
 * the queue (rq_owner.c), so a waiter that we skip because of it is woken by
 * it.
 */
static bool
can_take(uint32 i, uint32 queue_id)
{
	RqGroupRef	group = {.slot = rq_waiters[i].group_slot,
	.id = rq_waiters[i].group_id};
	int			owner = rq_group_owner(group, queue_id);

	return owner < 0 || owner == (int) i;
}

/* ---- waking ---- */

/* The wait lock is held exclusively: "picked" and the queue go together. */
static void
pick(RqWaiter *w, uint32 queue_id)
{
	w->picked_queue = queue_id;
	pg_atomic_write_u32(&w->picked, 1);
	ConditionVariableSignal(&w->cv);
}

/*
 * Wake those who are to get the news: of one group ("group_id") or of all (0).
 *
 * The wait lock is held exclusively from the search for groups that are served
 * to the last pick.  Shared would not do: two wakers could each pick a waiter
 * of the same group.
 */
static void
wake(uint32 topic, uint32 queue_id, const RqNews *news, uint32 group_id,
	 RqWakeMode mode)
{
	RqTopic    *t = &rq_topics[topic];
	Served		served = {0};

	/* No entry that counts: all of them were aborted. */
	if (!news->any && news->ntags == 0)
		return;
	LWLockAcquire(rq_wait_lock(topic), LW_EXCLUSIVE);
	if (mode == RQ_WAKE_NEXT)
		find_served(t, queue_id, &served);
	for (uint32 i = t->first_waiter; i != RQ_NO_SLOT; i = rq_waiters[i].next)
	{
		RqWaiter   *w = &rq_waiters[i];

		/* One that is picked, for whatever queue, is awake already. */
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
rq_wake_news(const RqQueue *q, const RqNews *news)
{
	if (unlikely(rq_wake_is_awaited(q->topic)))
		wake(q->topic, q->id, news, 0, RQ_WAKE_NEXT);
}

void
rq_wake_group(uint32 topic, uint32 group_id, uint32 queue_id,
			  const RqNews *news, RqWakeMode mode)
{
	Assert(group_id != 0);
	if (unlikely(rq_wake_is_awaited(topic)))
		wake(topic, queue_id, news, group_id, mode);
}

/*
 * Wake all of a topic, or of one of its groups, also those that are picked
 * already: the queue they were picked for is no longer all they must check.
 */
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

/*
 * Wake those who wait for a queue that has entries which may be readable now.
 * On a standby each waits for one queue and no group, since consuming is
 * refused there.  The waiter resolves the entries itself.
 */
static void
wake_unresolved(uint32 topic)
{
	LWLockAcquire(rq_wait_lock(topic), LW_EXCLUSIVE);
	for (uint32 i = rq_topics[topic].first_waiter; i != RQ_NO_SLOT;
		 i = rq_waiters[i].next)
	{
		RqQueue    *q = rq_queue_find(topic, rq_waiters[i].queue_id);

		if (q != NULL &&
			pg_atomic_read_u64(&q->stable) < pg_atomic_read_u64(&q->end))
			pick(&rq_waiters[i], rq_waiters[i].queue_id);
	}
	LWLockRelease(rq_wait_lock(topic));
}

/*
 * A commit record does not say which topics it is about, so all that have
 * waiters are checked.  The total comes first, since this is called for every
 * transaction that is replayed.
 */
void
rq_wake_replayed(void)
{
	/*
	 * The outcome in pg_xact is visible before the counts of waiters are
	 * read.  Pairs with the atomic increments in rq_wake_join(), after which
	 * a waiter checks the queues.
	 */
	pg_memory_barrier();
	if (likely(pg_atomic_read_u32(&rq_tables->nwaiters) == 0))
		return;
	for (uint32 t = 0; t < rq_topics_begun(); t++)
		if (pg_atomic_read_u32(&rq_topics[t].nwaiters) > 0)
			wake_unresolved(t);
}
