/*
 * rq_wait.h
 *	  Waiting for messages.
 */
#ifndef RQ_WAIT_H
#define RQ_WAIT_H

#include "consume/rq_filter.h"
#include "topic/rq_group.h"
#include "topic/rq_waiters.h"

/*
 * A waiter's lock on the topic's relation, which would keep everybody waiting
 * who wants to change the topic, and all producers behind them.
 */
typedef struct RqWaitLock
{
	/* Release it before a sleep; false if it has to be kept. */
	bool		(*release) (void *arg);

	/*
	 * Take it again to check.  False, without it, if it can't be had at once
	 * or the topic is not what it was.  May throw.
	 */
	bool		(*acquire) (void *arg);

	/* Does somebody wait for it? */
	bool		(*is_in_the_way) (void *arg);

	void	   *arg;
} RqWaitLock;

/* What somebody waits for. */
typedef struct RqWant
{
	uint32		topic;
	RqGroupRef	group;			/* id 0: for no group */
	uint32		queue_id;		/* RQ_ALL_QUEUES, or the only one */
	RqOff		from;			/* first offset of interest; for one queue */
	const RqFilter *filter;
	const RqWaitLock *lock;		/* NULL: the waiter holds none */
	bool		keeps_lock;		/* what was read needs it from now on */
} RqWant;

/*
 * Check for messages, best in this queue first (RQ_ALL_QUEUES: anywhere);
 * returns how many there were.  May change what is wanted.
 */
typedef int (*RqLook) (RqWant *want, uint32 queue_id, void *arg);

/*
 * Check again and again, whenever there may be something new, until there is
 * something or the timeout is over; returns what the last check returned.
 * Ends early, with 0, when the waiter's lock is in somebody's way.  May throw,
 * also because the wait is cancelled.
 */
extern int	rq_wait(RqWant *want, int64 timeout_ms, RqLook look, void *arg);

#endif							/* RQ_WAIT_H */
