/*
 * rq_range.h
 *	  What a scan of a topic reads: stretches of its queues.
 *
 * A scan numbers the entries that it will read: those of the first queue, then
 * those of the second, and so on.  Such a number is called a row here, whether
 * the entry is visible or not.  The numbers are valid within one scan, for all
 * processes of a parallel one.
 */
#ifndef RQ_RANGE_H
#define RQ_RANGE_H

#include "storage/itemptr.h"

#include "base/rq_base.h"

/* Entries [from, to) of one queue; there is at least one. */
typedef struct RqStretch
{
	uint64		row;			/* row of the first entry */
	RqOff		from;
	RqOff		to;
	RqOff		plain_below;	/* bound of messages without a transaction */
	uint32		queue_id;
} RqStretch;

/* What a scan reads; without pointers, since processes share it. */
typedef struct RqRange
{
	uint64		nrows;
	uint32		n;
	RqStretch	stretch[FLEXIBLE_ARRAY_MEMBER];
} RqRange;

/* Bytes of a range with this many stretches. */
extern Size rq_range_size(uint64 nstretches);

/*
 * Fill a range of rq_range_size(nqueues) with all that the first "nqueues" queues
 * of a topic hold now.
 */
extern void rq_range_fill(RqRange *r, uint32 topic, uint32 nqueues);

/*
 * The part of "all" whose ctids are in [min, max], palloc'd.  The bounds need not
 * be ctids that a row can have.
 */
extern RqRange *rq_range_of_tids(const RqRange *all, ItemPointer min,
								 ItemPointer max);

/* The number of the stretch that contains a row; "row" is less than nrows. */
extern uint32 rq_range_find(const RqRange *r, uint64 row);

#endif							/* RQ_RANGE_H */
