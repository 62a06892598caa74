/*
 * rq_wait.h
 *	  Waiting for messages, and waking those who wait.
 */
#ifndef RQ_WAIT_H
#define RQ_WAIT_H

#include "queue/rq_filter.h"
#include "queue/rq_group.h"

/* ---- waiting ---- */

/*
 * A waiter's lock on the topic's relation, which would keep everybody waiting
 * who wants to change the topic, and all producers behind them.
 */
typedef struct RqWaitLock
{
	/* Release it before a sleep; false if it has to be kept. */
	bool		(*release) (void *arg);

	/*
	 * Take it again to look.  False, without it, if it can't be had at once
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
	bool		keeps_lock;		/* what was looked at needs it from now on */
} RqWant;

/*
 * Look for messages, best in this queue first (RQ_ALL_QUEUES: anywhere);
 * returns how many there were.  May change what is wanted.
 */
typedef int (*RqLook) (RqWant *want, uint32 queue_id, void *arg);

/*
 * Look again and again, whenever there may be something new, until there is
 * something or so many milliseconds are over; returns what the last look did.
 * Ends early, with 0, when the waiter's lock is in somebody's way.  May throw,
 * also because the wait is cancelled.
 */
extern int	rq_wait(RqWant *want, int64 timeout_ms, RqLook look, void *arg);

/* ---- waking; none of these can throw unless it says so ---- */

/*
 * The entries [from, to) of a queue can be read from now on.  Takes the wait
 * lock if anybody waits.  May throw, having waked nobody.
 */
extern void rq_wait_news(uint32 topic, RqQueue *q, RqOff from, RqOff to);

/*
 * A queue is nobody's any more for this group: wake one waiter of the group if
 * there is something left in it.
 */
extern void rq_wait_offer(uint32 topic, RqGroupRef group, uint32 queue_id);

/* The same for all of its queues, for which all of the group's waiters look. */
extern void rq_wait_offer_all(uint32 topic, RqGroupRef group);

/* Wake all who wait for this topic: it is going. */
extern void rq_wait_end_topic(uint32 topic);

/* Replay of a transaction's end: what waiters could not read they may now. */
extern void rq_wait_replayed(void);

/*
 * Offer again what nobody has taken, for those who were waked and then did
 * nothing about it.  Keeper only.  May throw.
 */
extern void rq_wait_offer_again(void);

#endif							/* RQ_WAIT_H */
