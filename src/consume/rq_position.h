/*
 * rq_position.h
 *	  Move the offsets of consumer groups.
 *
 * Moves take effect when the transaction commits, which owns (rq_owner.h) what
 * it moves until then.  The caller holds a lock on the topic's relation as
 * long.
 */
#ifndef RQ_POSITION_H
#define RQ_POSITION_H

#include "consume/rq_consumer.h"

/* Commit all that this transaction consumed; returns how many queues. */
extern int	rq_position_commit_all(uint32 topic, const char *group);

/*
 * Commit an offset; throws when it is before the current one or past the end.
 */
extern void rq_position_commit(uint32 topic, const char *group, uint32 queue_id,
							   int64 next);

/* Move a group's offset anywhere between the queue's first and last. */
extern void rq_position_reset(uint32 topic, const char *group, uint32 queue_id,
							  int64 offset);
extern void rq_position_reset_all(uint32 topic, const char *group,
								  const RqStart *start);

/*
 * The offset the group goes on from: the committed one, or the queue's start if
 * retention has passed it.  Throws when there is no such group.
 */
extern RqOff rq_position_committed(uint32 topic, const char *group,
								   uint32 queue_id);

#endif							/* RQ_POSITION_H */
