/*
 * rq_insert.h
 *	  INSERT and COPY into a topic: rows become messages.
 */
#ifndef RQ_INSERT_H
#define RQ_INSERT_H

#include "access/tableam.h"
#include "utils/rel.h"

/*
 * Callbacks of the access method: produce rows as messages of the current
 * transaction, and set the columns known now in the slots.  Throw if a row is not a
 * valid message, or if the store refuses it.
 */
extern void rq_tuple_insert(Relation rel, TupleTableSlot *slot, CommandId cid,
							int options, struct BulkInsertStateData *bistate);
extern void rq_multi_insert(Relation rel, TupleTableSlot **slots, int nslots,
							CommandId cid, int options,
							struct BulkInsertStateData *bistate);

#endif							/* RQ_INSERT_H */
