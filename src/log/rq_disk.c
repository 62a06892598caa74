/*
 * rq_disk.c
 *	  How full the file system of the store is, and what follows from it.
 *
 * There are three thresholds, each a share of the file system that is used:
 * for a warning, for trimming early what nobody needs (retain/rq_retain.c),
 * and for refusing producers while all else goes on.  A threshold that has
 * been crossed upwards is crossed downwards a little below it, so that use
 * that hovers around it does not fill the server log.  Two workers check; the
 * one that first finds a crossing reports it.
 */
#include "postgres.h"

#include <sys/statvfs.h>

#include "base/rq_guc.h"
#include "log/rq_disk.h"
#include "shmem/rq_stats.h"

/* How far below a threshold it is crossed downwards, in percent. */
#define BACK_PERCENT	1

/* What both workers know of it, in shared memory, for producers too. */
typedef struct DiskWatch
{
	pg_atomic_uint32 permille;	/* used, when it was last checked */
	pg_atomic_uint32 warned;	/* above rocketq.disk_warn_percent */
	pg_atomic_uint32 refuse;	/* above rocketq.disk_refuse_percent */
} DiskWatch;

static DiskWatch *watch = NULL;

static void
disk_fill(void)
{
	pg_atomic_init_u32(&watch->permille, 0);
	pg_atomic_init_u32(&watch->warned, 0);
	pg_atomic_init_u32(&watch->refuse, 0);
}

const RqPart rq_disk_part = {
	.name = "disk",
	.item_size = sizeof(DiskWatch),
	.table = (void **) &watch,
	.fill = disk_fill
};

/*
 * As df shows it: what only root may use counts neither as used nor as free,
 * since the server cannot get it.
 */
bool
rq_disk_measure(RqDisk *d)
{
	struct statvfs fs;

	if (statvfs(RQ_DIR, &fs) != 0 || fs.f_blocks == 0)
		return false;
	d->used = (uint64) (fs.f_blocks - fs.f_bfree) * fs.f_frsize;
	d->size = d->used + (uint64) fs.f_bavail * fs.f_frsize;
	d->percent = 100.0 * (double) d->used / (double) Max(d->size, 1);
	return true;
}

/* 0 and 100 turn a threshold off. */
static bool
is_on(int threshold)
{
	return threshold > 0 && threshold < 100;
}

/* With a margin downwards, see the head of this file. */
static bool
is_above(const RqDisk *d, int threshold, bool was_above)
{
	return is_on(threshold) &&
		d->percent >= threshold - (was_above ? BACK_PERCENT : 0);
}

/*
 * Set a flag; true if this has changed it.  Both workers can find the same
 * crossing at the same time; only one of them changes the flag, and reports
 * it.
 */
static bool
has_crossed(pg_atomic_uint32 *flag, const RqDisk *d, int threshold)
{
	uint32		before = pg_atomic_read_u32(flag);
	uint32		now = is_above(d, threshold, before != 0);

	return now != before &&
		pg_atomic_compare_exchange_u32(flag, &before, now);
}

static void
tell_warn(const RqDisk *d)
{
	if (pg_atomic_read_u32(&watch->warned) == 0)
		ereport(LOG,
				(errmsg("file system of the rocketq store is %.1f%% full, below rocketq.disk_warn_percent again",
						d->percent)));
	else
		ereport(WARNING,
				(errcode(ERRCODE_DISK_FULL),
				 errmsg("file system of the rocketq store is %.1f%% full", d->percent),
				 errdetail("rocketq.disk_trim_percent is %d, and rocketq.disk_refuse_percent is %d.",
						   rq_disk_trim_percent, rq_disk_refuse_percent),
				 errhint("Free some space, or lower rocketq.retention_time or rocketq.retention_size.")));
}

static void
tell_refuse(const RqDisk *d)
{
	if (pg_atomic_read_u32(&watch->refuse) == 0)
		ereport(LOG,
				(errmsg("rocketq accepts messages again"),
				 errdetail("The file system of the store is %.1f%% full.", d->percent)));
	else
		ereport(WARNING,
				(errcode(ERRCODE_DISK_FULL),
				 errmsg("rocketq no longer accepts messages because the file system of its store is %.1f%% full",
						d->percent),
				 errdetail("rocketq.disk_refuse_percent is %d.  Messages can still be consumed.",
						   rq_disk_refuse_percent),
				 errhint("Free some space.  The view rocketq.segments shows why segments of the commit log are kept.")));
}

/*
 * The share is written first, since those who are refused report it.  If the
 * warning is turned off, its flag is taken back without a word.
 */
void
rq_disk_look(void)
{
	RqDisk		d;

	if (!rq_disk_measure(&d))
		return;
	pg_atomic_write_u32(&watch->permille, (uint32) (d.percent * 10));
	if (has_crossed(&watch->warned, &d, rq_disk_warn_percent) &&
		is_on(rq_disk_warn_percent))
		tell_warn(&d);
	if (has_crossed(&watch->refuse, &d, rq_disk_refuse_percent))
		tell_refuse(&d);
}

/* Measured anew: what the last round removed counts already. */
uint64
rq_disk_excess(void)
{
	RqDisk		d;
	uint64		allowed;

	if (!is_on(rq_disk_trim_percent) || !rq_disk_measure(&d))
		return 0;
	allowed = (uint64) ((double) d.size * rq_disk_trim_percent / 100);
	return d.used > allowed ? d.used - allowed : 0;
}

bool
rq_disk_refuses(void)
{
	return pg_atomic_read_u32(&watch->refuse) != 0;
}

/*
 * Only a flag is read, since this is asked for every append.  It is as old as
 * the workers' last check, so the threshold has to leave room for what comes
 * until the next one.
 */
void
rq_disk_check_produce(void)
{
	uint32		permille;

	if (likely(!rq_disk_refuses()))
		return;
	permille = pg_atomic_read_u32(&watch->permille);
	rq_count(RQ_STAT_REFUSED_DISK_FULL, 1);
	ereport(ERROR,
			(errcode(ERRCODE_DISK_FULL),
			 errmsg("cannot store message because the file system of the rocketq store is too full"),
			 errdetail("It is %u.%u%% full, and rocketq.disk_refuse_percent is %d.",
					   permille / 10, permille % 10, rq_disk_refuse_percent),
			 errhint("Free some space, drop consumer groups that are no longer needed, or raise rocketq.disk_refuse_percent; producers resume automatically.")));
}
