/*
 * rq_offer.c
 *	  Offer what is left of a queue to the next waiter of a group.
 *
 * News of a message wakes one waiter of a group.  Who wakes the next one if
 * that waiter does not take the message, or not all of them?
 *
 * Whoever gives up a queue (rq_owner.c), or leaves picked without having
 * checked (rq_wait.c), offers what is left of it: the news has been used up by
 * waking it.
 *
 * A waiter that only waits (rq_idle.c) can be picked and never come back for
 * the messages.  So the keeper offers again, once a second, what is unread and
 * has no owner.
 */
#include "postgres.h"

#include "base/rq_fault.h"
#include "base/rq_guc.h"
#include "consume/rq_offer.h"
#include "consume/rq_offset.h"
#include "queue/rq_entry.h"
#include "topic/rq_topic.h"
#include "topic/rq_wake.h"

/*
 * Entries that one round of offering again reads.  Who waits for what is up to
 * users, and so is the number of queues.
 */
#define OFFER_BUDGET	(256 * 1024)

/* ---- offering ---- */

/*
 * What a group has not consumed of a queue; false if that is nothing.  The
 * caller holds no lock that keeps topic or group, so the answer may be about
 * others that have got their slots since.  At worst somebody is woken for
 * nothing; so, too, if "from" is too low while a move is pending.
 */
static bool
find_unread(uint32 topic, RqGroupRef group, uint32 queue_id, RqQueue **q,
			RqOff *from)
{
	RqOffset   *o = rq_offset_find(group.slot, queue_id);

	*q = rq_queue_find(topic, queue_id);
	if (*q == NULL || o == NULL)
		return false;
	*from = Max(rq_offset_at_least(group.slot, o), pg_atomic_read_u64(&(*q)->start));
	return *from < pg_atomic_read_u64(&(*q)->stable);
}

/*
 * Is the group dropped, or being dropped by a transaction that has not ended?
 */
static bool
group_is_going(RqGroupRef group)
{
	const RqGroup *g = &rq_groups[group.slot];

	return g->id != group.id || g->pend_op == RQ_PEND_DROP;
}

/*
 * Called while locks are released and after errors, so it asks for no outcome
 * and reads no entry, either of which could throw: any tag may be among what
 * is left.
 *
 * Waiters of a group that is dropped are all woken, as there is nothing any
 * more that would wake them one by one; they find that out themselves.
 */
void
rq_offer(uint32 topic, RqGroupRef group, uint32 queue_id)
{
	RqNews		news;
	RqQueue    *q;
	RqOff		from;

	if (likely(!rq_wake_is_awaited(topic)))
		return;
	rq_news_init(&news, PG_UINT64_MAX, true);
	if (group_is_going(group))
		rq_wake_whole_group(topic, group.id);
	else if (find_unread(topic, group, queue_id, &q, &from))
		rq_wake_group(topic, group.id, queue_id, &news, RQ_WAKE_NEXT);
}

void
rq_offer_all(uint32 topic, RqGroupRef group)
{
	rq_wake_whole_group(topic, group.id);
}

/* ---- offering again ---- */

/*
 * Where the next round goes on: after this group, which has been offered this
 * queue.
 */
static struct
{
	uint32		topic;
	uint32		queue;
	uint32		group_id;		/* 0 = none yet */
}			place;

/*
 * Returns how much work it was: one, entries read, and waiters.  The caller
 * holds the meta lock, but others may have got the slots since the group was
 * found.
 *
 * Here the news says which tags there are: a round must not wake those, time
 * and again, who do not want what is left.
 */
static int
offer_again(RqGroupRef group)
{
	RqQueue    *q;
	RqOff		from;
	RqNews		news;
	int			cost = 1;

	RQ_ASSERT_META_LOCK(LW_SHARED);
	if (rq_groups[group.slot].id == group.id &&
		rq_groups[group.slot].topic == place.topic &&
		rq_group_owner(group, place.queue) < 0 &&
		find_unread(place.topic, group, place.queue, &q, &from))
	{
		cost += rq_queue_news(q, from, pg_atomic_read_u64(&q->stable), &news);
		cost += pg_atomic_read_u32(&rq_topics[place.topic].nwaiters);
		rq_wake_group(place.topic, group.id, place.queue, &news,
					  RQ_WAKE_ANOTHER);
	}
	return cost;
}

/*
 * Offer the topic's queues, as much as one hold of the meta lock is for; false
 * if that was all.  Groups come in the order of their ids, so that the last id
 * says which are left, also if waiters have come and gone since.
 */
static bool
offer_some(const RqGroupRef *groups, int n, int *budget)
{
	int			left = RQ_META_HOLD_ENTRIES;

	RQ_ASSERT_META_LOCK(LW_SHARED);
	for (; place.queue < rq_topic_nqueues(place.topic); place.queue++)
	{
		for (int i = 0; i < n; i++)
		{
			int			cost;

			if (groups[i].id <= place.group_id)
				continue;
			if (left <= 0 || *budget <= 0)
				return true;
			cost = offer_again(groups[i]);
			left -= cost;
			*budget -= cost;
			place.group_id = groups[i].id;
		}
		place.group_id = 0;
	}
	return false;
}

/*
 * Offer the topic's queues until the budget is used up; false if that was all.
 */
static bool
offer_topic(RqGroupRef *groups, int *budget)
{
	int			n = rq_wake_groups(place.topic, groups);
	bool		more = true;

	while (more && *budget > 0)
	{
		rq_meta_lock_again();
		more = offer_some(groups, n, budget);
		LWLockRelease(rq_meta_lock);
		RQ_FAULT("offer-looked");
	}
	return more;
}

/*
 * One pass over the topics that somebody waits for.  If the budget is used up
 * the next round goes on from there.
 */
void
rq_offer_again(void)
{
	uint32		ntopics = rq_topics_begun();
	int			budget = OFFER_BUDGET;
	RqGroupRef *groups;

	if (pg_atomic_read_u32(&rq_tables->nwaiters) == 0)
		return;
	groups = palloc(rq_max_backends() * sizeof(RqGroupRef));
	for (uint32 n = 0; n < ntopics && budget > 0; n++)
	{
		if (rq_wake_is_awaited(place.topic) && offer_topic(groups, &budget))
			break;
		place.topic = (place.topic + 1) % ntopics;
		place.queue = place.group_id = 0;
	}
	pfree(groups);
}
