/*
 * rq_look.h
 *	  What the views of topics, queues and groups have in common.
 *
 * A view takes the meta lock in share mode for a look at one queue, and ends it
 * with rq_look_end().  A look is repeated when there was more of the queue to
 * settle than one hold is for (rq_resolve_try_refresh()).  None reads messages.
 *
 * Views resolve the queues they show: on a standby nobody else may do so for a
 * while, and while replay is paused, committed messages would not be counted.
 */
#ifndef RQ_LOOK_H
#define RQ_LOOK_H

#include "datatype/timestamp.h"

#include "api/rq_row.h"
#include "base/rq_base.h"
#include "consume/rq_rates.h"
#include "topic/rq_tables.h"

/*
 * How many entries one call of a view may examine to locate restored groups.
 * Those not found are soon located by the janitor.
 */
#define RQ_LOOK_PLACES		2000000

/* Release the meta lock. */
extern void rq_look_end(void);

/*
 * When the first, and the last, entry of [from, stable) that is not aborted was
 * enqueued; 0 if there is none.  The meta lock is held.
 */
extern TimestampTz rq_look_oldest(RqQueue *q, RqOff from, RqOff stable);
extern TimestampTz rq_look_newest(RqQueue *q, RqOff from, RqOff stable);

/*
 * How many messages of a queue a group has not consumed: those of [*from, *stable).
 * "budget" is what is left of RQ_LOOK_PLACES.  The meta lock is held.
 */
extern uint64 rq_look_lag(RqQueue *q, RqOffset *o, uint64 *budget, RqOff *from,
						  RqOff *stable);

/* Is the group in this slot shown to others?  The meta lock is held. */
extern bool rq_look_shows_group(uint32 group);

/* Add a rate to a row, NULL if it is not known. */
extern void rq_row_rate(RqRow *row, const RqRate *rate, double per_second);

/* The earlier of two times, each of which is 0 if it is not known. */
extern TimestampTz rq_earlier(TimestampTz a, TimestampTz b);

/* How long ago it was, in seconds; 0 for a time that is not known, or to come. */
extern double rq_seconds_since(TimestampTz at, TimestampTz now);

#endif							/* RQ_LOOK_H */
