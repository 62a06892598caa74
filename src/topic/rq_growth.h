/*
 * rq_growth.h
 *	  How far queues had come a while ago, for the rates at which they grow.
 */
#ifndef RQ_GROWTH_H
#define RQ_GROWTH_H

#include "topic/rq_tables.h"

extern const RqPart rq_growth_part;

/* The queue has no place; try to give it one.  See rq_growth_note(). */
extern void rq_growth_begin(RqQueue *q, TimestampTz now);

/*
 * Entries are about to be added.  The caller holds the queue's lock exclusively,
 * and has changed neither "end", "bytes_end" nor "last_time" yet.
 */
static inline void
rq_growth_note(RqQueue *q, TimestampTz now)
{
	if (unlikely(q->growth == RQ_NO_SLOT))
		rq_growth_begin(q, now);
}

/* The queue goes.  The caller holds its lock exclusively. */
extern void rq_growth_forget(RqQueue *q);

/*
 * Take the samples that are due, and the places of queues that grow no more.
 * Janitor only.
 */
extern void rq_growth_sample(TimestampTz now);

/*
 * From when to "now" to reckon the queue's rate, and how far it had come then.
 * False if that is not known.  The caller holds the queue's lock.
 */
extern bool rq_growth_since(RqQueue *q, TimestampTz now, RqSample *from);

#endif							/* RQ_GROWTH_H */
