/*
 * rq_scan_private.h
 *	  Between the files that read a topic as a table.
 *
 * A scan numbers the entries that it will read: those of the first queue, then
 * those of the second and so on.  Such a number is a row here, seen or not.
 * The numbers hold within one scan, and for all processes of a parallel one.
 */
#ifndef RQ_SCAN_PRIVATE_H
#define RQ_SCAN_PRIVATE_H

#include "am/rq_am_private.h"
#include "am/rq_view.h"
#include "shmem/rq_shmem.h"

/* ---- rq_range.c ---- */

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

/* ---- rq_scan.c ---- */

/*
 * The scan stands on "row" or, when "on_row" is not set, just before it.  Rows
 * [first, last) are ours to read now: all of the range, or a chunk of it.
 */
typedef struct RqScan
{
	TableScanDescData base;
	RqView		view;
	struct RqReadHold *hold;	/* NULL for a scan that reads nothing */
	uint32		topic;			/* RQ_NO_SLOT: there is nothing to read */
	RqRange    *all;			/* what there was when the scan began */
	RqRange    *range;			/* what of it is read */
	uint64		first;
	uint64		last;
	bool		begun;
	bool		on_row;
	uint64		row;
	uint32		at;				/* stretch of the row that was read last */
	RqQueue    *queue;			/* its queue, NULL = none was read */
	RqOff		stable;			/* as last read for that queue */
	BlockNumber block;			/* of a sample */
	uint64		step;			/* ANALYZE takes rows that, divided by this, */
	uint64		phase;			/* leave this */
} RqScan;

/* Go to a row, which must be in the range. */
extern void rq_scan_seek(RqScan *s, uint64 row);

/* Put the row the scan stands on into a cleared slot; false if not seen. */
extern bool rq_scan_fetch(RqScan *s, TupleTableSlot *slot);

/* Go to the next row that is seen and put it into the slot. */
extern bool rq_scan_next(RqScan *s, bool backward, TupleTableSlot *slot);

/* ---- rq_parallel.c ---- */

/* What all processes of the scan read. */
extern RqRange *rq_parallel_range(ParallelTableScanDesc pscan);

/* Take the next chunk; false when all are taken. */
extern bool rq_parallel_take(ParallelTableScanDesc pscan, uint64 *first,
							 uint64 *last);

#endif							/* RQ_SCAN_PRIVATE_H */
