/*
 * rq_expire.h
 *	  How long topics keep their messages.
 */
#ifndef RQ_EXPIRE_H
#define RQ_EXPIRE_H

#include "retain/rq_round.h"

/*
 * How long messages of a topic are kept, in seconds; -1 = forever.  The
 * caller holds the meta lock.
 */
extern int	rq_expire_time(uint32 topic);

/*
 * Messages enqueued before the result have had their time.  The caller holds
 * the meta lock.
 */
extern TimestampTz rq_expire_before(uint32 topic, TimestampTz now);

/*
 * The same for the topic that keeps its messages for the shortest time.  Takes
 * the meta lock.
 */
extern TimestampTz rq_expire_first_before(TimestampTz now);

/*
 * Take expired messages out of the queues of topics with a time of their own.
 * Janitor only; takes the gate and the meta lock.
 */
extern void rq_expire_topics(RqRound *r);

#endif							/* RQ_EXPIRE_H */
