/*
 * rq_group.h
 *	  Consumer groups: which exist.
 */
#ifndef RQ_GROUP_H
#define RQ_GROUP_H

#include "format/rq_walrec.h"
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
 * Create a group that goes on from these places, one for each slot of the
 * topic; with "xid" it goes away again unless that transaction commits.
 * False, with nothing done, when the name has been taken concurrently.  The
 * caller has made room (rq_topic_make_room()).  Throws when a table is full,
 * or with "limited" when the topic's share is used up.
 */
extern bool rq_group_create(uint32 topic, const char *name,
							const xl_rq_place *places, uint64 xid,
							bool limited, RqGroupRef *group);

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

/*
 * WAL-log the end of all groups whose creation has been rolled back to a
 * savepoint; takes the gate and the meta lock.
 */
extern void rq_group_drop_abandoned(void);

/*
 * WAL-log the end of a group that no transaction is about to create or drop,
 * if "may" says so under the meta lock.  False, with nothing done, if not, or
 * if the slot now belongs to a group with another id.
 */
typedef bool (*RqGroupMay) (uint32 group);
extern bool rq_group_drop_if(RqGroupRef group, RqGroupMay may);

/*
 * Settle groups whose creator or dropper has ended; false if there was none.
 * Janitor only.
 */
extern bool rq_group_settle_all(void);

/*
 * Forget all groups of a topic that is being dropped, for which its own record
 * stands.  The caller holds the meta lock exclusively.
 */
extern void rq_group_drop_all_apply(uint32 topic);

/*
 * Throw if the topic's groups would take more than its share of consumer slots
 * with this many queues.  The caller holds the meta lock.
 */
extern void rq_group_check_share(uint32 topic, uint32 nqueues);

/* How many slots of groups the topic has; the caller holds the meta lock. */
extern uint64 rq_group_count(uint32 topic);

/*
 * When the number of the topic's queues changes, under the meta lock held
 * exclusively: give all its groups offsets for "nslots" queues, or throw and
 * change nothing; cut them to this many; note the record that made the new
 * ones.
 */
extern void rq_group_take_slots(uint32 topic, uint32 nslots);
extern void rq_group_cut_slots(uint32 topic, uint32 nslots);
extern void rq_group_stamp_slots(uint32 topic, XLogRecPtr lsn);

/*
 * The slot of the group's offset in a queue, which the topic has
 * (rq_offset.h).  Throws if there is none.
 */
extern RqOffset *rq_group_offset(uint32 group, uint32 queue_id);

/* ---- loading the state and redo ---- */

/* Make a slot for this group; the caller holds the meta lock exclusively. */
extern uint32 rq_group_apply(uint32 topic, uint32 id, const char *name,
							 uint32 name_len, uint32 nqueues, uint64 xid,
							 TimestampTz created_at);

/* These are RqWalRedo. */
extern void rq_group_redo(const void *data, uint32 len, XLogRecPtr lsn);
extern void rq_group_redo_drop(const void *data, uint32 len, XLogRecPtr lsn);

#endif							/* RQ_GROUP_H */
