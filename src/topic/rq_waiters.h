/*
 * rq_waiters.h
 *	  The slots of those who wait for messages, in shared memory.
 */
#ifndef RQ_WAITERS_H
#define RQ_WAITERS_H

#include "port/atomics.h"
#include "storage/condition_variable.h"
#include "storage/lwlock.h"

#include "base/rq_base.h"
#include "shmem/rq_parts.h"

#define RQ_WAIT_LOCKS		64
#define RQ_WAIT_TAGS		8

/*
 * A backend that waits for messages of a topic; see consume/rq_wait.c.  All
 * but "cv" changes under the topic's wait lock; "picked" is read without it.
 */
typedef struct RqWaiter
{
	uint32		topic;			/* RQ_NO_SLOT = does not wait */
	uint32		group_slot;
	uint32		group_id;		/* 0 = for no group */
	uint32		queue_id;		/* RQ_ALL_QUEUES, or the only one */
	uint64		from;			/* first offset that is of interest */
	uint32		ntags;			/* 0 = every message */
	uint32		tags[RQ_WAIT_TAGS]; /* hashes */
	pg_atomic_uint32 picked;	/* there may be something for it */
	uint32		picked_queue;	/* in that queue; RQ_ALL_QUEUES = anywhere */
	uint32		next;			/* in the topic's list */
	uint32		prev;
	ConditionVariable cv;
} RqWaiter;

#define RQ_ALL_QUEUES		PG_UINT32_MAX

/* rq_max_backends(), one for each process. */
extern RqWaiter *rq_waiters;

extern const RqPart rq_waiters_part;

/* The wait lock of a topic's slot, which it shares with some other slots. */
extern LWLock *rq_wait_lock(uint32 topic);

#endif							/* RQ_WAITERS_H */
