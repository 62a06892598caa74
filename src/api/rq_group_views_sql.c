/*
 * rq_group_views_sql.c
 *	  Functions behind the views of consumer groups.
 */
#include "postgres.h"

#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "api/rq_look.h"
#include "api/rq_row.h"
#include "api/rq_sight.h"
#include "base/rq_text.h"
#include "consume/rq_rates.h"
#include "consume/rq_unused.h"
#include "queue/rq_queue.h"
#include "queue/rq_resolve.h"
#include "shmem/rq_shmem.h"
#include "topic/rq_group.h"
#include "topic/rq_topic.h"

PG_FUNCTION_INFO_V1(rocketq_get_groups);
PG_FUNCTION_INFO_V1(rocketq_get_group_totals);

/* Whose transaction has the queue for the group, -1 = nobody's; or all of it? */
static int
queue_owner(RqGroup *g, RqOffset *o, bool *whole)
{
	int			owner = (int) pg_atomic_read_u32(&g->owner) - 1;

	*whole = owner >= 0;
	return *whole ? owner : RQ_MARK_OWNER(pg_atomic_read_u64(&o->mark));
}

static void
put_owner(RqRow *row, RqGroup *g, RqOffset *o)
{
	bool		whole;
	int			owner = queue_owner(g, o, &whole);

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
	lag = rq_look_lag(q, o, budget, &from, &stable);
	oldest = rq_look_oldest(q, from, stable);
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
	rq_row_value(&row, Float8GetDatum(rq_seconds_since(oldest, now)));
	put_owner(&row, g, o);
	(void) rq_rates_of_offset(o, now, &rate);
	rq_row_rate(&row, &rate, rate.count);
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
	uint64		budget = RQ_LOOK_PLACES;

	for (uint32 g = 0; g < rq_groups_begun(); g++)
	{
		uint32		id = rq_groups[g].id;
		bool		more = id != 0;

		for (uint32 i = 0; more;)
		{
			rq_meta_lock_again();
			more = rq_groups[g].id == id && rq_look_shows_group(g) &&
				rq_sees(&sight, rq_topic_key(rq_groups[g].topic)) &&
				i < rq_topic_nqueues(rq_groups[g].topic);
			if (more && put_group_queue(rsinfo, g, i, now, &budget))
				i++;
			rq_look_end();
		}
	}
	return (Datum) 0;
}

/* Sums over the queues of a group. */
typedef struct GroupSums
{
	uint32		queues;
	uint32		owned;
	uint64		lag;
	uint64		committed;
	uint64		lost;
	bool		holds;			/* messages back from retention */
	TimestampTz oldest;			/* that it has not consumed */
	TimestampTz changed_at;
	RqRate		rate;			/* too low if it is_missing something */
} GroupSums;

static bool
add_group_queue(GroupSums *sums, uint32 group, uint32 i, TimestampTz now,
				uint64 *budget)
{
	RqGroup    *g = &rq_groups[group];
	RqQueue    *q = rq_topic_queue(g->topic, i);
	RqOffset   *o = rq_group_offset(group, i);
	RqOff		from;
	RqOff		stable;
	bool		whole;
	RqRate		rate = {0};

	if (rq_resolve_try_refresh(q))
		return false;
	sums->queues++;
	sums->lag += rq_look_lag(q, o, budget, &from, &stable);
	sums->committed += from;
	sums->oldest = rq_earlier(sums->oldest, rq_look_oldest(q, from, stable));
	sums->changed_at = Max(sums->changed_at, o->changed_at);
	sums->owned += queue_owner(g, o, &whole) >= 0;
	sums->lost += o->lost;
	if (rq_rates_of_offset(o, now, &rate))
	{
		sums->rate.count += rate.count;
		sums->rate.since = rq_earlier(sums->rate.since, rate.since);
	}
	else
		sums->rate.is_missing = true;
	return true;
}

/* The meta lock is held. */
static void
put_group_name(RqRow *row, uint32 group)
{
	RqGroup    *g = &rq_groups[group];
	RqKey		key = rq_topic_key(g->topic);

	rq_row_value(row, ObjectIdGetDatum(key.db));
	rq_row_value(row, ObjectIdGetDatum(key.rel));
	rq_row_value(row, CStringGetTextDatum(rq_text_from(key.db, g->name)));
	rq_row_time(row, g->created_at);
}

static void
put_group_sums(ReturnSetInfo *rsinfo, RqRow *row, const GroupSums *sums,
			   TimestampTz now)
{
	RqRate		rate = {0};

	if (!sums->rate.is_missing)
		rate = sums->rate;
	rq_row_value(row, Int32GetDatum(sums->queues));
	rq_row_value(row, Int64GetDatum(sums->lag));
	rq_row_value(row, Float8GetDatum(rq_seconds_since(sums->oldest, now)));
	rq_row_time(row, sums->oldest);
	rq_row_value(row, Int64GetDatum(sums->committed));
	rq_row_time(row, sums->changed_at);
	rq_row_value(row, Int32GetDatum(sums->owned));
	rq_row_rate(row, &rate, rate.count);
	rq_row_value(row, BoolGetDatum(sums->holds));
	rq_row_value(row, Int64GetDatum(sums->lost));
	rq_row_finish(rsinfo, row);
}

/*
 * Add up a group's queues, and begin its row.  False if the slot has another one,
 * or it is not shown.  The queues of a topic can become fewer meanwhile: then
 * those that were seen count.
 */
static bool
sum_group(uint32 group, uint32 id, const RqSight *sight, TimestampTz now,
		  uint64 *budget, GroupSums *sums, RqRow *row)
{
	bool		shown = true;

	for (uint32 i = 0; shown && row->n == 0;)
	{
		RqGroup    *g = &rq_groups[group];

		rq_meta_lock_again();
		shown = g->id == id && rq_look_shows_group(group) &&
			rq_sees(sight, rq_topic_key(g->topic));
		if (shown && i < rq_topic_nqueues(g->topic))
			i += add_group_queue(sums, group, i, now, budget) ? 1 : 0;
		else if (shown)
		{
			sums->holds = sums->lag > 0 && rq_group_holds(group);
			put_group_name(row, group);
		}
		rq_look_end();
	}
	return shown;
}

Datum
rocketq_get_group_totals(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = rq_rows_begin(fcinfo);
	RqSight		sight = rq_sight();
	TimestampTz now = GetCurrentTimestamp();
	uint64		budget = RQ_LOOK_PLACES;

	for (uint32 g = 0; g < rq_groups_begun(); g++)
	{
		uint32		id = rq_groups[g].id;
		GroupSums	sums = {0};
		RqRow		row = {.n = 0};

		if (id != 0 && sum_group(g, id, &sight, now, &budget, &sums, &row))
			put_group_sums(rsinfo, &row, &sums, now);
	}
	return (Datum) 0;
}
