/*
 * rq_offer.h
 *	  Offer what is left of a queue to the next waiter of a group.
 */
#ifndef RQ_OFFER_H
#define RQ_OFFER_H

#include "topic/rq_group.h"

/*
 * A queue is nobody's any more for this group: wake one waiter of the group if
 * there is something left in it, or all of them if the group is being dropped.
 * Takes the wait lock if anybody waits.  Can't throw.
 */
extern void rq_offer(uint32 topic, RqGroupRef group, uint32 queue_id);

/*
 * The same for all of its queues: all waiters of the group check for messages.
 */
extern void rq_offer_all(uint32 topic, RqGroupRef group);

/*
 * Offer again what nobody has taken, for those who were woken and then did
 * nothing about it.  Takes the meta lock.  Keeper only.  May throw.
 */
extern void rq_offer_again(void);

#endif							/* RQ_OFFER_H */
