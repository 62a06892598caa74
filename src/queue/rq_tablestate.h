/*
 * rq_tablestate.h
 *	  Topics, queues, groups and offsets in the state file.
 *
 * These parts have no shared memory of their own: that belongs to the tables
 * (topic/rq_tables.c), which are too low to know how a slot is copied.
 */
#ifndef RQ_TABLESTATE_H
#define RQ_TABLESTATE_H

#include "shmem/rq_parts.h"

/*
 * Topics and their queues.  Copying them notes which files of queues must be
 * on disk before the copy is (rq_queuesync.h).
 */
extern const RqPart rq_topics_state_part;

/* Groups and their offsets. */
extern const RqPart rq_groups_state_part;

#endif							/* RQ_TABLESTATE_H */
