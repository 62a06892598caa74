/*
 * rq_ahead.h
 *	  Segments of queues, made before they are needed.
 */
#ifndef RQ_AHEAD_H
#define RQ_AHEAD_H

#include "shmem/rq_shmem.h"

/*
 * Ask the allocator for segments that hold all offsets below "upto".  Costs
 * little when it has been asked already.  Can't throw.
 */
extern void rq_ahead_want(RqQueue *q, RqOff upto);

/* Entries [from, to) are new: is it time to ask for the next segment? */
extern void rq_ahead_written(RqQueue *q, RqOff from, RqOff to);

/*
 * A transaction has so many entries for the queue, "added" of them new, that
 * it will write when it commits.
 */
extern void rq_ahead_pending(RqQueue *q, uint64 pending, uint64 added);

/* Make what has been asked for.  Allocator only. */
extern void rq_ahead_make(void);

#endif							/* RQ_AHEAD_H */
