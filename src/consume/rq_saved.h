/*
 * rq_saved.h
 *	  Places of groups after the restore of a dump.
 */
#ifndef RQ_SAVED_H
#define RQ_SAVED_H

#include "consume/rq_cursor.h"

/*
 * The group is used in the queue, so if a restore has left its place open, find
 * it now: among the messages there are, or else at the first one.  The caller
 * owns the queue (rq_owner.h).
 */
extern void rq_saved_place(const RqCursor *c);

/* What a dump says of a group in a queue; total 0 = nothing. */
typedef struct RqSaved
{
	uint64		total;
	uint64		left;
} RqSaved;

/* What is still to be placed.  The caller holds what keeps the group. */
extern RqSaved rq_saved_of(RqOffset *o);

/*
 * The place that a group with this gets in the queue if nobody moves it; false
 * if the queue does not begin with all the copies, or a check of "*budget"
 * entries does not show it.  Those checked are taken from the budget.  The
 * caller holds a lock on the topic's relation or the meta lock.
 */
extern bool rq_saved_find(RqQueue *q, RqSaved saved,
						  uint64 *budget, RqOff *place);

/* That place if there is one, or else the committed offset. */
extern RqOff rq_saved_offset(RqQueue *q, RqOffset *o, uint64 *budget);

/*
 * The same, however long the search takes, where a lock on the topic's
 * relation is held but nothing keeps the group; false if that no longer
 * exists.  Takes the meta lock.
 */
extern bool rq_saved_peek(RqQueue *q, RqGroupRef group, RqOff *offset);

/*
 * Find places for queues that have all messages the dump had, for a while.
 * Janitor only.
 */
extern void rq_saved_place_round(void);

#endif							/* RQ_SAVED_H */
