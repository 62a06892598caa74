/*
 * rq_tidscan.h
 *	  Read a row of a topic by its ctid.
 */
#ifndef RQ_TIDSCAN_H
#define RQ_TIDSCAN_H

#include "access/tableam.h"

/* Callbacks of the access method; a row that the snapshot does not see is absent. */
extern bool rq_tuple_fetch_row_version(Relation rel, ItemPointer tid,
									   Snapshot snapshot,
									   TupleTableSlot *slot);
extern bool rq_tuple_tid_valid(TableScanDesc scan, ItemPointer tid);
extern void rq_tuple_get_latest_tid(TableScanDesc scan, ItemPointer tid);

#endif							/* RQ_TIDSCAN_H */
