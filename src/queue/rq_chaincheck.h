/*
 * rq_chaincheck.h
 *	  Check the extents of a queue while others use it.
 */
#ifndef RQ_CHAINCHECK_H
#define RQ_CHAINCHECK_H

#include "queue/rq_extent.h"

/*
 * What is wrong with the extents of a queue, NULL if they are a chain that has all
 * entries from its start to its end.  The caller need not keep the queue: if it no
 * longer exists, the answer means nothing.  Takes the queue's lock, and throws if a
 * file can't be mapped.
 */
extern const char *rq_chaincheck(RqQueue *q, const RqExtOwner *owner);

#endif							/* RQ_CHAINCHECK_H */
