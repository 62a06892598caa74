/*
 * rq_consume_private.h
 *	  Between rq_consume.c and rq_position.c.
 */
#ifndef RQ_CONSUME_PRIVATE_H
#define RQ_CONSUME_PRIVATE_H

#include "queue/rq_consume.h"
#include "queue/rq_txn.h"

/* Stage what the reader has read, unless more is staged already. */
extern void rq_commit_read(RqReader *r);

extern RqOff rq_reader_position(const RqReader *r);

/* The same place in all queues; palloc'd. */
extern xl_rq_place *rq_start_places(uint32 topic, const RqStart *start);

#endif							/* RQ_CONSUME_PRIVATE_H */
