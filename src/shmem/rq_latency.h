/*
 * rq_latency.h
 *	  How long producing takes: histograms, for the views of latency.
 *
 * Kept like the counters (rq_stats.h): each process has histograms of its own
 * and is the only one to write them, readers add up.  A sample costs two
 * readings of the clock and a few stores.
 *
 * Fine buckets are log-linear: one per microsecond up to 32, then 32 per power
 * of two, so from there on none is wider than about 3 percent of its times.
 * Buckets with round limits are counted separately, since these are not among
 * those of the fine ones.
 */
#ifndef RQ_LATENCY_H
#define RQ_LATENCY_H

#include "datatype/timestamp.h"
#include "portability/instr_time.h"

#include "base/rq_guc.h"
#include "shmem/rq_parts.h"

/* What is timed. */
typedef enum RqPhase
{
	RQ_PHASE_PRODUCE,			/* one call of rq_produce() */
	RQ_PHASE_VISIBLE,			/* from the beginning of pre-commit, or of
								 * enqueueing without a transaction, until the
								 * entries are resolved */
	RQ_NPHASES
} RqPhase;

/*
 * Buckets whose limits are round numbers, for monitoring.  RocketMQ's 13, below
 * 1 ms, ..., from 10 s on, are one or more of them each.
 */
#define RQ_LATENCY_BUCKETS	25

/* Fine buckets per power of two, and the powers of two they cover. */
#define RQ_FINE_BITS		5
#define RQ_FINE_MAX_BITS	27
#define RQ_FINE_BUCKETS \
	(((RQ_FINE_MAX_BITS - RQ_FINE_BITS + 1) << RQ_FINE_BITS) + 1)

/* The samples of all processes since the last reset. */
typedef struct RqLatency
{
	uint64		count;
	uint64		bucket[RQ_LATENCY_BUCKETS];
	uint64		fine[RQ_FINE_BUCKETS];
	uint64		sum_ns;
	uint64		max_ns;
	TimestampTz since;
} RqLatency;

/* Begin a sample; zero, which ends without one, when nothing is timed. */
static inline instr_time
rq_latency_begin(void)
{
	instr_time	start;

	if (likely(rq_track_latency))
		INSTR_TIME_SET_CURRENT(start);
	else
		INSTR_TIME_SET_ZERO(start);
	return start;
}

/* End a sample and count it; can't fail. */
extern void rq_latency_end(RqPhase phase, instr_time start);

extern const char *rq_phase_name(RqPhase phase);

/*
 * The microsecond that a bucket ends before, PG_UINT64_MAX for the last one; and
 * RocketMQ's name, if a bucket of RocketMQ's ends there, else NULL.
 */
extern uint64 rq_latency_bucket_end_us(int bucket);
extern const char *rq_latency_bucket_name(int bucket);

/* The first microsecond of a fine bucket. */
extern uint64 rq_fine_start_us(int fine);

extern void rq_latency_read(RqPhase phase, RqLatency *latency);
extern void rq_latency_reset(TimestampTz now);

/*
 * The time in nanoseconds that a share of the samples does not exceed; there
 * must be some.
 */
extern uint64 rq_latency_percentile_ns(const RqLatency *latency, double share);

extern const RqPart rq_latency_part;

#endif							/* RQ_LATENCY_H */
