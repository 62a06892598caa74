/*
 * rq_saved.h
 *	  Places of groups after the restore of a dump.
 */
#ifndef RQ_SAVED_H
#define RQ_SAVED_H

#include "topic/rq_group.h"

/*
 * The group is used in the queue, so if a restore has left its place open, find
 * it now: among the messages there are, or else at the first one.  The caller
 * owns the queue (rq_owner.h).
 */
extern void rq_saved_place(uint32 topic, uint32 group, uint32 queue_id);

/*
 * The place that a restored group will get if it has none yet and nobody moves
 * it; false if that is not so, or a look at "*budget" entries does not tell.
 * Those looked at are taken from that.  The caller holds a lock on the topic's
 * relation or the meta lock.
 */
extern bool rq_saved_find(uint32 topic, RqOffset *o, uint64 *budget,
						  RqOff *place);

/* That place, or else the committed offset. */
extern RqOff rq_saved_offset(uint32 topic, RqOffset *o, uint64 *budget);

/*
 * Find places for queues that have all messages the dump had, for a while.
 * Janitor only.
 */
extern void rq_saved_place_round(void);

#endif							/* RQ_SAVED_H */
