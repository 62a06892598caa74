/*
 * rq_wake.h
 *	  Who waits for messages of a topic, and whom news wakes.
 */
#ifndef RQ_WAKE_H
#define RQ_WAKE_H

#include "shmem/rq_shmem.h"
#include "topic/rq_group.h"
#include "topic/rq_waiters.h"

/* Tags that news lists; with more, it counts as matching every waiter. */
#define RQ_NEWS_TAGS	64

/*
 * What has come in a queue, as far as it matters to waiters.  Built by those
 * who have the entries in hand.
 */
typedef struct RqNews
{
	RqOff		to;				/* offset after the last entry */
	bool		any;			/* any tag can be among it */
	uint32		ntags;
	uint32		tags[RQ_NEWS_TAGS]; /* hashes */
} RqNews;

/* Entries below "to" have come; with "any", no tags need be added. */
static inline void
rq_news_init(RqNews *news, RqOff to, bool any)
{
	news->to = to;
	news->any = any;
	news->ntags = 0;
}

/* An entry with this tag is among them. */
static inline void
rq_news_add(RqNews *news, uint32 tag_hash)
{
	if (news->any)
		return;
	if (news->ntags == RQ_NEWS_TAGS)
		news->any = true;
	else
		news->tags[news->ntags++] = tag_hash;
}

/*
 * Does anybody wait for the topic?  Whoever joins the list after this call
 * sees what the caller has done before it.  Needs no lock.
 */
extern bool rq_wake_is_awaited(uint32 topic);

/* The next five take the wait lock if anybody waits, and can't throw. */

/*
 * Messages of a queue can be read from now on: wake one waiter of each group
 * that could take one, unless one is on its way already, and all those that
 * wait for no group.
 */
extern void rq_wake_news(const RqQueue *q, const RqNews *news);

/* Does a waiter that has been picked and has not checked yet count? */
typedef enum RqWakeMode
{
	RQ_WAKE_NEXT,				/* yes: it will see what is there */
	RQ_WAKE_ANOTHER				/* no: it has had its time */
} RqWakeMode;

/* There is something in a queue for one group: wake one waiter of it. */
extern void rq_wake_group(uint32 topic, uint32 group_id, uint32 queue_id,
						  const RqNews *news, RqWakeMode mode);

/* Wake all waiters of a group. */
extern void rq_wake_whole_group(uint32 topic, uint32 group_id);

/* Wake all waiters of a topic: it is being dropped. */
extern void rq_wake_topic(uint32 topic);

/*
 * A transaction's end has been replayed: wake waiters for whom that may have
 * made something readable.
 */
extern void rq_wake_replayed(void);

/*
 * The groups that have waiters, each once, in the order of their ids; returns
 * how many.  "groups" must have room for rq_max_backends().  Takes the wait
 * lock.
 */
extern int	rq_wake_groups(uint32 topic, RqGroupRef *groups);

/*
 * Put the calling process at the end of the topic's list, or take it out.  Its
 * slot of rq_waiters says what it waits for.  The caller holds the wait lock
 * exclusively.
 */
extern void rq_wake_join(uint32 topic);
extern void rq_wake_leave(uint32 topic);

/* Has the waiter been picked, and not begun to check since? */
static inline bool
rq_wake_is_picked(RqWaiter *w)
{
	return pg_atomic_read_u32(&w->picked) != 0;
}

#endif							/* RQ_WAKE_H */
