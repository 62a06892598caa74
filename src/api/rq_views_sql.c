/*
 * rq_views_sql.c
 *	  Functions behind the monitoring views.  None of them reads messages.
 *
 * They resolve the queues they show: on a standby nobody else may do so for a
 * while, and while replay is paused, committed messages would not be counted.
 */
#include "postgres.h"

#include <sys/stat.h>

#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/pg_lsn.h"
#include "utils/timestamp.h"

#include "api/rq_sight.h"
#include "base/rq_fault.h"
#include "base/rq_guc.h"
#include "base/rq_text.h"
#include "consume/rq_rates.h"
#include "consume/rq_saved.h"
#include "consume/rq_unused.h"
#include "format/rq_segfmt.h"
#include "log/rq_log.h"
#include "queue/rq_queue.h"
#include "queue/rq_resolve.h"
#include "retain/rq_expire.h"
#include "retain/rq_kept.h"
#include "shmem/rq_shmem.h"
#include "shmem/rq_workers.h"
#include "topic/rq_group.h"
#include "topic/rq_topic.h"
#include "wal/rq_state.h"

PG_FUNCTION_INFO_V1(rocketq_get_topics);
PG_FUNCTION_INFO_V1(rocketq_get_queues);
PG_FUNCTION_INFO_V1(rocketq_get_groups);
PG_FUNCTION_INFO_V1(rocketq_get_segments);
PG_FUNCTION_INFO_V1(rocketq_get_workers);

/* A row under construction. */
typedef struct Row
{
	Datum		values[24];
	bool		nulls[24];
	int			n;
} Row;

static void
put_value(Row *row, Datum value)
{
	row->values[row->n] = value;
	row->nulls[row->n++] = false;
}

static void
put_null(Row *row)
{
	row->values[row->n] = (Datum) 0;
	row->nulls[row->n++] = true;
}

static void
put_if(Row *row, bool known, Datum value)
{
	if (known)
		put_value(row, value);
	else
		put_null(row);
}

static void
put_time(Row *row, TimestampTz t)
{
	put_if(row, t != 0, TimestampTzGetDatum(t));
}

static void
put_pid(Row *row, int pid)
{
	put_if(row, pid != 0, Int32GetDatum(pid));
}

static void
put_rate(Row *row, const RqRate *rate, double per_second)
{
	put_if(row, rate->since != 0, Float8GetDatum(per_second));
}

static ReturnSetInfo *
begin_rows(FunctionCallInfo fcinfo)
{
	rq_require_preload();
	InitMaterializedSRF(fcinfo, 0);
	return (ReturnSetInfo *) fcinfo->resultinfo;
}

static void
finish_row(ReturnSetInfo *rsinfo, Row *row)
{
	Assert(row->n == rsinfo->setDesc->natts);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc,
						 row->values, row->nulls);
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
			if ((e.len_flags & RQ_CQ_ABORTED) == 0)
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
put_unresolved(Row *row, RqQueue *q)
{
	TimestampTz since;
	int			pid;

	if (rq_resolve_blocker(q, &since, &pid))
	{
		put_time(row, since);
		put_pid(row, pid);
	}
	else
	{
		put_null(row);
		put_null(row);
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
	Row			row = {.n = 0};

	if (rq_resolve_try_refresh(q))
		return false;
	c = rq_queue_counts(q);
	put_value(&row, ObjectIdGetDatum(key.db));
	put_value(&row, ObjectIdGetDatum(key.rel));
	put_value(&row, Int32GetDatum(q->id));
	put_value(&row, Int64GetDatum(c.start));
	put_value(&row, Int64GetDatum(c.stable));
	put_value(&row, Int64GetDatum(c.end));
	put_time(&row, oldest_at(q, c.start, c.stable));
	put_time(&row, newest_at(q, c.start, c.stable));
	put_value(&row, Int64GetDatum(c.bytes_end - c.bytes_start));
	put_unresolved(&row, q);
	(void) rq_rates_of_queue(q, now, &rate);
	put_rate(&row, &rate, rate.count);
	put_rate(&row, &rate, rate.bytes);
	put_time(&row, rate.since);
	finish_row(rsinfo, &row);
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
	ReturnSetInfo *rsinfo = begin_rows(fcinfo);
	RqSight		sight = rq_sight();
	TimestampTz now = GetCurrentTimestamp();

	for (int t = 0; t < rq_max_topics; t++)
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
put_owner(Row *row, RqGroup *g, RqOffset *o)
{
	uint32		owner = pg_atomic_read_u32(&g->owner);
	bool		whole = owner != 0;

	if (!whole)
		owner = pg_atomic_read_u32(&o->owner);
	pg_read_barrier();
	put_pid(row, owner != 0 ? ProcGlobal->allProcs[owner - 1].pid : 0);
	put_time(row, owner == 0 ? 0 : whole ? g->owner_since : o->owner_since);
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
	Row			row = {.n = 0};

	if (rq_resolve_try_refresh(q))
		return false;
	lag = lag_of(q, o, budget, &from, &stable);
	oldest = oldest_at(q, from, stable);
	put_value(&row, ObjectIdGetDatum(key.db));
	put_value(&row, ObjectIdGetDatum(key.rel));
	put_value(&row, Int64GetDatum((int64) g->id));
	put_value(&row, CStringGetTextDatum(rq_text_from(key.db, g->name)));
	put_value(&row, Int32GetDatum(i));
	put_value(&row, Int64GetDatum(from));
	put_value(&row, Int64GetDatum(stable));
	put_value(&row, Int64GetDatum(lag));
	put_time(&row, oldest);
	put_time(&row, g->created_at);
	put_time(&row, o->changed_at);
	put_value(&row, Float8GetDatum(oldest == 0 || oldest > now ? 0.0 :
								   (double) (now - oldest) / USECS_PER_SEC));
	put_owner(&row, g, o);
	(void) rq_rates_of_offset(o, now, &rate);
	put_rate(&row, &rate, rate.count);
	put_value(&row, BoolGetDatum(lag > 0 && rq_group_holds(group)));
	put_value(&row, Int64GetDatum(o->lost));
	finish_row(rsinfo, &row);
	return true;
}

Datum
rocketq_get_groups(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = begin_rows(fcinfo);
	RqSight		sight = rq_sight();
	TimestampTz now = GetCurrentTimestamp();
	uint64		budget = PLACES_BUDGET_CALL;

	for (int g = 0; g < rq_max_groups; g++)
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
	RqRate		rate;
	int			retention_s;
} TopicSums;

static bool
add_queue(TopicSums *sums, RqQueue *q, TimestampTz now)
{
	RqQueueCounts c;
	TimestampTz oldest;
	RqRate		rate;

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
		return true;
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
	Row			row = {.n = 0};

	put_value(&row, ObjectIdGetDatum(key.db));
	put_value(&row, ObjectIdGetDatum(key.rel));
	put_value(&row, Int32GetDatum(sums->queues));
	put_value(&row, Int32GetDatum(sums->groups));
	put_value(&row, Int64GetDatum(sums->messages));
	put_value(&row, Int64GetDatum(sums->bytes));
	put_value(&row, Int64GetDatum(sums->unresolved));
	put_if(&row, sums->groups > 0, Int64GetDatum(sums->max_lag));
	put_time(&row, sums->oldest);
	put_time(&row, sums->newest);
	put_rate(&row, &sums->rate, sums->rate.count);
	put_rate(&row, &sums->rate, sums->rate.bytes);
	put_time(&row, sums->rate.since);
	put_if(&row, sums->retention_s >= 0,
		   IntervalPGetDatum(seconds_interval(Max(sums->retention_s, 0))));
	finish_row(rsinfo, &row);
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
	ReturnSetInfo *rsinfo = begin_rows(fcinfo);
	RqSight		sight = rq_sight();
	TimestampTz now = GetCurrentTimestamp();

	for (int t = 0; t < rq_max_topics; t++)
	{
		TopicSums	sums = {.places_budget = PLACES_BUDGET_ROW};
		RqKey		key;

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

/* When the segment's first message was stored, 0 if it has none. */
static TimestampTz
first_stored(RqPos start, RqPos end)
{
	RqFrame		frame;
	RqPos		next;
	const char *problem;

	if (rq_log_walk(&start, end, &frame, &next, &problem) && problem == NULL)
		return frame.stored_at;
	return 0;
}

/* Why a segment exists. */
static char *
why_kept(RqPos start, RqPos end, RqPos log_end, const RqKept *kept)
{
	if (start >= log_end)
		return pstrdup("ready for use");
	if (end > log_end)
		return pstrdup("being written");
	if (RecoveryInProgress())
		return pstrdup("the primary");
	if (kept->what == RQ_KEEPS_UNKNOWN)
		return rq_kept_by(kept);
	if (end <= kept->pos)
		return pstrdup("to be removed");
	if (start > kept->pos)
		return pstrdup("the segments before it");
	return rq_kept_by(kept);
}

static void
put_segment(ReturnSetInfo *rsinfo, uint64 segno, RqPos log_end,
			const RqKept *kept)
{
	RqPos		start = rq_log_segment_start(segno);
	RqPos		end = start + rq_log->segment_size;
	RqPos		safe_end = rq_log_safe_end();
	char		path[MAXPGPATH];
	struct stat st;
	Row			row = {.n = 0};

	rq_log_path(path, segno);
	put_value(&row, CStringGetTextDatum(path));
	put_value(&row, Int64GetDatum(start));
	put_value(&row, Int64GetDatum(end));
	if (stat(path, &st) == 0)
		put_value(&row, Int64GetDatum((int64) st.st_blocks * 512));
	else
		put_null(&row);
	put_value(&row, CStringGetTextDatum(end <= log_end ? "full" :
										start < log_end ? "writing" : "ready"));
	put_value(&row, Int64GetDatum(Min(end, Max(start, log_end)) - start));
	put_time(&row, first_stored(start, Min(end, safe_end)));
	put_time(&row, first_stored(end, Min(end + rq_log->segment_size, safe_end)));
	put_value(&row, CStringGetTextDatum(why_kept(start, end, log_end, kept)));
	finish_row(rsinfo, &row);
}

Datum
rocketq_get_segments(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = begin_rows(fcinfo);
	RqPos		log_end = pg_atomic_read_u64(&rq_log->end);
	RqPos		last = Max(log_end, pg_atomic_read_u64(&rq_log->alloc_end));
	uint64		segno = rq_log_segno(pg_atomic_read_u64(&rq_log->start));
	RqKept		kept = rq_kept_get();

	for (; rq_log_segment_start(segno) < last; segno++)
		put_segment(rsinfo, segno, log_end, &kept);
	return (Datum) 0;
}

static const char *
worker_state(const RqWorker *w)
{
	static const char *const names[] = {
		[RQ_WORKER_STARTING] = "starting",
		[RQ_WORKER_IDLE] = "idle",
		[RQ_WORKER_WORKING] = "working",
		[RQ_WORKER_SYNCING] = "syncing",
	};

	if (w->pid == 0)
		return RecoveryInProgress() ? "in recovery" : "stopped";
	return w->failing ? "failing" : names[w->state];
}

static void
put_worker_errors(Row *row, RqWorker *w)
{
	char		message[RQ_WORKER_ERROR_MAX];
	uint64		errors;
	TimestampTz at;

	SpinLockAcquire(&w->error_lock);
	errors = w->errors;
	at = w->last_error_at;
	strlcpy(message, w->last_error, sizeof(message));
	SpinLockRelease(&w->error_lock);
	put_value(row, Int64GetDatum(errors));
	put_time(row, at);
	put_if(row, errors > 0, CStringGetTextDatum(message));
}

static void
put_worker(ReturnSetInfo *rsinfo, const char *name, RqWorkerKind kind)
{
	RqWorker   *w = &rq_workers[kind];
	bool		has_synced = kind == RQ_KEEPER && rq_store->syncs > 0;
	Row			row = {.n = 0};

	put_value(&row, CStringGetTextDatum(name));
	put_pid(&row, w->pid);
	put_time(&row, w->started_at);
	put_time(&row, w->last_tick_at);
	put_value(&row, Int64GetDatum(w->ticks));
	put_if(&row, kind == RQ_KEEPER, Int64GetDatum(rq_store->syncs));
	put_time(&row, kind == RQ_KEEPER ? rq_store->last_sync_at : 0);
	put_if(&row, has_synced, Float8GetDatum(rq_store->last_sync_us / 1000.0));
	put_if(&row, kind == RQ_KEEPER && rq_store->synced_redo != InvalidXLogRecPtr,
		   LSNGetDatum(rq_store->synced_redo));
	put_value(&row, CStringGetTextDatum(worker_state(w)));
	put_worker_errors(&row, w);
	put_if(&row, has_synced, Int64GetDatum(rq_store->last_sync_bytes));
	finish_row(rsinfo, &row);
}

Datum
rocketq_get_workers(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = begin_rows(fcinfo);

	put_worker(rsinfo, "keeper", RQ_KEEPER);
	put_worker(rsinfo, "allocator", RQ_ALLOCATOR);
	put_worker(rsinfo, "janitor", RQ_JANITOR);
	return (Datum) 0;
}
