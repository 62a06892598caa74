/*
 * rq_consume_private.h
 *	  Between rq_consume.c and rq_position.c.
 */
#ifndef RQ_CONSUME_PRIVATE_H
#define RQ_CONSUME_PRIVATE_H

#include "queue/rq_consume.h"
#include "queue/rq_txn.h"

/* The heavyweight lock; without "wait" false if another one holds it. */
extern bool rq_lock_group_queue(uint32 topic, uint32 group_id,
								uint32 queue_id, bool wait);

/*
 * The group's slot; waits for a transaction that creates or drops it.  Throws,
 * or returns RQ_NO_SLOT if that is fine, when there is none.
 */
extern uint32 rq_find_group(uint32 topic, const char *name, bool missing_ok);

extern RqOff rq_reader_position(const RqReader *r);

/* Offsets of all queues for a start; palloc'd. */
extern RqOff *rq_start_offsets(uint32 topic, const RqStart *start);

#endif							/* RQ_CONSUME_PRIVATE_H */
