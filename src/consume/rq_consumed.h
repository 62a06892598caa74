/*
 * rq_consumed.h
 *	  Has every group consumed what a queue holds?  Asked before the queue is
 *	  removed.
 */
#ifndef RQ_CONSUMED_H
#define RQ_CONSUMED_H

#include "shmem/rq_shmem.h"
#include "topic/rq_tables.h"

/*
 * Resolve the queues that a topic with "nqueues" queues would not have, so
 * that aborted entries do not count.  The caller holds the topic's relation
 * exclusively.
 */
extern void rq_consumed_prepare(uint32 topic, uint32 nqueues);

/*
 * Throw if the queue holds a message that a group has not consumed, or any if
 * there is no group.  The caller holds the meta lock as well.
 */
extern void rq_consumed_check(RqQueue *q);

#endif							/* RQ_CONSUMED_H */
