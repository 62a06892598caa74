/*
 * rq_views_sql.c
 *	  Functions behind the views of topics, queues and groups.  None of them
 *	  reads messages.
 *
 * They resolve the queues they show: on a standby nobody else may do so for a
 * while, and while replay is paused, committed messages would not be counted.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "api/rq_row.h"
#include "api/rq_sight.h"
#include "base/rq_fault.h"
#include "base/rq_guc.h"
#include "base/rq_text.h"
#include "consume/rq_rates.h"
#include "consume/rq_saved.h"
#include "consume/rq_unused.h"
#include "queue/rq_entry.h"
#include "queue/rq_queue.h"
#include "queue/rq_resolve.h"
#include "retain/rq_expire.h"
#include "shmem/rq_shmem.h"
#include "topic/rq_group.h"
#include "topic/rq_topic.h"

PG_FUNCTION_INFO_V1(rocketq_get_topics);
PG_FUNCTION_INFO_V1(rocketq_get_queues);
PG_FUNCTION_INFO_V1(rocketq_get_groups);

static void
put_rate(RqRow *row, const RqRate *rate, double per_second)
{
	rq_row_if(row, rate->since != 0, Float8GetDatum(per_second));
}

/* How many entries a view examines to find one that is not aborted. */
#define MAX_LOOKS	100

/*
 * Enqueue time of the first entry that is not aborted, starting at "off" in steps
 * of "step"; 0 if there is none before "stop".  If MAX_LOOKS entries in a row are
 * aborted, the time of the last of them has to do.
 */
static TimestampTz
time_at(RqQueue *q, RqOff off, RqOff stop, int step)
{
	TimestampTz last = 0;
	int			looks;
	RqEntry		e;

	for (looks = 0; off != stop && looks < MAX_LOOKS; off += step, looks++)
		if (rq_queue_probe(q, off, &e))
		{
			last = e.enqueued_at;
			if ((e.len_flags & RQ_ENTRY_ABORTED) == 0)
				return last;
		}
	return looks == MAX_LOOKS ? last : 0;
}

static TimestampTz
oldest_at(RqQueue *q, RqOff from, RqOff stable)
{
	return from < stable ? time_at(q, from, stable, 1) : 0;
}

static TimestampTz
newest_at(RqQueue *q, RqOff start, RqOff stable)
{
	return start < stable ? time_at(q, stable - 1, start - 1, -1) : 0;
}

static void
put_unresolved(RqRow *row, RqQueue *q)
{
	TimestampTz since;
	int			pid;

	if (rq_resolve_blocker(q, &since, &pid))
	{
		rq_row_time(row, since);
		rq_row_pid(row, pid);
	}
	else
	{
		rq_row_null(row);
		rq_row_null(row);
	}
}

/*
 * The end of a look at one queue.  These looks return false where there was more
 * of the queue to settle than one hold is for: they have to be repeated.
 */
static void
end_look(void)
{
	LWLockRelease(rq_meta_lock);
	RQ_FAULT("view-looked");
}

static bool
put_queue(ReturnSetInfo *rsinfo, RqQueue *q, TimestampTz now)
{
	RqKey		key = rq_queue_key(q);
	RqQueueCounts c;
	RqRate		rate = {0};
	RqRow		row = {.n = 0};

	if (rq_resolve_try_refresh(q))
		return false;
	c = rq_queue_counts(q);
	rq_row_value(&row, ObjectIdGetDatum(key.db));
	rq_row_value(&row, ObjectIdGetDatum(key.rel));
	rq_row_value(&row, Int32GetDatum(q->id));
	rq_row_value(&row, Int64GetDatum(c.start));
	rq_row_value(&row, Int64GetDatum(c.stable));
	rq_row_value(&row, Int64GetDatum(c.end));
	rq_row_time(&row, oldest_at(q, c.start, c.stable));
	rq_row_time(&row, newest_at(q, c.start, c.stable));
	rq_row_value(&row, Int64GetDatum(c.bytes_end - c.bytes_start));
	put_unresolved(&row, q);
	(void) rq_rates_of_queue(q, now, &rate);
	put_rate(&row, &rate, rate.count);
	put_rate(&row, &rate, rate.bytes);
	rq_row_time(&row, rate.since);
	rq_row_finish(rsinfo, &row);
	return true;
}

/*
 * The meta lock is taken for one queue at a time, here as well as for groups and
 * topics, because reading an entry can mean mapping a file.  In between the topic
 * may be dropped, and its slot reused, so what is shown is checked each time.
 */
Datum
rocketq_get_queues(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = rq_rows_begin(fcinfo);
	RqSight		sight = rq_sight();
	TimestampTz now = GetCurrentTimestamp();

	for (uint32 t = 0; t < rq_topics_begun(); t++)
	{
		bool		seen = true;

		for (uint32 i = 0; seen && i < rq_topic_nqueues(t);)
		{
			rq_meta_lock_again();
			seen = rq_sees(&sight, rq_topic_key(t));
			if (seen && i < rq_topic_nqueues(t) &&
				put_queue(rsinfo, rq_topic_queue(t, i), now))
				i++;
			end_look();
		}
	}
	return (Datum) 0;
}

/* Is the group shown to the caller? */
static bool
group_is_shown(uint32 group)
{
	RqGroup    *g = &rq_groups[group];
	uint64		xid;

	Assert(LWLockHeldByMe(rq_meta_lock));
	if (g->id == 0)
		return false;
	switch (rq_group_state_locked(group, &xid))
	{
		case RQ_GROUP_ABSENT:
			return false;
		case RQ_GROUP_PRESENT:
			return true;
		case RQ_GROUP_IN_DOUBT:
			break;
	}
	/* A drop is not visible to others before it is committed. */
	return g->claim_xid != 0 || g->pend_op != RQ_PEND_CREATE;
}

/*
 * How many entries one row of a view, and one call, may examine to locate restored
 * groups.  Those not found are soon located by the janitor.
 */
#define PLACES_BUDGET_ROW	100000
#define PLACES_BUDGET_CALL	2000000

/* Messages of a queue that a group has not consumed, which are [*from, *stable). */
static uint64
lag_of(RqQueue *q, RqOffset *o, uint64 *budget, RqOff *from, RqOff *stable)
{
	uint64		here = Min(*budget, PLACES_BUDGET_ROW);
	uint64		left = here;

	Assert(LWLockHeldByMe(rq_meta_lock));
	*from = Max(rq_saved_offset(q, o, &left), pg_atomic_read_u64(&q->start));
	*budget -= here - left;
	*stable = pg_atomic_read_u64(&q->stable);
	return *stable > *from ? *stable - *from : 0;
}

static void
put_owner(RqRow *row, RqGroup *g, RqOffset *o)
{
	int			owner = (int) pg_atomic_read_u32(&g->owner) - 1;
	bool		whole = owner >= 0;

	if (!whole)
		owner = RQ_MARK_OWNER(pg_atomic_read_u64(&o->mark));

	/*
	 * The mark before its time; pairs with rq_owner_take_group() and
	 * note_first_take() (consume/rq_owner.c).  The next owner, or the owner's
	 * next transaction, may have written another time since, but no earlier
	 * one.
	 */
	pg_read_barrier();
	rq_row_pid(row, owner >= 0 ? ProcGlobal->allProcs[owner].pid : 0);
	rq_row_time(row, owner < 0 ? 0 : whole ? g->owner_since :
				rq_backends[owner].owner_since);
}

static bool
put_group_queue(ReturnSetInfo *rsinfo, uint32 group, uint32 i, TimestampTz now,
				uint64 *budget)
{
	RqGroup    *g = &rq_groups[group];
	RqKey		key = rq_topic_key(g->topic);
	RqQueue    *q = rq_topic_queue(g->topic, i);
	RqOffset   *o = rq_group_offset(group, i);
	RqOff		from;
	RqOff		stable;
	uint64		lag;
	TimestampTz oldest;
	RqRate		rate = {0};
	RqRow		row = {.n = 0};

	if (rq_resolve_try_refresh(q))
		return false;
	lag = lag_of(q, o, budget, &from, &stable);
	oldest = oldest_at(q, from, stable);
	rq_row_value(&row, ObjectIdGetDatum(key.db));
	rq_row_value(&row, ObjectIdGetDatum(key.rel));
	rq_row_value(&row, Int64GetDatum((int64) g->id));
	rq_row_value(&row, CStringGetTextDatum(rq_text_from(key.db, g->name)));
	rq_row_value(&row, Int32GetDatum(i));
	rq_row_value(&row, Int64GetDatum(from));
	rq_row_value(&row, Int64GetDatum(stable));
	rq_row_value(&row, Int64GetDatum(lag));
	rq_row_time(&row, oldest);
	rq_row_time(&row, g->created_at);
	rq_row_time(&row, o->changed_at);
	rq_row_value(&row, Float8GetDatum(oldest == 0 || oldest > now ? 0.0 :
									  (double) (now - oldest) / USECS_PER_SEC));
	put_owner(&row, g, o);
	(void) rq_rates_of_offset(o, now, &rate);
	put_rate(&row, &rate, rate.count);
	rq_row_value(&row, BoolGetDatum(lag > 0 && rq_group_holds(group)));
	rq_row_value(&row, Int64GetDatum(o->lost));
	rq_row_finish(rsinfo, &row);
	return true;
}

Datum
rocketq_get_groups(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = rq_rows_begin(fcinfo);
	RqSight		sight = rq_sight();
	TimestampTz now = GetCurrentTimestamp();
	uint64		budget = PLACES_BUDGET_CALL;

	for (uint32 g = 0; g < rq_groups_begun(); g++)
	{
		uint32		id = rq_groups[g].id;
		bool		more = id != 0;

		for (uint32 i = 0; more;)
		{
			rq_meta_lock_again();
			more = rq_groups[g].id == id && group_is_shown(g) &&
				rq_sees(&sight, rq_topic_key(rq_groups[g].topic)) &&
				i < rq_topic_nqueues(rq_groups[g].topic);
			if (more && put_group_queue(rsinfo, g, i, now, &budget))
				i++;
			end_look();
		}
	}
	return (Datum) 0;
}

/* Sums over the queues and groups of a topic. */
typedef struct TopicSums
{
	uint32		queues;
	uint32		groups;
	uint64		messages;
	uint64		bytes;
	uint64		unresolved;
	uint64		max_lag;		/* of its groups */
	uint64		places_budget;
	TimestampTz oldest;
	TimestampTz newest;
	RqRate		rate;			/* too low if it is_missing something */
	int			retention_s;
} TopicSums;

static bool
add_queue(TopicSums *sums, RqQueue *q, TimestampTz now)
{
	RqQueueCounts c;
	TimestampTz oldest;
	RqRate		rate = {0};

	if (rq_resolve_try_refresh(q))
		return false;
	c = rq_queue_counts(q);
	oldest = oldest_at(q, c.start, c.stable);
	sums->messages += c.stable - c.start;
	sums->bytes += c.bytes_end - c.bytes_start;
	sums->unresolved += c.end - c.stable;
	if (oldest != 0 && (sums->oldest == 0 || oldest < sums->oldest))
		sums->oldest = oldest;
	sums->newest = Max(sums->newest, newest_at(q, c.start, c.stable));
	if (!rq_rates_of_queue(q, now, &rate))
	{
		sums->rate.is_missing |= rate.is_missing;
		return true;
	}
	sums->rate.count += rate.count;
	sums->rate.bytes += rate.bytes;
	if (sums->rate.since == 0 || rate.since < sums->rate.since)
		sums->rate.since = rate.since;
	return true;
}

static Interval *
seconds_interval(int seconds)
{
	Interval   *i = palloc0(sizeof(Interval));

	i->time = (int64) seconds * USECS_PER_SEC;
	return i;
}

static void
put_topic(ReturnSetInfo *rsinfo, RqKey key, const TopicSums *sums)
{
	RqRate		rate = {0};
	RqRow		row = {.n = 0};

	if (!sums->rate.is_missing)
		rate = sums->rate;
	rq_row_value(&row, ObjectIdGetDatum(key.db));
	rq_row_value(&row, ObjectIdGetDatum(key.rel));
	rq_row_value(&row, Int32GetDatum(sums->queues));
	rq_row_value(&row, Int32GetDatum(sums->groups));
	rq_row_value(&row, Int64GetDatum(sums->messages));
	rq_row_value(&row, Int64GetDatum(sums->bytes));
	rq_row_value(&row, Int64GetDatum(sums->unresolved));
	rq_row_if(&row, sums->groups > 0, Int64GetDatum(sums->max_lag));
	rq_row_time(&row, sums->oldest);
	rq_row_time(&row, sums->newest);
	put_rate(&row, &rate, rate.count);
	put_rate(&row, &rate, rate.bytes);
	rq_row_time(&row, rate.since);
	rq_row_if(&row, sums->retention_s >= 0,
			  IntervalPGetDatum(seconds_interval(Max(sums->retention_s, 0))));
	rq_row_finish(rsinfo, &row);
}

/*
 * Take the meta lock, and check that the slot still holds this topic; false, with
 * the lock released, if it does not.
 */
static bool
lock_topic(uint32 topic, RqKey key)
{
	rq_meta_lock_again();
	if (RQ_KEY_EQ(rq_topic_key(topic), key))
		return true;
	LWLockRelease(rq_meta_lock);
	return false;
}

/* Add the queues of a topic; false if it no longer exists. */
static bool
add_queues(TopicSums *sums, uint32 topic, RqKey key, TimestampTz now)
{
	for (uint32 i = 0; i < sums->queues;)
	{
		if (!lock_topic(topic, key))
			return false;
		sums->queues = Min(sums->queues, rq_topic_nqueues(topic));
		if (i < sums->queues &&
			add_queue(sums, rq_topic_queue(topic, i), now))
			i++;
		end_look();
	}
	return true;
}

/* Add a group, unless it is dropped or not shown; false as add_queues(). */
static bool
add_group(TopicSums *sums, uint32 topic, RqKey key, RqGroupRef group)
{
	uint64		lag = 0;
	bool		shown = true;

	for (uint32 i = 0; shown && i < sums->queues;)
	{
		RqOff		from;
		RqOff		stable;

		if (!lock_topic(topic, key))
			return false;
		shown = rq_groups[group.slot].id == group.id &&
			group_is_shown(group.slot);
		if (!shown || i >= rq_topic_nqueues(topic))
			i++;
		else if (!rq_resolve_try_refresh(rq_topic_queue(topic, i)))
		{
			lag += lag_of(rq_topic_queue(topic, i),
						  rq_group_offset(group.slot, i),
						  &sums->places_budget, &from, &stable);
			i++;
		}
		end_look();
	}
	if (shown)
	{
		sums->groups++;
		sums->max_lag = Max(sums->max_lag, lag);
	}
	return true;
}

static bool
add_groups(TopicSums *sums, uint32 topic, RqKey key)
{
	int			n;
	RqGroupRef *groups = rq_group_list(topic, &n);
	bool		there = true;

	for (int i = 0; there && i < n; i++)
		there = add_group(sums, topic, key, groups[i]);
	pfree(groups);
	return there;
}

Datum
rocketq_get_topics(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = rq_rows_begin(fcinfo);
	RqSight		sight = rq_sight();
	TimestampTz now = GetCurrentTimestamp();

	for (uint32 t = 0; t < rq_topics_begun(); t++)
	{
		TopicSums	sums = {.places_budget = PLACES_BUDGET_ROW};
		RqKey		key;

		/* Checked without the lock to pass over free slots. */
		if (rq_topic_nqueues(t) == 0)
			continue;
		rq_meta_lock_again();
		key = rq_topic_key(t);
		sums.queues = rq_sees(&sight, key) ? rq_topic_nqueues(t) : 0;
		sums.retention_s = rq_expire_time(t);
		LWLockRelease(rq_meta_lock);
		if (sums.queues > 0 && add_queues(&sums, t, key, now) &&
			add_groups(&sums, t, key) && sums.queues > 0)
			put_topic(rsinfo, key, &sums);
	}
	return (Datum) 0;
}
