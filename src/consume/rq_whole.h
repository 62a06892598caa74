/*
 * rq_whole.h
 *	  Waiting for all queues of a group.
 */
#ifndef RQ_WHOLE_H
#define RQ_WHOLE_H

#include "topic/rq_group.h"

/*
 * This process waits for all of the group, and no longer does.  The transaction
 * of the first call keeps the group's topic.  Can't throw.
 */
extern void rq_whole_want(uint32 topic, RqGroupRef group);
extern void rq_whole_unwant(void);

/*
 * Does somebody wait for all of the group?  Then nobody else gets a share of it.
 * Needs no lock.
 */
extern bool rq_whole_is_wanted(RqGroupRef group);

/*
 * An error has ended the wait, if there was one: to be called before the locks
 * of the (sub)transaction are released, and the other one after that.  The second
 * wakes those that have been turned away because of us.  Can't throw.
 */
extern void rq_whole_stop(void);
extern void rq_whole_offer(void);

#endif							/* RQ_WHOLE_H */
