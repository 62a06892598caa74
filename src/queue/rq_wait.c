/*
 * rq_wait.c
 *	  Waiting for messages, and waking those who wait.
 *
 * Who waits is in the list of its topic, and then looks before it sleeps.  Who
 * raises a queue's stable offset, or gives up a queue of a group, does that
 * first and looks at the list second, with a barrier in between; so one of the
 * two sees the other.  Without waiters that look is all it costs.
 *
 * A queue is one consumer's at a time, so new messages of a queue wake one
 * waiter of each group: one whose tags match, if the queue has an owner only
 * that one.  It is "picked" until it begins to look; meanwhile further news of
 * the queue wake nobody else.  Whoever leaves picked, or while it looks for
 * what it was picked for, offers that to the next one, and so does an owner
 * when it gives the queue up.  Waiters without a group (pull) are all woken:
 * each gets the message.
 *
 * Nobody sleeps with the lock on the topic's relation that it can do without:
 * DDL would wait for it, and all producers for that.  It is taken again for each
 * look; what is in the list then is known by the topic's incarnation.  Who has
 * read from a queue, or has used the topic before in the transaction, must keep
 * the lock, and ends its wait when somebody else wants it.
 *
 * Who only waits (rq_wait() around a look that takes nothing) can be picked and
 * never come back for the messages.  So the keeper offers again once a second
 * what still lies there and is nobody's.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "storage/ipc.h"

#include "base/rq_compat.h"
#include "base/rq_fault.h"
#include "base/rq_guc.h"
#include "queue/rq_owner.h"
#include "queue/rq_queue.h"
#include "queue/rq_topic.h"
#include "queue/rq_wait.h"
#include "shmem/rq_stats.h"

/* Entries whose tags are told apart; of more, some are taken to match. */
#define NEWS_MAX		64

/* Entries looked at for that. */
#define NEWS_LOOK_MAX	1024

/* Groups, by filter, that one look at the list tells apart. */
#define SERVED_MAX		32

/*
 * Entries that one round of offering again looks at.  Who waits for what is up
 * to users, and so is the number of queues.
 */
#define OFFER_BUDGET	(256 * 1024)

#define SLEEP_MAX_MS	(3600 * 1000)

/* How long somebody can wait for a lock that a sleeper holds, at most. */
#define GIVE_WAY_MS		100

/* What has come. */
typedef struct News
{
	RqOff		to;				/* offset behind it */
	bool		any;			/* any tag can be among it */
	uint32		n;
	uint32		tags[NEWS_MAX]; /* hashes */
} News;

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

/* ---- lists ---- */

static void
link_waiter(RqTopic *t, uint32 me)
{
	RqWaiter   *w = &rq_waiters[me];

	w->next = RQ_NO_SLOT;
	w->prev = t->last_waiter;
	if (w->prev == RQ_NO_SLOT)
		t->first_waiter = me;
	else
		rq_waiters[w->prev].next = me;
	t->last_waiter = me;
	pg_atomic_fetch_add_u32(&t->nwaiters, 1);
	pg_atomic_fetch_add_u32(&rq_ctl->nwaiters, 1);
}

static void
unlink_waiter(RqTopic *t, uint32 me)
{
	RqWaiter   *w = &rq_waiters[me];

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

/* ---- waking ---- */

static void
collect_news(uint32 topic, RqQueue *q, RqOff from, RqOff to, News *news)
{
	news->to = to;
	news->n = 0;
	news->any = to - from > NEWS_LOOK_MAX;
	for (RqOff off = from; off < to && !news->any; off++)
	{
		RqEntry		e;

		if (!rq_queue_probe(topic, q, off, &e) || news->n == NEWS_MAX)
			news->any = true;
		else if ((e.len_flags & RQ_CQ_ABORTED) == 0)
			news->tags[news->n++] = e.tag_hash;
	}
}

static bool
wants(const RqWaiter *w, uint32 queue_id, const News *news)
{
	if (w->queue_id != RQ_ALL_QUEUES &&
		(w->queue_id != queue_id || w->from >= news->to))
		return false;
	if (w->ntags == 0 || news->any)
		return true;
	for (uint32 i = 0; i < news->n; i++)
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

static void
pick(RqWaiter *w, uint32 queue_id)
{
	w->picked_queue = queue_id;
	pg_atomic_write_u32(&w->picked, 1);
	ConditionVariableSignal(&w->cv);
}

static bool
is_picked(RqWaiter *w)
{
	return pg_atomic_read_u32(&w->picked) != 0;
}

/* Groups that have somebody on the way to the queue. */
static void
find_served(const RqTopic *t, uint32 queue_id, Served *served)
{
	served->n = 0;
	for (uint32 i = t->first_waiter; i != RQ_NO_SLOT; i = rq_waiters[i].next)
		if (rq_waiters[i].group_id != 0 && is_picked(&rq_waiters[i]) &&
			rq_waiters[i].picked_queue == queue_id)
			add_served(served, &rq_waiters[i]);
}

/* Could this waiter of a group have the queue, as far as others own it? */
static bool
can_take(uint32 i, uint32 queue_id)
{
	RqGroupRef	group = {.slot = rq_waiters[i].group_slot,
	.id = rq_waiters[i].group_id};
	int			owner = rq_owner_of(group, queue_id);

	return owner < 0 || owner == (int) i;
}

/*
 * Wake who is to get the news: of one group ("group_id") or of all (0).  When
 * "impatient", those on the way do not count.
 */
static void
wake(uint32 topic, uint32 queue_id, const News *news, uint32 group_id,
	 bool impatient)
{
	RqTopic    *t = &rq_topics[topic];
	Served		served = {0};

	if (!news->any && news->n == 0)
		return;
	LWLockAcquire(rq_wait_lock(topic), LW_EXCLUSIVE);
	if (!impatient)
		find_served(t, queue_id, &served);
	for (uint32 i = t->first_waiter; i != RQ_NO_SLOT; i = rq_waiters[i].next)
	{
		RqWaiter   *w = &rq_waiters[i];

		if (is_picked(w) || (group_id != 0 && w->group_id != group_id))
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

static bool
has_waiters(uint32 topic)
{
	pg_memory_barrier();
	return pg_atomic_read_u32(&rq_topics[topic].nwaiters) > 0;
}

void
rq_wait_news(uint32 topic, RqQueue *q, RqOff from, RqOff to)
{
	News		news;

	if (likely(!has_waiters(topic)))
		return;
	collect_news(topic, q, from, to, &news);
	wake(topic, q->id, &news, 0, false);
}

/* Wake all of a topic, or of one of its groups. */
static void
wake_all(uint32 topic, uint32 group_id)
{
	LWLockAcquire(rq_wait_lock(topic), LW_EXCLUSIVE);
	for (uint32 i = rq_topics[topic].first_waiter; i != RQ_NO_SLOT;
		 i = rq_waiters[i].next)
		if (group_id == 0 || rq_waiters[i].group_id == group_id)
			pick(&rq_waiters[i], RQ_ALL_QUEUES);
	LWLockRelease(rq_wait_lock(topic));
}

void
rq_wait_end_topic(uint32 topic)
{
	if (has_waiters(topic))
		wake_all(topic, 0);
}

/*
 * What a group has not consumed of a queue; false if that is nothing.  Holds
 * no lock that keeps topic or group: it may be told about others then.
 */
static bool
find_unread(uint32 topic, RqGroupRef group, uint32 queue_id, RqQueue **q,
			RqOff *from)
{
	uint32		queue = rq_slots_find(rq_queue_pool, &rq_topics[topic].queues,
									  queue_id);
	uint32		offset = rq_slots_find(rq_offset_pool, &rq_groups[group.slot].offsets,
									   queue_id);

	if (queue == RQ_NO_SLOT || offset == RQ_NO_SLOT)
		return false;
	*q = &rq_queues[queue];
	*from = Max(rq_offset_at_least(&rq_offsets[offset]),
				pg_atomic_read_u64(&(*q)->start));
	return *from < pg_atomic_read_u64(&(*q)->stable);
}

/* Has the group gone, or will it soon, or does somebody at least try? */
static bool
is_dropped(RqGroupRef group)
{
	const RqGroup *g = &rq_groups[group.slot];

	return g->id != group.id || g->pend_op == RQ_PEND_DROP;
}

void
rq_wait_offer(uint32 topic, RqGroupRef group, uint32 queue_id)
{
	News		news = {.to = PG_UINT64_MAX, .any = true};
	RqQueue    *q;
	RqOff		from;

	if (likely(!has_waiters(topic)))
		return;
	if (is_dropped(group))
		wake_all(topic, group.id);
	else if (find_unread(topic, group, queue_id, &q, &from))
		wake(topic, queue_id, &news, group.id, false);
}

void
rq_wait_offer_all(uint32 topic, RqGroupRef group)
{
	if (has_waiters(topic))
		wake_all(topic, group.id);
}

void
rq_wait_replayed(void)
{
	pg_memory_barrier();
	if (likely(pg_atomic_read_u32(&rq_ctl->nwaiters) == 0))
		return;
	for (int t = 0; t < rq_max_topics; t++)
	{
		if (pg_atomic_read_u32(&rq_topics[t].nwaiters) == 0)
			continue;
		LWLockAcquire(rq_wait_lock(t), LW_EXCLUSIVE);
		for (uint32 i = rq_topics[t].first_waiter; i != RQ_NO_SLOT;
			 i = rq_waiters[i].next)
		{
			uint32		slot = rq_slots_find(rq_queue_pool, &rq_topics[t].queues,
											 rq_waiters[i].queue_id);

			if (slot != RQ_NO_SLOT &&
				pg_atomic_read_u64(&rq_queues[slot].stable) <
				pg_atomic_read_u64(&rq_queues[slot].end))
				pick(&rq_waiters[i], rq_waiters[i].queue_id);
		}
		LWLockRelease(rq_wait_lock(t));
	}
}

/* ---- offering again ---- */

/* The groups that have waiters, each once; returns how many. */
static int
waiting_groups(uint32 topic, RqGroupRef *groups)
{
	int			n = 0;

	LWLockAcquire(rq_wait_lock(topic), LW_SHARED);
	for (uint32 i = rq_topics[topic].first_waiter; i != RQ_NO_SLOT;
		 i = rq_waiters[i].next)
	{
		RqGroupRef	group = {.slot = rq_waiters[i].group_slot,
		.id = rq_waiters[i].group_id};
		int			k = 0;

		while (k < n && groups[k].id != group.id)
			k++;
		if (k == n && group.id != 0)
			groups[n++] = group;
	}
	LWLockRelease(rq_wait_lock(topic));
	return n;
}

/* Returns how much work it was: entries looked at, and one. */
static int
offer_again(uint32 topic, RqGroupRef group, uint32 queue_id)
{
	RqQueue    *q;
	RqOff		from;
	RqOff		to;
	News		news;

	if (rq_owner_of(group, queue_id) >= 0 ||
		!find_unread(topic, group, queue_id, &q, &from))
		return 1;
	to = pg_atomic_read_u64(&q->stable);
	collect_news(topic, q, from, to, &news);
	wake(topic, queue_id, &news, group.id, true);
	return 1 + (int) Min(to - from, NEWS_LOOK_MAX);
}

/* Offer the queues of a topic from "*queue" on; the meta lock is held. */
static void
offer_topic(uint32 topic, RqGroupRef *groups, uint32 *queue, int *budget)
{
	int			n = waiting_groups(topic, groups);
	uint32		nqueues = n > 0 ? rq_topic_nqueues(topic) : 0;

	for (; *queue < nqueues && *budget > 0; (*queue)++)
		for (int i = 0; i < n; i++)
			*budget -= offer_again(topic, groups[i], *queue);
	if (*queue >= nqueues)
		*queue = 0;
}

void
rq_wait_offer_again(void)
{
	static uint32 topic = 0;	/* where it goes on the next time */
	static uint32 queue = 0;
	int			budget = OFFER_BUDGET;
	RqGroupRef *groups;

	if (pg_atomic_read_u32(&rq_ctl->nwaiters) == 0)
		return;
	groups = palloc(rq_max_backends() * sizeof(RqGroupRef));
	for (int n = 0; n < rq_max_topics; n++)
	{
		if (has_waiters(topic))
		{
			LWLockAcquire(rq_meta_lock, LW_SHARED);
			offer_topic(topic, groups, &queue, &budget);
			LWLockRelease(rq_meta_lock);
		}
		else
			queue = 0;
		if (queue != 0)
			break;
		topic = (topic + 1) % (uint32) rq_max_topics;
		if (budget <= 0)
			break;
	}
	pfree(groups);
}

/* ---- waiting ---- */

/* The queue we were picked for, while we look. */
static uint32 looking_at = RQ_ALL_QUEUES;

static void
begin_wait(const RqWant *want)
{
	RqWaiter   *me = &rq_waiters[RQ_MY_PROC_NUMBER];

	LWLockAcquire(rq_wait_lock(want->topic), LW_EXCLUSIVE);
	me->topic = want->topic;
	me->group_slot = want->group.slot;
	me->group_id = want->group.id;
	me->queue_id = want->queue_id;
	me->from = want->from;
	me->ntags = rq_filter_tags(want->filter, me->tags, RQ_WAIT_TAGS);
	me->picked_queue = RQ_ALL_QUEUES;
	pg_atomic_write_u32(&me->picked, 0);
	link_waiter(&rq_topics[want->topic], RQ_MY_PROC_NUMBER);
	LWLockRelease(rq_wait_lock(want->topic));
}

/* A look begins: from here on others may pick us again. */
static void
begin_look(const RqWant *want)
{
	RqWaiter   *me = &rq_waiters[RQ_MY_PROC_NUMBER];

	LWLockAcquire(rq_wait_lock(want->topic), LW_EXCLUSIVE);
	me->group_slot = want->group.slot;
	me->group_id = want->group.id;
	me->from = want->from;
	pg_atomic_write_u32(&me->picked, 0);
	looking_at = me->picked_queue;
	me->picked_queue = RQ_ALL_QUEUES;
	LWLockRelease(rq_wait_lock(want->topic));
}

/*
 * What we were picked for and have not looked at to the end is for another one
 * now.  Nothing else is: if each who leaves with something waked another, all
 * would be.  An error can have come under a lock, even one that is needed here.
 */
static void
end_wait(int code, Datum is_error)
{
	RqWaiter   *me = &rq_waiters[RQ_MY_PROC_NUMBER];
	RqGroupRef	group = {.slot = me->group_slot, .id = me->group_id};
	uint32		topic = me->topic;

	if (DatumGetBool(is_error))
		LWLockReleaseAll();
	ConditionVariableCancelSleep();
	LWLockAcquire(rq_wait_lock(topic), LW_EXCLUSIVE);
	unlink_waiter(&rq_topics[topic], RQ_MY_PROC_NUMBER);
	me->topic = RQ_NO_SLOT;
	LWLockRelease(rq_wait_lock(topic));
	if (group.id != 0 && looking_at != RQ_ALL_QUEUES)
		rq_wait_offer(topic, group, looking_at);
	if (group.id != 0 && is_picked(me))
		rq_wait_offer(topic, group, me->picked_queue);
	looking_at = RQ_ALL_QUEUES;
}

/* How much of the timeout is left, in milliseconds. */
static int64
time_left(const instr_time *start, int64 timeout_ms)
{
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_SUBTRACT(now, *start);
	return timeout_ms - (int64) INSTR_TIME_GET_MILLISEC(now);
}

/*
 * Sleep until we are picked, the time is over, or the lock that we keep
 * (NULL: none) is in somebody's way.
 */
static void
sleep_until_picked(const instr_time *start, int64 timeout_ms,
				   const RqWaitLock *kept)
{
	static uint32 wait_event = 0;
	const int64 max = kept ? GIVE_WAY_MS : SLEEP_MAX_MS;
	RqWaiter   *me = &rq_waiters[RQ_MY_PROC_NUMBER];
	int64		left;

	if (wait_event == 0)
		wait_event = rq_wait_event_new("RocketqMessages");
	ConditionVariablePrepareToSleep(&me->cv);
	while (!is_picked(me) && (left = time_left(start, timeout_ms)) > 0 &&
		   !(kept && kept->is_in_the_way(kept->arg)))
		ConditionVariableTimedSleep(&me->cv, Min(left, max), wait_event);
	ConditionVariableCancelSleep();
	if (is_picked(me))
		rq_count(RQ_STAT_WAKEUPS, 1);
}

/* Sleep without the lock if it can be; false if the wait has to end. */
static bool
sleep_out_of_the_way(const RqWant *want, const instr_time *start,
					 int64 timeout_ms)
{
	const RqWaitLock *lock = want->lock;
	bool		released;

	released = lock && !want->keeps_lock && lock->release(lock->arg);
	sleep_until_picked(start, timeout_ms, released ? NULL : lock);
	if (released)
		return lock->acquire(lock->arg);
	return lock == NULL || is_picked(&rq_waiters[RQ_MY_PROC_NUMBER]) ||
		!lock->is_in_the_way(lock->arg);
}

static int
look_until(RqWant *want, int64 timeout_ms, RqLook look, void *arg)
{
	instr_time	start;

	INSTR_TIME_SET_CURRENT(start);
	for (;;)
	{
		uint32		group_id = want->group.id;
		int			count;

		begin_look(want);
		count = look(want, looking_at, arg);
		looking_at = RQ_ALL_QUEUES;
		RQ_FAULT("wait-looked");
		if (count > 0 || time_left(&start, timeout_ms) <= 0)
			return count;
		/* What came for a new group has waked nobody. */
		if (want->group.id == group_id &&
			!sleep_out_of_the_way(want, &start, timeout_ms))
			return 0;
	}
}

int
rq_wait(RqWant *want, int64 timeout_ms, RqLook look, void *arg)
{
	int			count;

	rq_count(RQ_STAT_WAITS, 1);
	begin_wait(want);
	PG_ENSURE_ERROR_CLEANUP(end_wait, BoolGetDatum(true));
	{
		count = look_until(want, timeout_ms, look, arg);
	}
	PG_END_ENSURE_ERROR_CLEANUP(end_wait, BoolGetDatum(true));
	end_wait(0, BoolGetDatum(false));
	return count;
}
