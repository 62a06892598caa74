/*
 * rq_range.h
 *	  What a scan of a topic reads: stretches of its queues.
 *
 * A scan numbers the entries that it will read: those of the first queue, then
 * those of the second and so on.  Such a number is a row here, seen or not.
 * The numbers hold within one scan, and for all processes of a parallel one.
 */
#ifndef RQ_RANGE_H
#define RQ_RANGE_H

#include "storage/itemptr.h"

#include "base/rq_base.h"

/* Entries [from, to) of one queue; there is at least one. */
typedef struct RqStretch
{
	uint64		row;			/* number of the first */
	RqOff		from;
	RqOff		to;
	RqOff		plain_below;	/* messages without a transaction: so far */
	uint32		queue_id;
} RqStretch;

/* What a scan reads; no pointers, since processes share it. */
typedef struct RqRange
{
	uint64		nrows;
	uint32		n;
	RqStretch	stretch[FLEXIBLE_ARRAY_MEMBER];
} RqRange;

extern Size rq_range_size(uint64 nstretches);

/* All that the first "nqueues" queues hold now. */
extern void rq_range_fill(RqRange *r, uint32 topic, uint32 nqueues);

/*
 * The part of "all" whose ctids lie in [min, max], in new memory.  Neither
 * bound needs to be a ctid that a row can have.
 */
extern RqRange *rq_range_of_tids(const RqRange *all, ItemPointer min,
								 ItemPointer max);

/* The stretch that holds a row, which must be below nrows. */
extern uint32 rq_range_find(const RqRange *r, uint64 row);

#endif							/* RQ_RANGE_H */
