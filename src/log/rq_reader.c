/*
 * rq_reader.c
 *	  Keep what is being read.
 *
 * Given a process that reads messages without a lock, how does retention know
 * what it must not remove?  The process announces the lowest position that it
 * may still read (read_pos), and retention spares what lies there and after
 * it, up to rocketq.max_kept_size.
 *
 *		reader						retention, with the meta lock exclusively
 *		------						-----------------------------------------
 *		write read_pos				write trimming_to
 *		full barrier				full barrier
 *		read trimming_to			read read_pos of all
 *		wait if it is higher		give up if one is lower
 *
 * At least one of them sees the other.  If both do, retention gives up, and
 * the reader has waited for nothing.  A reader without a trim under way, which
 * is nearly always, takes no lock.
 *
 * On a standby nobody asks: redo trims what the primary has trimmed, and a
 * reader may find that its message was removed (rq_read.c).
 *
 * A pin ends with the memory context it was set in, so an error, a closed
 * cursor and the end of a subtransaction end it, too.  Pins of one process
 * overlap: what counts is the oldest, since the log's start only rises.
 */
#include "postgres.h"

#include "base/rq_compat.h"
#include "log/rq_log.h"
#include "shmem/rq_shmem.h"

static dlist_head pins = DLIST_STATIC_INIT(pins);

/* Announce the oldest pin, which is the first and the lowest. */
static void
announce_oldest(void)
{
	RqPos		pos = RQ_INVALID_POS;

	if (!dlist_is_empty(&pins))
		pos = dlist_head_element(RqReadPin, node, &pins)->pos;
	pg_atomic_write_u64(&RQ_MY_BACKEND->read_pos, pos);
}

/*
 * Does nothing if the pin has ended before: a pin that is given up
 * explicitly still has its callback registered with its memory context.
 */
void
rq_log_unpin(RqReadPin *pin)
{
	if (!pin->active)
		return;
	pin->active = false;
	dlist_delete(&pin->node);
	announce_oldest();
}

static void
end_pin(void *arg)
{
	rq_log_unpin(arg);
}

/*
 * The log's start is read before the pin is announced, and may rise in
 * between.  Then the pin keeps more than needed, never less, and what lies
 * below the start is found to be trimmed when it is read (rq_read.c).
 *
 * A trim that has not seen this pin is waited for: retention holds the meta
 * lock exclusively from before it sets trimming_to until the log's start is
 * raised, so to have had the lock shared is enough.
 */
RqReadPin *
rq_log_pin(void)
{
	RqReadPin  *pin = palloc(sizeof(RqReadPin));

	pin->pos = pg_atomic_read_u64(&rq_log->start);
	pin->active = true;
	dlist_push_tail(&pins, &pin->node);
	announce_oldest();
	pin->at_reset.func = end_pin;
	pin->at_reset.arg = pin;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &pin->at_reset);

	/* read_pos before trimming_to; pairs with rq_log_begin_trim(). */
	pg_memory_barrier();
	if (pg_atomic_read_u64(&rq_log->trimming_to) > pin->pos)
	{
		LWLockAcquire(rq_meta_lock, LW_SHARED);
		LWLockRelease(rq_meta_lock);
	}
	return pin;
}

/*
 * With "despite_readers", the log is larger than rocketq.max_kept_size allows:
 * readers are not asked, but one that begins from here on still waits.
 */
bool
rq_log_begin_trim(RqPos to, bool despite_readers)
{
	bool		may = true;

	Assert(LWLockHeldByMeInMode(rq_meta_lock, LW_EXCLUSIVE));
	pg_atomic_write_u64(&rq_log->trimming_to, to);
	/* trimming_to before read_pos; pairs with rq_log_pin(). */
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
	pg_atomic_write_u64(&rq_log->trimming_to, 0);
}
