/*
 * rq_floor.h
 *	  Which queues can have entries in the older part of the log.  Janitor only.
 */
#ifndef RQ_FLOOR_H
#define RQ_FLOOR_H

#include "base/rq_base.h"

/*
 * Forget the floors of queues that were noted (queue/rq_late.h).  Afterwards no queue has
 * an entry below its floor but those of transactions that have not ended.
 */
extern void rq_floor_begin(void);

/*
 * The queue in this slot has no entry below "floor", which is at most the
 * beginning of the segment that the log ended in before rq_floor_begin(); or it
 * has no entry at all, and "floor" is RQ_INVALID_POS.  Found after that.
 */
extern void rq_floor_set(uint32 slot, RqPos floor);

extern bool rq_floor_is_between(uint32 slot, RqPos from, RqPos below);

/*
 * The next slot, from this one on, with a floor in [from, below), or
 * RQ_NO_SLOT.  "least" is lowered to the lowest floor at or above "below" of the
 * slots that are passed over.
 */
extern uint32 rq_floor_next(uint32 slot, RqPos from, RqPos below, RqPos *least);

#endif							/* RQ_FLOOR_H */
