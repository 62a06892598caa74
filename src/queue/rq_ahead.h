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
 * A transaction has this many entries for the queue, which it will write when
 * it commits.  To be called each time it has RQ_AHEAD_STEP more.  Can't
 * throw.
 */
#define RQ_AHEAD_STEP	256
extern void rq_ahead_pending(RqQueue *q, uint64 pending);

/*
 * Make what has been asked for, at most "most" files; false if there is more
 * to make.  Allocator only.
 */
extern bool rq_ahead_make(int most);

extern const RqPart rq_ahead_part;

#endif							/* RQ_AHEAD_H */
