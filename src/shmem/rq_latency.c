/*
 * rq_latency.c
 *	  How long producing takes: histograms.
 *
 * Like counters (rq_stats.h), histograms are never cleared; a reset remembers
 * their sums, and readers subtract them.  Only the maximum cannot be
 * subtracted, so a reset sets it to 0 in every process's slot.
 */
#include "postgres.h"

#include <math.h>

#include "port/pg_bitutils.h"
#include "utils/timestamp.h"

#include "base/rq_compat.h"
#include "shmem/rq_latency.h"
#include "shmem/rq_shmem.h"
#include "shmem/rq_stats.h"

/* The samples of one process in one phase. */
typedef struct Histogram
{
	pg_atomic_uint64 bucket[RQ_LATENCY_BUCKETS];
	pg_atomic_uint64 sum_ns;
	pg_atomic_uint64 max_ns;	/* a reset makes it 0 */
	pg_atomic_uint64 fine[RQ_FINE_BUCKETS];
} Histogram;

typedef union Slot
{
	Histogram	phase[RQ_NPHASES];
	char		pad[TYPEALIGN(PG_CACHE_LINE_SIZE,
							  RQ_NPHASES * sizeof(Histogram))];
} Slot;

/*
 * The microsecond each bucket ends before, and RocketMQ's name for those that
 * end there.  10 ms have the narrowest around them.
 */
static const struct
{
	uint64		end_us;
	const char *name;
}			buckets[RQ_LATENCY_BUCKETS] = {
	{10, NULL},
	{25, NULL},
	{50, NULL},
	{100, NULL},
	{250, NULL},
	{500, NULL},
	{1000, "[<=0ms]"},
	{2000, NULL},
	{3000, NULL},
	{5000, NULL},
	{7500, NULL},
	{10 * 1000, "[0~10ms]"},
	{15 * 1000, NULL},
	{25 * 1000, NULL},
	{50 * 1000, "[10~50ms]"},
	{100 * 1000, "[50~100ms]"},
	{200 * 1000, "[100~200ms]"},
	{500 * 1000, "[200~500ms]"},
	{1000 * 1000, "[500ms~1s]"},
	{2000 * 1000, "[1~2s]"},
	{3000 * 1000, "[2~3s]"},
	{4000 * 1000, "[3~4s]"},
	{5000 * 1000, "[4~5s]"},
	{10000 * 1000, "[5~10s]"},
	{PG_UINT64_MAX, "[10s~]"},
};

static Slot *slots = NULL;

/* The sums at the last reset, one per phase; under rq_stats_lock. */
static RqLatency *baseline = NULL;

static Size
latency_size(void)
{
	return add_size(rq_table_size(rq_max_backends(), sizeof(Slot)),
					rq_table_size(RQ_NPHASES, sizeof(RqLatency)));
}

static void
init_histogram(Histogram *h)
{
	for (int i = 0; i < RQ_LATENCY_BUCKETS; i++)
		pg_atomic_init_u64(&h->bucket[i], 0);
	for (int i = 0; i < RQ_FINE_BUCKETS; i++)
		pg_atomic_init_u64(&h->fine[i], 0);
	pg_atomic_init_u64(&h->sum_ns, 0);
	pg_atomic_init_u64(&h->max_ns, 0);
}

static void
latency_init(void)
{
	TimestampTz now = GetCurrentTimestamp();

	if (rq_table_create("rocketq latency", rq_max_backends(), sizeof(Slot),
						(void **) &slots))
		for (int i = 0; i < rq_max_backends(); i++)
			for (int p = 0; p < RQ_NPHASES; p++)
				init_histogram(&slots[i].phase[p]);
	if (rq_table_create("rocketq latency at reset", RQ_NPHASES,
						sizeof(RqLatency), (void **) &baseline))
		for (int p = 0; p < RQ_NPHASES; p++)
			baseline[p].since = now;
}

const RqPart rq_latency_part = {
	.name = "latency",
	.shmem_size = latency_size,
	.shmem_init = latency_init
};

const char *
rq_phase_name(RqPhase phase)
{
	return phase == RQ_PHASE_PRODUCE ? "produce" : "visible";
}

uint64
rq_latency_bucket_end_us(int bucket)
{
	return buckets[bucket].end_us;
}

const char *
rq_latency_bucket_name(int bucket)
{
	return buckets[bucket].name;
}

/* The last bucket has no end, so the search has one. */
static int
bucket_of(uint64 us)
{
	int			i = 0;

	while (us >= buckets[i].end_us)
		i++;
	return i;
}

/*
 * The fine bucket of a time; rq_fine_start_us() is the reverse.  "shift" is
 * how many of its low bits a bucket does not tell apart.
 */
static int
fine_of(uint64 us)
{
	int			shift;

	if (us < (1 << RQ_FINE_BITS))
		return (int) us;
	if (us >= UINT64CONST(1) << RQ_FINE_MAX_BITS)
		return RQ_FINE_BUCKETS - 1;
	shift = pg_leftmost_one_pos64(us) - RQ_FINE_BITS;
	return (shift << RQ_FINE_BITS) + (int) (us >> shift);
}

uint64
rq_fine_start_us(int fine)
{
	const int	per_power = 1 << RQ_FINE_BITS;

	if (fine < 2 * per_power)
		return fine;
	return (uint64) (per_power + fine % per_power) << (fine / per_power - 1);
}

/*
 * Each of these counters is written by this process only, but for a reset of
 * the maximum.  Readers can find a sample in some of them and not yet in the
 * others.
 */
void
rq_latency_end(RqPhase phase, instr_time start)
{
	Histogram  *h = &slots[RQ_MY_PROC_NUMBER].phase[phase];
	instr_time	time;
	uint64		ns;

	if (INSTR_TIME_IS_ZERO(start))
		return;
	INSTR_TIME_SET_CURRENT(time);
	INSTR_TIME_SUBTRACT(time, start);
	ns = rq_instr_time_ns(time);

	rq_count_up(&h->bucket[bucket_of(ns / NS_PER_US)], 1);
	rq_count_up(&h->fine[fine_of(ns / NS_PER_US)], 1);
	rq_count_up(&h->sum_ns, ns);
	if (ns > pg_atomic_read_u64(&h->max_ns))
		pg_atomic_write_u64(&h->max_ns, ns);
}

static void
add_histogram(RqLatency *to, Histogram *h)
{
	uint64		max_ns = pg_atomic_read_u64(&h->max_ns);

	for (int i = 0; i < RQ_LATENCY_BUCKETS; i++)
		to->bucket[i] += pg_atomic_read_u64(&h->bucket[i]);
	for (int i = 0; i < RQ_FINE_BUCKETS; i++)
		to->fine[i] += pg_atomic_read_u64(&h->fine[i]);
	to->sum_ns += pg_atomic_read_u64(&h->sum_ns);
	to->max_ns = Max(to->max_ns, max_ns);
}

/* Everything since the server started, but for max_ns. */
static void
sum_phase(RqPhase phase, RqLatency *to)
{
	memset(to, 0, sizeof(*to));
	for (int i = 0; i < rq_max_backends(); i++)
		add_histogram(to, &slots[i].phase[phase]);
}

/*
 * The count is the sum of the buckets, not a counter of its own: so it always
 * fits what is shown with it.
 */
void
rq_latency_read(RqPhase phase, RqLatency *latency)
{
	const RqLatency *base = &baseline[phase];

	LWLockAcquire(rq_stats_lock, LW_SHARED);
	sum_phase(phase, latency);
	for (int i = 0; i < RQ_LATENCY_BUCKETS; i++)
	{
		latency->bucket[i] -= base->bucket[i];
		latency->count += latency->bucket[i];
	}
	for (int i = 0; i < RQ_FINE_BUCKETS; i++)
		latency->fine[i] -= base->fine[i];
	latency->sum_ns -= base->sum_ns;
	latency->since = base->since;
	LWLockRelease(rq_stats_lock);
}

/*
 * A process that takes a sample at this very moment can bring back or lose its
 * own maximum.
 */
void
rq_latency_reset(TimestampTz now)
{
	LWLockAcquire(rq_stats_lock, LW_EXCLUSIVE);
	for (int p = 0; p < RQ_NPHASES; p++)
	{
		for (int i = 0; i < rq_max_backends(); i++)
			pg_atomic_write_u64(&slots[i].phase[p].max_ns, 0);
		sum_phase(p, &baseline[p]);
		baseline[p].since = now;
	}
	LWLockRelease(rq_stats_lock);
}

/*
 * The end of the bucket that holds the sample of that rank: a little too much,
 * but never more than the maximum.
 */
uint64
rq_latency_percentile_ns(const RqLatency *latency, double share)
{
	uint64		rank = (uint64) ceil(share * (double) latency->count);
	uint64		seen = 0;
	int			i;

	for (i = 0; i < RQ_FINE_BUCKETS - 1; i++)
	{
		seen += latency->fine[i];
		if (seen >= Max(rank, 1))
			return Min(rq_fine_start_us(i + 1) * NS_PER_US, latency->max_ns);
	}
	return latency->max_ns;
}
