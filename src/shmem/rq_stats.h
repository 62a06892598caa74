/*
 * rq_stats.h
 *	  Cumulative counters of what rocketq does, for the view rocketq.stats.
 *
 * Every process counts in a slot of its own, with plain loads and stores and
 * in cache lines that no other process writes.  A slot is never cleared, not
 * even when another process gets it, so the sum over the slots is what has
 * happened since the server started.  A reset remembers that sum.
 *
 * A reader adds up without stopping anybody, so the counters it gets need not
 * be of one moment.
 */
#ifndef RQ_STATS_H
#define RQ_STATS_H

#include "datatype/timestamp.h"
#include "port/atomics.h"
#include "storage/lwlock.h"

#include "base/rq_compat.h"
#include "shmem/rq_parts.h"

/* symbol, column of the view */
#define RQ_STATS(X) \
	X(RQ_STAT_PRODUCED,				"produced") \
	X(RQ_STAT_PRODUCED_BYTES,		"produced_bytes") \
	X(RQ_STAT_ENQUEUED,				"enqueued") \
	X(RQ_STAT_ABORTED,				"aborted") \
	X(RQ_STAT_VISIBLE_LATE,			"visible_late") \
	X(RQ_STAT_CONSUMED,				"consumed") \
	X(RQ_STAT_PULLED,				"pulled") \
	X(RQ_STAT_OFFSETS_COMMITTED,	"offsets_committed") \
	X(RQ_STAT_WAITS,				"waits") \
	X(RQ_STAT_WAKEUPS,				"wakeups") \
	X(RQ_STAT_REFUSED_TOO_LARGE,	"refused_too_large") \
	X(RQ_STAT_REFUSED_DISK_FULL,	"refused_disk_full") \
	X(RQ_STAT_REFUSED_FILE_ERROR,	"refused_file_error") \
	X(RQ_STAT_REFUSED_NO_ROOM,		"refused_no_room") \
	X(RQ_STAT_REFUSED_CLOSED,		"refused_closed") \
	X(RQ_STAT_DAMAGE_MET,			"damage_met") \
	X(RQ_STAT_GROUPS_MOVED,			"groups_moved") \
	X(RQ_STAT_MESSAGES_LOST,		"messages_lost") \
	X(RQ_STAT_SEGMENTS_CREATED,		"segments_created") \
	X(RQ_STAT_SEGMENTS_TRIMMED,		"segments_trimmed") \
	X(RQ_STAT_QUEUES_ASKED,			"queues_asked") \
	X(RQ_STAT_SYNCS,				"syncs") \
	X(RQ_STAT_WAL_RECORDS,			"wal_records") \
	X(RQ_STAT_WAL_BYTES,			"wal_bytes")

#define RQ_STATS_ENUM(symbol, name) symbol,
typedef enum RqStat
{
	RQ_STATS(RQ_STATS_ENUM)
	RQ_NSTATS
} RqStat;

/* The counters of one process. */
typedef union RqStatsSlot
{
	pg_atomic_uint64 count[RQ_NSTATS];
	char		pad[TYPEALIGN(PG_CACHE_LINE_SIZE,
							  RQ_NSTATS * sizeof(pg_atomic_uint64))];
} RqStatsSlot;

extern RqStatsSlot *rq_stats_slots;

/* Guards what resets remember; nothing else is locked under it. */
extern LWLock *rq_stats_lock;

/*
 * Add to a counter that nobody else writes.  So a load and a store do, where a
 * shared counter would need an atomic addition.
 */
static inline void
rq_count_up(pg_atomic_uint64 *counter, uint64 n)
{
	pg_atomic_write_u64(counter, pg_atomic_read_u64(counter) + n);
}

/*
 * Count; can't fail, also in critical sections.  The postmaster, which loads
 * the state, has no slot.
 */
static inline void
rq_count(RqStat stat, uint64 n)
{
	if (likely(MyProc != NULL))
		rq_count_up(&rq_stats_slots[RQ_MY_PROC_NUMBER].count[stat], n);
}

/* Count a call that is refused because of this errno of a file. */
extern void rq_count_refused_file(int err);

/* The column of a counter. */
extern const char *rq_stat_name(RqStat stat);

/* What has been counted since the last reset; returns when that was. */
extern TimestampTz rq_stats_read(uint64 counts[RQ_NSTATS]);
extern void rq_stats_reset(TimestampTz now);

extern const RqPart rq_stats_part;

#endif							/* RQ_STATS_H */
