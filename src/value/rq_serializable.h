/*
 * rq_serializable.h
 *	  Write skew: messages as writes of a serializable transaction.
 */
#ifndef RQ_SERIALIZABLE_H
#define RQ_SERIALIZABLE_H

#include "utils/rel.h"

/*
 * Count messages of this transaction as writes to the topic.  Called before
 * they are produced, by whoever produces; nothing happens below SERIALIZABLE.
 * Throws a serialization failure.  The caller holds a lock on the relation until
 * the transaction ends.
 */
extern void rq_serializable_produce(Relation rel);

/* The same by OID, so that only SERIALIZABLE pays for opening the relation. */
extern void rq_serializable_produce_into(Oid relid);

/*
 * Register the transaction callbacks; from _PG_init, and before those that
 * enqueue messages, because the last one registered is called first.
 */
extern void rq_serializable_init(void);

#endif							/* RQ_SERIALIZABLE_H */
