/*
 * rq_saved.h
 *	  Places of groups after the restore of a dump.
 */
#ifndef RQ_SAVED_H
#define RQ_SAVED_H

#include "queue/rq_group.h"

/*
 * Find the group's place in the queue, if a restore has left that open, among
 * the messages there are.  The caller owns the queue (rq_owner.h).
 */
extern void rq_saved_place(uint32 topic, uint32 group, uint32 queue_id);

/* The same for queues that have all messages the dump had.  Janitor only. */
extern void rq_saved_place_all(void);

#endif							/* RQ_SAVED_H */
