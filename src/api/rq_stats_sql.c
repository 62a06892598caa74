/*
 * rq_stats_sql.c
 *	  Functions behind the views of counters and latency.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "shmem/rq_latency.h"
#include "shmem/rq_shmem.h"
#include "shmem/rq_stats.h"

PG_FUNCTION_INFO_V1(rocketq_get_stats);
PG_FUNCTION_INFO_V1(rocketq_get_latency);
PG_FUNCTION_INFO_V1(rocketq_get_latency_fine);
PG_FUNCTION_INFO_V1(rocketq_get_latency_histogram);
PG_FUNCTION_INFO_V1(rocketq_get_latency_summary);
PG_FUNCTION_INFO_V1(rocketq_stats_reset);

/* RocketMQ is known for the share that takes less than 10 ms. */
#define WITHIN_US	(10 * 1000)

static const double percentiles[] = {0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999};

/* ---- counters ---- */

static RqStat
stat_by_name(const char *name)
{
	for (int s = 0; s < RQ_NSTATS; s++)
		if (strcmp(rq_stat_name(s), name) == 0)
			return s;
	elog(ERROR, "there is no counter \"%s\"", name);
	return RQ_NSTATS;
}

/* One row; the columns' names determine which counter goes where. */
Datum
rocketq_get_stats(PG_FUNCTION_ARGS)
{
	uint64		counts[RQ_NSTATS];
	Datum		values[RQ_NSTATS + 1];
	bool		nulls[RQ_NSTATS + 1] = {0};
	TimestampTz since;
	TupleDesc	desc;

	rq_require_preload();
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE ||
		desc->natts != RQ_NSTATS + 1)
		elog(ERROR, "unexpected result type");
	since = rq_stats_read(counts);
	for (int i = 0; i < RQ_NSTATS; i++)
	{
		const char *name = NameStr(TupleDescAttr(desc, i)->attname);

		values[i] = Int64GetDatum((int64) counts[stat_by_name(name)]);
	}
	values[RQ_NSTATS] = TimestampTzGetDatum(since);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc),
													  values, nulls)));
}

Datum
rocketq_stats_reset(PG_FUNCTION_ARGS)
{
	TimestampTz now = GetCurrentTimestamp();

	rq_require_preload();
	rq_stats_reset(now);
	rq_latency_reset(now);
	PG_RETURN_VOID();
}

/* ---- latency ---- */

/* Nanoseconds as milliseconds, rounded to the microsecond. */
static Datum
ms_datum(double ns)
{
	return Float8GetDatum(rint(ns / 1000) / 1000);
}

/* Rounded down, so that only the whole is 100. */
static Datum
percent_datum(uint64 part, uint64 whole)
{
	return Float8GetDatum(floor(1e6 * (double) part / (double) whole) / 1e4);
}

/* Adds the rows of one phase. */
typedef void (*PutPhase) (ReturnSetInfo *rsinfo, RqPhase phase,
						  const RqLatency *latency);

static Datum
put_phases(FunctionCallInfo fcinfo, PutPhase put)
{
	RqLatency  *latency = palloc(sizeof(RqLatency));

	rq_require_preload();
	InitMaterializedSRF(fcinfo, 0);
	for (int p = 0; p < RQ_NPHASES; p++)
	{
		rq_latency_read(p, latency);
		put((ReturnSetInfo *) fcinfo->resultinfo, p, latency);
	}
	return (Datum) 0;
}

static void
put_row(ReturnSetInfo *rsinfo, RqPhase phase, Datum *values, bool *nulls)
{
	values[0] = CStringGetTextDatum(rq_phase_name(phase));
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/* RocketMQ's. */
static void
put_buckets(ReturnSetInfo *rsinfo, RqPhase phase, const RqLatency *latency)
{
	uint64		count = 0;

	for (int i = 0; i < RQ_LATENCY_BUCKETS; i++)
	{
		const char *name = rq_latency_bucket_name(i);
		Datum		values[4];
		bool		nulls[4] = {0};

		count += latency->bucket[i];
		if (name == NULL)
			continue;
		values[1] = CStringGetTextDatum(name);
		values[2] = Int64GetDatum((int64) count);
		nulls[3] = latency->count == 0;
		if (!nulls[3])
			values[3] = percent_datum(count, latency->count);
		put_row(rsinfo, phase, values, nulls);
		count = 0;
	}
}

Datum
rocketq_get_latency(PG_FUNCTION_ARGS)
{
	return put_phases(fcinfo, put_buckets);
}

/* As Prometheus has it: counts are cumulative, and the last limit is left out. */
static void
put_histogram(ReturnSetInfo *rsinfo, RqPhase phase, const RqLatency *latency)
{
	Datum		limits[RQ_LATENCY_BUCKETS - 1];
	Datum		counts[RQ_LATENCY_BUCKETS - 1];
	uint64		count = 0;
	Datum		values[6];
	bool		nulls[6] = {0};

	for (int i = 0; i < RQ_LATENCY_BUCKETS - 1; i++)
	{
		count += latency->bucket[i];
		limits[i] = Float8GetDatum((double) rq_latency_bucket_end_us(i) / USECS_PER_SEC);
		counts[i] = Int64GetDatum((int64) count);
	}
	values[1] = PointerGetDatum(construct_array(limits, lengthof(limits), FLOAT8OID,
												sizeof(float8), FLOAT8PASSBYVAL,
												TYPALIGN_DOUBLE));
	values[2] = PointerGetDatum(construct_array(counts, lengthof(counts), INT8OID,
												sizeof(int64), FLOAT8PASSBYVAL,
												TYPALIGN_DOUBLE));
	values[3] = Int64GetDatum((int64) latency->count);
	values[4] = Float8GetDatum((double) latency->sum_ns / 1e9);
	values[5] = TimestampTzGetDatum(latency->since);
	put_row(rsinfo, phase, values, nulls);
}

Datum
rocketq_get_latency_histogram(PG_FUNCTION_ARGS)
{
	return put_phases(fcinfo, put_histogram);
}

static void
put_fine(ReturnSetInfo *rsinfo, RqPhase phase, const RqLatency *latency)
{
	for (int i = 0; i < RQ_FINE_BUCKETS; i++)
	{
		Datum		values[4];
		bool		nulls[4] = {0};

		if (latency->fine[i] == 0)
			continue;
		values[1] = ms_datum(rq_fine_start_us(i) * 1e3);
		nulls[2] = i == RQ_FINE_BUCKETS - 1;
		if (!nulls[2])
			values[2] = ms_datum(rq_fine_start_us(i + 1) * 1e3);
		values[3] = Int64GetDatum((int64) latency->fine[i]);
		put_row(rsinfo, phase, values, nulls);
	}
}

Datum
rocketq_get_latency_fine(PG_FUNCTION_ARGS)
{
	return put_phases(fcinfo, put_fine);
}

static void
put_summary(ReturnSetInfo *rsinfo, RqPhase phase, const RqLatency *latency)
{
	Datum		values[6 + lengthof(percentiles)];
	bool		nulls[6 + lengthof(percentiles)] = {0};
	uint64		within = 0;
	int			n = 2;

	for (int i = 0; rq_latency_bucket_end_us(i) <= WITHIN_US; i++)
		within += latency->bucket[i];
	values[1] = Int64GetDatum((int64) latency->count);
	if (latency->count == 0)
		while (n < 5 + lengthof(percentiles))
			nulls[n++] = true;
	else
	{
		values[n++] = ms_datum((double) latency->sum_ns / latency->count);
		for (int i = 0; i < lengthof(percentiles); i++)
			values[n++] = ms_datum(rq_latency_percentile_ns(latency, percentiles[i]));
		values[n++] = ms_datum(latency->max_ns);
		values[n++] = percent_datum(within, latency->count);
	}
	values[n++] = TimestampTzGetDatum(latency->since);
	Assert(n == rsinfo->setDesc->natts);
	put_row(rsinfo, phase, values, nulls);
}

Datum
rocketq_get_latency_summary(PG_FUNCTION_ARGS)
{
	return put_phases(fcinfo, put_summary);
}
