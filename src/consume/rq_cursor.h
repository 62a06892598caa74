/*
 * rq_cursor.h
 *	  A consumer group in one queue, for the time of a call.
 *
 * Made from the group and the queue, which have been found by name and number,
 * and handed down, so that nobody below looks for the slots again.  What
 * outlasts the call, as RqReader does, has the numbers: when a transaction has
 * ended, or a part of it has been rolled back, nothing keeps the slots.
 */
#ifndef RQ_CURSOR_H
#define RQ_CURSOR_H

#include "topic/rq_group.h"

typedef struct RqCursor
{
	RqGroupRef	group;
	RqQueue    *q;				/* kept by a lock on the topic's relation */
	RqOffset   *offset;			/* the group's in the queue.  NULL until the
								 * transaction owns the queue or the group
								 * (rq_owner.h): only that keeps it */
} RqCursor;

#endif							/* RQ_CURSOR_H */
