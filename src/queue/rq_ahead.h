/*
 * rq_ahead.h
 *	  Segments of queues, made before they are needed.
 */
#ifndef RQ_AHEAD_H
#define RQ_AHEAD_H

#include "topic/rq_tables.h"

/*
 * Entries [from, to) are new: if that is more than half of a segment, ask the
 * allocator for the next one.  Can't throw.
 */
extern void rq_ahead_written(RqQueue *q, RqOff from, RqOff to);

/*
 * A transaction has so many entries for the queue that it will write when it
 * commits.  To be told each time it has another RQ_AHEAD_STEP.
 */
#define RQ_AHEAD_STEP	256
extern void rq_ahead_pending(RqQueue *q, uint64 pending);

/*
 * Make what has been asked for, at most so many files; false if there is more.
 * Allocator only.
 */
extern bool rq_ahead_make(int most);

extern const RqPart rq_ahead_part;

#endif							/* RQ_AHEAD_H */
