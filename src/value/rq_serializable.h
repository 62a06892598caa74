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
 * Register the transaction callbacks.  Called from _PG_init, before those that
 * enqueue messages are registered: PostgreSQL calls the one registered last
 * first, and the second check has to follow the entries.
 */
extern void rq_serializable_init(void);

#endif							/* RQ_SERIALIZABLE_H */
