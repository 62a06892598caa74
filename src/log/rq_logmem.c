/*
 * rq_logmem.c
 *	  The commit log in shared memory: its ends, and the size of its segments.
 */
#include "postgres.h"

#include "port/pg_bitutils.h"

#include "log/rq_logmem.h"

RqLog	   *rq_log = NULL;

static void
log_fill(void)
{
	pg_atomic_init_u64(&rq_log->start, 0);
	pg_atomic_init_u64(&rq_log->trimming_to, 0);
	pg_atomic_init_u64(&rq_log->alloc_end, 0);
	rq_space_init(&rq_log->space);
	rq_log->redo_dirty = RQ_INVALID_POS;
	SpinLockInit(&rq_log->reserve_lock);
	pg_atomic_init_u64(&rq_log->end, 0);
}

const RqPart rq_log_part = {
	.name = "log",
	.item_size = sizeof(RqLog),
	.table = (void **) &rq_log,
	.fill = log_fill
};

/*
 * Not guarded by a lock: either nobody else has come yet, or redo finds that
 * the store, which holds nothing, is to have another size
 * (match_segment_size() of rq_gaps.c), and there is nothing to read.
 */
void
rq_log_set_segment_mb(uint32 segment_mb)
{
	Assert(RQ_SEGMENT_MB_OK(segment_mb));
	rq_log->segment_mb = segment_mb;
	rq_log->segment_size = (uint64) segment_mb * 1024 * 1024;
	rq_log->segment_bits = pg_leftmost_one_pos64(rq_log->segment_size);
}
