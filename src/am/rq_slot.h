/*
 * rq_slot.h
 *	  Tuple slots that hold a message by its place and read it when asked.
 */
#ifndef RQ_SLOT_H
#define RQ_SLOT_H

#include "executor/tuptable.h"

#include "format/rq_cqfmt.h"

extern const TupleTableSlotOps *rq_slot_ops(void);

/*
 * Put a message into a cleared slot of ours.  Its frame is read when a column
 * that needs it is asked for, so a query that wants none never looks at the
 * log.
 */
extern void rq_slot_store(TupleTableSlot *slot, Oid relid, uint32 queue_id,
						  RqOff offset, const RqEntry *entry);

/*
 * For ANALYZE, which keeps many rows: of what is too long for statistics, give
 * no more than it takes to be seen as too long.
 */
extern void rq_slot_shorten(TupleTableSlot *slot);

#endif							/* RQ_SLOT_H */
