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
#define RQ_WAIT_BITS		8192

/*
 * The tags that a waiter wants, by their hashes: as they are or, if there are
 * more than RQ_WAIT_TAGS, as two bits for each in a bitmap (a Bloom filter).
 */
typedef struct RqWakeTags
{
	uint32		n;				/* 0 = every message may be wanted */
	uint32		hashes[RQ_WAIT_TAGS];
	uint64		bits[RQ_WAIT_BITS / 64];
} RqWakeTags;

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
	uint64		filter;			/* id of its filter (consume/rq_filter.h) */
	RqWakeTags	tags;
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

/* Add a tag by its hash; "n" is 0 at first, and nothing else need be set. */
extern void rq_wake_tags_add(RqWakeTags *t, uint32 hash);

/*
 * Can a tag with this hash be among them, or can any?  With many tags there are
 * hashes for which this is wrongly true, but none for which it is wrongly
 * false.
 */
extern bool rq_wake_tags_match(const RqWakeTags *t, uint32 hash);

/* The wait lock of a topic's slot, which it shares with some other slots. */
extern LWLock *rq_wait_lock(uint32 topic);

#endif							/* RQ_WAITERS_H */
