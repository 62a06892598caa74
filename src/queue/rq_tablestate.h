/*
 * rq_tablestate.h
 *	  Topics, queues, groups and offsets in the state file.
 *
 * Parts without memory of their own, since they need more than the tables.
 */
#ifndef RQ_TABLESTATE_H
#define RQ_TABLESTATE_H

#include "shmem/rq_parts.h"

/*
 * Topics and their queues; copying them notes which files of queues the copy wants
 * on disk (rq_queuesync.h).
 */
extern const RqPart rq_topics_state_part;

/* Groups and their offsets. */
extern const RqPart rq_groups_state_part;

#endif							/* RQ_TABLESTATE_H */
