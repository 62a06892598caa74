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
#include "queue/rq_extent.h"
#include "shmem/rq_shmem.h"
#include "topic/rq_tables.h"

/*
 * The scan is positioned on "row" or, if "on_row" is not set, just before it.
 * Rows [first, last) are to be read by this process now: all of the range, or a
 * chunk of it.
 */
typedef struct RqScan
{
	TableScanDescData base;
	RqVisibility visibility;
	struct RqReadPin *pin;		/* NULL if the scan reads nothing */
	uint32		topic;			/* RQ_NO_SLOT if there is nothing to read */
	RqRange    *all;			/* what there was when the scan began */
	RqRange    *range;			/* the part that is read */
	uint64		first;
	uint64		last;
	bool		begun;
	bool		on_row;
	uint64		row;
	uint32		at;				/* stretch of the row read last */
	RqQueue    *queue;			/* its queue, NULL if none was read */
	RqOff		stable;			/* as last read for that queue */
	RqExtRun	run;			/* of its entries read last */
	BlockNumber block;			/* current block of a sample */
	uint64		step;			/* ANALYZE samples rows with */
	uint64		phase;			/* row % step == phase */
} RqScan;

/* Position the scan on a row, which must be in the range. */
extern void rq_scan_seek(RqScan *s, uint64 row);

/*
 * Store the row that the scan is positioned on in a cleared slot; false if the
 * snapshot does not see it, or it was removed.  Throws if its entry is damaged.
 */
extern bool rq_scan_fetch(RqScan *s, TupleTableSlot *slot);

/*
 * Advance to the next row that the snapshot sees, and store it in the slot; false
 * at the end.
 */
extern bool rq_scan_next(RqScan *s, bool backward, TupleTableSlot *slot);

/*
 * Enclose a statement that may scan a topic to see whether its rows satisfy a
 * constraint.  Pairs may be nested; the second has to be called after an error,
 * too.
 */
extern void rq_constraint_check_begin(void);
extern void rq_constraint_check_end(void);

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
