/*
 * rq_views_sql.c
 *	  Functions behind the views of topics and queues.
 */
#include "postgres.h"

#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "api/rq_look.h"
#include "api/rq_row.h"
#include "api/rq_sight.h"
#include "consume/rq_rates.h"
#include "queue/rq_queue.h"
#include "queue/rq_resolve.h"
#include "retain/rq_expire.h"
#include "shmem/rq_shmem.h"
#include "topic/rq_group.h"
#include "topic/rq_topic.h"

PG_FUNCTION_INFO_V1(rocketq_get_topics);
PG_FUNCTION_INFO_V1(rocketq_get_queues);

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
	rq_row_time(&row, rq_look_oldest(q, c.start, c.stable));
	rq_row_time(&row, rq_look_newest(q, c.start, c.stable));
	rq_row_value(&row, Int64GetDatum(c.bytes_end - c.bytes_start));
	put_unresolved(&row, q);
	(void) rq_rates_of_queue(q, now, &rate);
	rq_row_rate(&row, &rate, rate.count);
	rq_row_rate(&row, &rate, rate.bytes);
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
			rq_look_end();
		}
	}
	return (Datum) 0;
}

/* How many entries are examined for a topic to locate restored groups. */
#define PLACES_BUDGET		100000

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
	uint64		enqueued;		/* ever */
	TimestampTz oldest;
	TimestampTz newest;
	TimestampTz unresolved_since;
	RqRate		rate;			/* too low if it is_missing something */
	int			retention_s;
} TopicSums;

static bool
add_queue(TopicSums *sums, RqQueue *q, TimestampTz now)
{
	RqQueueCounts c;
	TimestampTz since;
	int			pid;
	RqRate		rate = {0};

	if (rq_resolve_try_refresh(q))
		return false;
	c = rq_queue_counts(q);
	sums->messages += c.stable - c.start;
	sums->bytes += c.bytes_end - c.bytes_start;
	sums->unresolved += c.end - c.stable;
	sums->enqueued += c.end;
	sums->oldest = rq_earlier(sums->oldest, rq_look_oldest(q, c.start, c.stable));
	sums->newest = Max(sums->newest, rq_look_newest(q, c.start, c.stable));
	if (rq_resolve_blocker(q, &since, &pid))
		sums->unresolved_since = rq_earlier(sums->unresolved_since, since);
	if (!rq_rates_of_queue(q, now, &rate))
	{
		sums->rate.is_missing |= rate.is_missing;
		return true;
	}
	sums->rate.count += rate.count;
	sums->rate.bytes += rate.bytes;
	sums->rate.since = rq_earlier(sums->rate.since, rate.since);
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
	rq_row_rate(&row, &rate, rate.count);
	rq_row_rate(&row, &rate, rate.bytes);
	rq_row_time(&row, rate.since);
	rq_row_if(&row, sums->retention_s >= 0,
			  IntervalPGetDatum(seconds_interval(Max(sums->retention_s, 0))));
	rq_row_value(&row, Int64GetDatum(sums->enqueued));
	rq_row_time(&row, sums->unresolved_since);
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
		rq_look_end();
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
			rq_look_shows_group(group.slot);
		if (!shown || i >= rq_topic_nqueues(topic))
			i++;
		else if (!rq_resolve_try_refresh(rq_topic_queue(topic, i)))
		{
			lag += rq_look_lag(rq_topic_queue(topic, i),
							   rq_group_offset(group.slot, i),
							   &sums->places_budget, &from, &stable);
			i++;
		}
		rq_look_end();
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
		TopicSums	sums = {.places_budget = PLACES_BUDGET};
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
