/*
 * rq_idle.h
 *	  Wait for messages of a group without taking any.
 */
#ifndef RQ_IDLE_H
#define RQ_IDLE_H

#include "consume/rq_filter.h"
#include "topic/rq_group.h"

/* How waiting without taking anything has ended. */
typedef enum RqIdleEnd
{
	RQ_IDLE_TIMEOUT = 0,
	RQ_IDLE_MESSAGES,
	RQ_IDLE_TOPIC_GONE			/* dropped, or truncated */
} RqIdleEnd;

/*
 * Wait until there is something for a group in any queue that nobody owns, or
 * until the topic's storage is removed.  Takes nothing, and holds no lock
 * while it waits; the caller holds none on the topic either.
 */
extern RqIdleEnd rq_wait_for_messages(uint32 topic, uint64 incarnation,
									  RqGroupRef group, const RqFilter *filter,
									  int64 timeout_ms);

#endif							/* RQ_IDLE_H */
