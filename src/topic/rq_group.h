/*
 * rq_group.h
 *	  Consumer groups: which exist.
 */
#ifndef RQ_GROUP_H
#define RQ_GROUP_H

#include "shmem/rq_shmem.h"
#include "topic/rq_tables.h"
#include "topic/rq_xid.h"

/*
 * A group as a process remembers it.  The slot can go to another group, which
 * has another id then.
 */
typedef struct RqGroupRef
{
	uint32		slot;
	uint32		id;
} RqGroupRef;

/* Does a group exist? */
typedef enum RqGroupState
{
	RQ_GROUP_ABSENT,
	RQ_GROUP_PRESENT,
	RQ_GROUP_IN_DOUBT			/* another transaction creates or drops it */
} RqGroupState;

/*
 * Find a topic's group by name.  In doubt, "xid" says whose end to wait for.
 * Takes the meta lock.
 */
extern RqGroupState rq_group_find(uint32 topic, const char *name,
								  RqGroupRef *group, uint64 *xid);

/* The same for who holds the meta lock. */
extern RqGroupState rq_group_find_locked(uint32 topic, const char *name,
										 RqGroupRef *group, uint64 *xid);

/*
 * The slot of the topic's group with this id, RQ_NO_SLOT = none.  The caller
 * holds the meta lock.
 */
extern uint32 rq_group_by_id(uint32 topic, uint32 id);

/* Is the slot still that group's?  The caller holds the meta lock. */
extern bool rq_group_is_still(RqGroupRef group);

/*
 * All groups of a topic, in whatever state, as they are now; palloc'd.  Takes
 * the meta lock.
 */
extern RqGroupRef *rq_group_list(uint32 topic, int *n);

/* What a group is to the calling transaction now. */
extern RqGroupState rq_group_state(RqGroupRef group, uint64 *xid);

/* The same while the caller holds the meta lock and knows the slot is used. */
extern RqGroupState rq_group_state_locked(uint32 group, uint64 *xid);

/*
 * Somebody consumes for the group or moves it.  Noted at most once in
 * RQ_USED_STEP microseconds, so "used_at" can be too early by as much.  Can't
 * throw, and needs no lock.
 */
#define RQ_USED_STEP	USECS_PER_SEC
extern void rq_group_used(RqGroupRef group);

/*
 * The process that owns the queue for the group: its number, or -1 if nobody
 * does or the group no longer exists.  Can't throw, and needs no lock.
 */
extern int	rq_group_owner(RqGroupRef group, uint32 queue_id);

/* How many slots of groups the topic has; the caller holds the meta lock. */
extern uint64 rq_group_count(uint32 topic);

/*
 * The slot of the group's offset in a queue, which the topic has
 * (rq_offset.h).  Throws if there is none.
 */
extern RqOffset *rq_group_offset(uint32 group, uint32 queue_id);

#endif							/* RQ_GROUP_H */
