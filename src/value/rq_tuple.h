/*
 * rq_tuple.h
 *	  Messages as rows of rocketq.message in a tuplestore.
 */
#ifndef RQ_TUPLE_H
#define RQ_TUPLE_H

#include "executor/tuptable.h"

#include "queue/rq_consume.h"

/*
 * A slot for rq_message_slot_set().  Throws unless the columns are those of
 * rocketq.message.
 */
extern TupleTableSlot *rq_message_slot(TupleDesc desc);

/*
 * Let it hold a message, which must stay as long as somebody asks for it, as
 * must the current memory context.  All it can do is be put into a tuplestore.
 */
extern void rq_message_slot_set(TupleTableSlot *slot, const RqMessage *m);

#endif							/* RQ_TUPLE_H */
