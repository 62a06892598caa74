/*
 * rq_serializable.h
 *	  Write skew: messages as writes of a serializable transaction.
 */
#ifndef RQ_SERIALIZABLE_H
#define RQ_SERIALIZABLE_H

#include "utils/rel.h"

/* The topic gets messages from this transaction. */
extern void rq_serializable_produce(Relation rel);

/*
 * Register the transaction callbacks; from _PG_init, and before those that
 * enqueue messages, because the last one registered is called first.
 */
extern void rq_serializable_init(void);

#endif							/* RQ_SERIALIZABLE_H */
