/*
 * rq_consumed.h
 *	  Has every group consumed what a queue holds?  Asked before the queue is
 *	  removed.
 */
#ifndef RQ_CONSUMED_H
#define RQ_CONSUMED_H

#include "topic/rq_alter.h"

/*
 * Queues may go when every group has consumed what they hold; without a group,
 * when they hold nothing.
 */
extern const RqRemovalCheck rq_consumed_check;

#endif							/* RQ_CONSUMED_H */
