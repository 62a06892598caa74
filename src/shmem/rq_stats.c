/*
 * rq_stats.c
 *	  Cumulative counters of what rocketq does.
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "base/rq_error.h"
#include "shmem/rq_stats.h"

/* The sums at the last reset; under rq_stats_lock. */
typedef struct Baseline
{
	TimestampTz at;
	uint64		count[RQ_NSTATS];
} Baseline;

RqStatsSlot *rq_stats_slots = NULL;
LWLock	   *rq_stats_lock = NULL;

static Baseline *baseline = NULL;

static Size
stats_size(void)
{
	return add_size(rq_table_size(rq_max_backends(), sizeof(RqStatsSlot)),
					rq_table_size(1, sizeof(Baseline)));
}

static void
count_damage(void)
{
	rq_count(RQ_STAT_DAMAGE_MET, 1);
}

static void
stats_init(void)
{
	rq_corruption_counter = count_damage;
	rq_stats_lock = &rq_part_locks(&rq_stats_part)->lock;
	if (rq_table_create("rocketq counters", rq_max_backends(),
						sizeof(RqStatsSlot), (void **) &rq_stats_slots))
		for (int i = 0; i < rq_max_backends(); i++)
			for (int s = 0; s < RQ_NSTATS; s++)
				pg_atomic_init_u64(&rq_stats_slots[i].count[s], 0);
	if (rq_table_create("rocketq counters at reset", 1, sizeof(Baseline),
						(void **) &baseline))
		baseline->at = GetCurrentTimestamp();
}

const RqPart rq_stats_part = {
	.name = "counters",
	.shmem_size = stats_size,
	.shmem_init = stats_init,
	.locks_name = "RocketqStats",
	.nlocks = 1
};

const char *
rq_stat_name(RqStat stat)
{
#define RQ_STATS_NAME(symbol, name) name,
	static const char *const names[] = {RQ_STATS(RQ_STATS_NAME)};

	return names[stat];
}

void
rq_count_refused_file(int err)
{
	rq_count(err == ENOSPC || err == EDQUOT ? RQ_STAT_REFUSED_DISK_FULL :
			 RQ_STAT_REFUSED_FILE_ERROR, 1);
}

static void
sum_counts(uint64 counts[RQ_NSTATS])
{
	memset(counts, 0, RQ_NSTATS * sizeof(uint64));
	for (int i = 0; i < rq_max_backends(); i++)
		for (int s = 0; s < RQ_NSTATS; s++)
			counts[s] += pg_atomic_read_u64(&rq_stats_slots[i].count[s]);
}

/*
 * With the lock from before the sums are taken: if a reset came in between, it
 * would remember more than was added up here, and the differences would be
 * below zero.
 */
TimestampTz
rq_stats_read(uint64 counts[RQ_NSTATS])
{
	TimestampTz since;

	LWLockAcquire(rq_stats_lock, LW_SHARED);
	sum_counts(counts);
	for (int s = 0; s < RQ_NSTATS; s++)
		counts[s] -= baseline->count[s];
	since = baseline->at;
	LWLockRelease(rq_stats_lock);
	return since;
}

/*
 * Others go on counting while this adds up.  What they count then belongs to
 * one side of the reset or the other, for each counter by itself.
 */
void
rq_stats_reset(TimestampTz now)
{
	LWLockAcquire(rq_stats_lock, LW_EXCLUSIVE);
	sum_counts(baseline->count);
	baseline->at = now;
	LWLockRelease(rq_stats_lock);
}
