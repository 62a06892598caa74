/*
 * rq_floor.c
 *	  Which queues can have entries in the older part of the log.  Janitor only.
 *
 * Of a million queues only those need be asked what they need, and trimmed, that
 * have an entry in the segments that could go.  Given what was found when they
 * were asked before, which are these?
 *
 * For each slot the janitor remembers a floor, a position below which the queue
 * has no entry that counts; 0 is for what it does not know, RQ_INVALID_POS for a
 * queue without entries.  What a queue gets later lies in the segment that the
 * log ends in then, so not below, or is noted (queue/rq_late.c), as are the first
 * entries of an empty queue.  That is true of the next queue in the slot, too.
 *
 * It goes by entries, not by what is needed of them: what a group or the time
 * needs can become less or more for many reasons, entries only leave.  A queue
 * whose entries in the oldest segment nobody needs is asked in each round in
 * which that segment stays, but a round ends with the first that needs it, and
 * begins with that the next time.
 */
#include "postgres.h"

#include "port/pg_bitutils.h"
#include "utils/memutils.h"

#include "queue/rq_late.h"
#include "retain/rq_floor.h"
#include "shmem/rq_shmem.h"

static RqPos *floors = NULL;
static uint32 nfloors = 0;

/* For all slots that have had a queue. */
static void
make_floors(void)
{
	uint32		n;

	LWLockAcquire(rq_meta_lock, LW_SHARED);
	n = rq_slots_begun(rq_queue_pool);
	LWLockRelease(rq_meta_lock);
	if (n <= nfloors)
		return;
	if (floors == NULL)
		floors = MemoryContextAllocHuge(TopMemoryContext, n * sizeof(RqPos));
	else
		floors = repalloc_huge(floors, n * sizeof(RqPos));
	memset(floors + nfloors, 0, (n - nfloors) * sizeof(RqPos));
	nfloors = n;
}

void
rq_floor_begin(void)
{
	make_floors();
	for (uint32 first = 0; first < nfloors; first += RQ_LATE_WORD)
		for (uint64 late = rq_late_take(first / RQ_LATE_WORD); late != 0;
			 late &= late - 1)
			rq_floor_set(first + pg_rightmost_one_pos64(late), 0);
}

bool
rq_floor_is_between(uint32 slot, RqPos from, RqPos below)
{
	return slot < nfloors && floors[slot] >= from && floors[slot] < below;
}

void
rq_floor_set(uint32 slot, RqPos floor)
{
	/* One that has been begun since has no floor yet. */
	if (slot < nfloors)
		floors[slot] = floor;
}

uint32
rq_floor_next(uint32 slot, RqPos from, RqPos below, RqPos *least)
{
	for (; slot < nfloors; slot++)
	{
		if (rq_floor_is_between(slot, from, below))
			return slot;
		if (floors[slot] >= below)
			*least = Min(*least, floors[slot]);
	}
	return RQ_NO_SLOT;
}
