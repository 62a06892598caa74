/*
 * rq_tuple.h
 *	  Messages as rows of rocketq.message in a tuplestore.
 */
#ifndef RQ_TUPLE_H
#define RQ_TUPLE_H

#include "executor/tuptable.h"

#include "consume/rq_consume.h"

/*
 * Create a slot for rq_message_slot_set(), in the current memory context.  Throws
 * unless the descriptor's columns are those of rocketq.message.
 */
extern TupleTableSlot *rq_message_slot(TupleDesc desc);

/*
 * Store a message in the slot.  The message, and what this allocates in the
 * current memory context, must stay valid while the slot is used.  The slot can
 * only be put into a tuplestore.  Throws if text is not valid in the database's
 * encoding.
 */
extern void rq_message_slot_set(TupleTableSlot *slot, const RqMessage *m);

#endif							/* RQ_TUPLE_H */
