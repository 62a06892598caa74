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
 * Find a group; waits for a transaction that creates or drops it, except on a
 * standby.  Throws, or returns false if that is fine, when there is none.
 */
extern bool rq_find_group(uint32 topic, const char *name, bool missing_ok,
						  RqGroupRef *group);

/* Stage what the reader has read, unless more is staged already. */
extern void rq_commit_read(RqReader *r);

extern RqOff rq_reader_position(const RqReader *r);

/* The same place in all queues; palloc'd. */
extern xl_rq_place *rq_start_places(uint32 topic, const RqStart *start);

#endif							/* RQ_CONSUME_PRIVATE_H */
