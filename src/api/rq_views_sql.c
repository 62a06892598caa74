/*
 * rq_views_sql.c
 *	  Functions behind the monitoring views.  None of them looks at messages.
 */
#include "postgres.h"

#include <sys/stat.h>

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/pg_lsn.h"
#include "utils/timestamp.h"

#include "base/rq_guc.h"
#include "format/rq_segfmt.h"
#include "log/rq_log.h"
#include "queue/rq_cqueue.h"
#include "queue/rq_group.h"
#include "queue/rq_topic.h"
#include "shmem/rq_shmem.h"

PG_FUNCTION_INFO_V1(rocketq_get_queues);
PG_FUNCTION_INFO_V1(rocketq_get_groups);
PG_FUNCTION_INFO_V1(rocketq_get_segments);
PG_FUNCTION_INFO_V1(rocketq_get_workers);

/* A row under construction. */
typedef struct Row
{
	Datum		values[16];
	bool		nulls[16];
	int			n;
} Row;

static void
put(Row *row, Datum value)
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
put_time(Row *row, TimestampTz t)
{
	if (t == 0)
		put_null(row);
	else
		put(row, TimestampTzGetDatum(t));
}

static ReturnSetInfo *
begin(FunctionCallInfo fcinfo)
{
	rq_require_preload();
	InitMaterializedSRF(fcinfo, 0);
	return (ReturnSetInfo *) fcinfo->resultinfo;
}

static void
finish(ReturnSetInfo *rsinfo, Row *row)
{
	Assert(row->n == rsinfo->setDesc->natts);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc,
						 row->values, row->nulls);
}

/* Enqueue time of the first entry at or behind "off" that counts; 0 = none. */
static TimestampTz
time_at(uint32 topic, RqQueue *q, RqOff off)
{
	RqOff		stable = pg_atomic_read_u64(&q->stable);
	RqEntry		e;

	pg_read_barrier();
	for (int tries = 0; off < stable && tries < 1000; off++, tries++)
		if (rq_queue_entry(topic, q, off, &e) &&
			(e.len_flags & RQ_CQ_ABORTED) == 0)
			return e.enqueued_at;
	return 0;
}

static void
put_queue(ReturnSetInfo *rsinfo, uint32 topic, RqQueue *q)
{
	RqKey		key = rq_topic_key(topic);
	RqOff		start = pg_atomic_read_u64(&q->start);
	RqOff		stable = pg_atomic_read_u64(&q->stable);
	RqOff		end = pg_atomic_read_u64(&q->end);
	Row			row = {.n = 0};

	put(&row, ObjectIdGetDatum(key.db));
	put(&row, ObjectIdGetDatum(key.rel));
	put(&row, Int32GetDatum(q->id));
	put(&row, Int64GetDatum(start));
	put(&row, Int64GetDatum(stable));
	put(&row, Int64GetDatum(end));
	put_time(&row, time_at(topic, q, start));
	put_time(&row, start < stable ? time_at(topic, q, stable - 1) : 0);
	finish(rsinfo, &row);
}

Datum
rocketq_get_queues(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = begin(fcinfo);

	LWLockAcquire(rq_meta_lock, LW_SHARED);
	for (int t = 0; t < rq_max_topics; t++)
		for (uint32 i = 0; i < rq_topic_nqueues(t); i++)
			put_queue(rsinfo, t, rq_topic_queue(t, i));
	LWLockRelease(rq_meta_lock);
	return (Datum) 0;
}

static void
put_group_queue(ReturnSetInfo *rsinfo, uint32 topic, uint32 group, uint32 i)
{
	RqKey		key = rq_topic_key(topic);
	RqGroup    *g = &rq_groups[group];
	RqQueue    *q = rq_topic_queue(topic, i);
	RqOffset   *o = rq_group_offset(group, i);
	RqOff		committed = rq_offset_committed(o);
	RqOff		from = Max(committed, pg_atomic_read_u64(&q->start));
	RqOff		stable = pg_atomic_read_u64(&q->stable);
	Row			row = {.n = 0};

	put(&row, ObjectIdGetDatum(key.db));
	put(&row, ObjectIdGetDatum(key.rel));
	put(&row, Int64GetDatum((int64) g->id));
	put(&row, CStringGetTextDatum(g->name));
	put(&row, Int32GetDatum(i));
	put(&row, Int64GetDatum(committed));
	put(&row, Int64GetDatum(stable));
	put(&row, Int64GetDatum(stable > from ? stable - from : 0));
	put_time(&row, time_at(topic, q, from));
	put_time(&row, g->created_at);
	put_time(&row, o->changed_at);
	finish(rsinfo, &row);
}

static void
put_groups(ReturnSetInfo *rsinfo, uint32 topic)
{
	for (uint32 g = rq_topics[topic].first_group; g != RQ_NO_SLOT;
		 g = rq_groups[g].next)
	{
		uint64		xid;
		RqGroupState state = rq_group_state_locked(g, &xid);

		/* Another transaction's drop is not seen before its commit. */
		if (state == RQ_GROUP_ABSENT ||
			(state == RQ_GROUP_IN_DOUBT && rq_groups[g].claim_xid == 0 &&
			 rq_groups[g].pend_op == RQ_PEND_CREATE))
			continue;
		for (uint32 i = 0; i < rq_topic_nqueues(topic); i++)
			put_group_queue(rsinfo, topic, g, i);
	}
}

Datum
rocketq_get_groups(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = begin(fcinfo);

	LWLockAcquire(rq_meta_lock, LW_SHARED);
	for (int t = 0; t < rq_max_topics; t++)
		if (pg_atomic_read_u64(&rq_topics[t].key) != 0)
			put_groups(rsinfo, t);
	LWLockRelease(rq_meta_lock);
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

static void
put_segment(ReturnSetInfo *rsinfo, uint64 segno, RqPos log_end)
{
	RqPos		start = rq_log_segment_start(segno);
	RqPos		end = start + rq_ctl->segment_size;
	char		path[MAXPGPATH];
	struct stat st;
	Row			row = {.n = 0};

	rq_log_path(path, segno);
	put(&row, CStringGetTextDatum(path));
	put(&row, Int64GetDatum(start));
	put(&row, Int64GetDatum(end));
	if (stat(path, &st) == 0)
		put(&row, Int64GetDatum((int64) st.st_blocks * 512));
	else
		put_null(&row);
	put(&row, CStringGetTextDatum(end <= log_end ? "full" :
								  start < log_end ? "writing" : "ready"));
	put(&row, Int64GetDatum(Min(end, Max(start, log_end)) - start));
	put_time(&row, first_stored(start, Min(end, rq_log_safe_end())));
	finish(rsinfo, &row);
}

Datum
rocketq_get_segments(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = begin(fcinfo);
	RqPos		log_end = pg_atomic_read_u64(&rq_ctl->log_end);
	RqPos		last = Max(log_end, pg_atomic_read_u64(&rq_ctl->alloc_end));
	uint64		segno = rq_log_segno(pg_atomic_read_u64(&rq_ctl->log_start));

	for (; rq_log_segment_start(segno) < last; segno++)
		put_segment(rsinfo, segno, log_end);
	return (Datum) 0;
}

static void
put_worker(ReturnSetInfo *rsinfo, const char *name, RqWorkerKind kind)
{
	RqWorker   *w = &rq_ctl->worker[kind];
	Row			row = {.n = 0};

	put(&row, CStringGetTextDatum(name));
	if (w->pid != 0)
		put(&row, Int32GetDatum(w->pid));
	else
		put_null(&row);
	put_time(&row, w->started_at);
	put_time(&row, w->last_tick_at);
	put(&row, Int64GetDatum(w->ticks));
	if (kind == RQ_KEEPER)
	{
		put(&row, Int64GetDatum(rq_ctl->syncs));
		put_time(&row, rq_ctl->last_sync_at);
		put(&row, Float8GetDatum(rq_ctl->last_sync_us / 1000.0));
		put(&row, LSNGetDatum(rq_ctl->synced_redo));
	}
	else
		for (int i = 0; i < 4; i++)
			put_null(&row);
	finish(rsinfo, &row);
}

Datum
rocketq_get_workers(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = begin(fcinfo);

	put_worker(rsinfo, "keeper", RQ_KEEPER);
	put_worker(rsinfo, "allocator", RQ_ALLOCATOR);
	put_worker(rsinfo, "janitor", RQ_JANITOR);
	return (Datum) 0;
}
