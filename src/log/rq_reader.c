/*
 * rq_reader.c
 *	  Keep what is being read.
 *
 * A process that reads messages says which position it may still read, and
 * retention spares what lies there and behind (up to rocketq.max_kept_size).
 *
 * Neither side takes a lock for that.  Retention says where to it is going to
 * trim, and then looks at the readers; a reader says what it reads, and then
 * looks whether a trim is under way, whose end it waits for.  With a full
 * barrier in between on both sides, at least one of them sees the other.
 *
 * A hold ends with the memory context it was begun in, so an error, a closed
 * cursor and the end of a subtransaction end it too.  Holds of one process
 * overlap: what counts is the oldest, since the log's start only rises.
 */
#include "postgres.h"

#include "base/rq_compat.h"
#include "log/rq_log.h"
#include "shmem/rq_shmem.h"

static dlist_head holds = DLIST_STATIC_INIT(holds);

/* The oldest hold is the first, and the lowest. */
static void
publish(void)
{
	RqPos		pos = RQ_INVALID_POS;

	if (!dlist_is_empty(&holds))
		pos = dlist_head_element(RqReadHold, node, &holds)->pos;
	pg_atomic_write_u64(&RQ_MY_BACKEND->read_pos, pos);
}

void
rq_log_unhold(RqReadHold *hold)
{
	if (!hold->active)
		return;
	hold->active = false;
	dlist_delete(&hold->node);
	publish();
}

static void
end_hold(void *arg)
{
	rq_log_unhold(arg);
}

RqReadHold *
rq_log_hold(void)
{
	RqReadHold *hold = palloc(sizeof(RqReadHold));

	hold->pos = pg_atomic_read_u64(&rq_ctl->log_start);
	hold->active = true;
	dlist_push_tail(&holds, &hold->node);
	publish();
	hold->at_reset.func = end_hold;
	hold->at_reset.arg = hold;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &hold->at_reset);

	pg_memory_barrier();
	if (pg_atomic_read_u64(&rq_ctl->trimming_to) > hold->pos)
	{
		LWLockAcquire(rq_meta_lock, LW_SHARED);
		LWLockRelease(rq_meta_lock);
	}
	return hold;
}

bool
rq_log_begin_trim(RqPos to, bool despite_readers)
{
	bool		may = true;

	Assert(LWLockHeldByMeInMode(rq_meta_lock, LW_EXCLUSIVE));
	pg_atomic_write_u64(&rq_ctl->trimming_to, to);
	pg_memory_barrier();
	for (int i = 0; i < rq_max_backends() && !despite_readers; i++)
		if (pg_atomic_read_u64(&rq_backends[i].read_pos) < to)
			may = false;
	if (!may)
		rq_log_end_trim();
	return may;
}

void
rq_log_end_trim(void)
{
	pg_atomic_write_u64(&rq_ctl->trimming_to, 0);
}
