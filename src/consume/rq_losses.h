/*
 * rq_losses.h
 *	  What groups lose to retention.  Janitor only.
 */
#ifndef RQ_LOSSES_H
#define RQ_LOSSES_H

#include "topic/rq_group.h"

/* The group is about to lose messages of a queue.  May throw. */
extern void rq_losses_expect(RqGroupRef group, uint32 queue_id);

/*
 * Retention has removed "count" messages that the group, which was at offset
 * "from", had not consumed.  Group and queue exist, and rq_losses_expect() has
 * been called.  The caller holds the meta lock.  Can't throw.
 */
extern void rq_losses_note(RqGroupRef group, uint32 queue_id, RqOff from,
						   uint64 count);

/* Write to the server log what is due.  Takes the meta lock. */
extern void rq_losses_tell(TimestampTz now);

#endif							/* RQ_LOSSES_H */
