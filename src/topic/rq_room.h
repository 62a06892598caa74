/*
 * rq_room.h
 *	  Room in the tables for what is about to be made.
 *
 * Whoever takes slots of topics, queues, groups or offsets calls one of these
 * first.  If there are too few, what nobody needs any more is removed at once,
 * instead of by the janitor a little later: so it depends on what exists whether
 * something fits, and not on whether the janitor has come to it.
 *
 * There need not be room afterwards, and others can take what there is; so the
 * caller checks again under the lock under which it takes the slots, and reports
 * the table that is full.  They take the gate and the meta lock, and throw what
 * looking up the outcome of a transaction does.
 */
#ifndef RQ_ROOM_H
#define RQ_ROOM_H

#include "base/rq_base.h"

/* For a new topic. */
extern void rq_room_for_topic(uint32 nqueues);

/* For a new group of this topic. */
extern void rq_room_for_group(uint32 topic);

/* For a topic like this one, with as many groups, for as long as both exist. */
extern void rq_room_for_copy(uint32 topic, uint32 nqueues);

/* For this topic to have "nslots" queues. */
extern void rq_room_for_queues(uint32 topic, uint32 nslots);

#endif							/* RQ_ROOM_H */
