/*
 * rq_slot.h
 *	  Tuple slots that hold a reference to a message, and read it on demand.
 */
#ifndef RQ_SLOT_H
#define RQ_SLOT_H

#include "executor/tuptable.h"

#include "format/rq_queuefmt.h"

/* The operations of slots for topics; the same pointer at every call. */
extern const TupleTableSlotOps *rq_slot_ops(void);

/*
 * Store a reference to a message in a cleared slot of ours.  Its frame is read when
 * a column is requested that needs it, so a query that needs no such column never
 * accesses the log.
 */
extern void rq_slot_store(TupleTableSlot *slot, Oid relid, uint32 queue_id,
						  RqOff offset, const RqEntry *entry);

/*
 * For ANALYZE, which keeps many rows: shorten values that are too long for
 * statistics to a length that is still too long.
 */
extern void rq_slot_shorten(TupleTableSlot *slot);

#endif							/* RQ_SLOT_H */
