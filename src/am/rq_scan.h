/*
 * rq_scan.h
 *	  Read a topic as a table.
 */
#ifndef RQ_SCAN_H
#define RQ_SCAN_H

#include "access/relscan.h"
#include "access/tableam.h"

#include "am/rq_range.h"
#include "am/rq_visibility.h"
#include "shmem/rq_shmem.h"

/*
 * The scan stands on "row" or, when "on_row" is not set, just before it.  Rows
 * [first, last) are ours to read now: all of the range, or a chunk of it.
 */
typedef struct RqScan
{
	TableScanDescData base;
	RqVisibility visibility;
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

/* ---- callbacks of the access method ---- */

extern TableScanDesc rq_scan_begin(Relation rel, Snapshot snapshot, int nkeys,
								   struct ScanKeyData *key,
								   ParallelTableScanDesc pscan, uint32 flags);
extern void rq_scan_end(TableScanDesc scan);
extern void rq_scan_rescan(TableScanDesc scan, struct ScanKeyData *key,
						   bool set_params, bool allow_strat,
						   bool allow_sync, bool allow_pagemode);
extern bool rq_scan_getnextslot(TableScanDesc scan, ScanDirection direction,
								TupleTableSlot *slot);
extern void rq_scan_set_tidrange(TableScanDesc scan, ItemPointer min,
								 ItemPointer max);

#endif							/* RQ_SCAN_H */
