/*
 * rq_logmem.h
 *	  The commit log in shared memory: its ends, and the size of its segments.
 */
#ifndef RQ_LOGMEM_H
#define RQ_LOGMEM_H

#include "port/atomics.h"
#include "storage/spin.h"

#include "base/rq_base.h"
#include "shmem/rq_parts.h"
#include "shmem/rq_space.h"

/*
 * The log.  What every append writes has a cache line of its own, away from
 * what every append and every reader only reads.
 */
typedef struct RqLog
{
	/* fixed from the moment the state is loaded */
	uint32		segment_mb;
	uint32		segment_bits;	/* segment_size is 2 to the power of this */
	uint64		segment_size;	/* in bytes */

	pg_atomic_uint64 start;		/* meta lock exclusive */
	pg_atomic_uint64 trimming_to;	/* "start" is about to be this; 0 = not */

	pg_atomic_uint64 alloc_end; /* segments exist below this; allocator */
	RqSpace		space;			/* for who waits for more of them */

	/* lowest position redo has written since the last sync */
	RqPos		redo_dirty;

	slock_t		reserve_lock pg_attribute_aligned(PG_CACHE_LINE_SIZE);
	pg_atomic_uint64 end;		/* next position to give; reserve_lock */
} RqLog;

/* The same address in every process; NULL without preloading. */
extern RqLog *rq_log;

extern const RqPart rq_log_part;

/* The log has segments of that size; startup only. */
extern void rq_log_set_segment_mb(uint32 segment_mb);

#endif							/* RQ_LOGMEM_H */
