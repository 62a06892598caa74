/*
 * rq_group_drop.h
 *	  Consumer groups that go.
 */
#ifndef RQ_GROUP_DROP_H
#define RQ_GROUP_DROP_H

#include "access/xlogdefs.h"

#include "topic/rq_group.h"

/*
 * WAL-log that the group in this slot goes away if "xid" commits, or, without
 * one, at once.  The caller holds the gate and the meta lock exclusively, and
 * is in a critical section.
 */
extern void rq_group_log_drop(uint32 group, uint64 xid);

/*
 * Log and apply that the group no longer exists, whatever any transaction
 * means to do.  The caller holds the gate and the meta lock exclusively.
 */
extern void rq_group_drop_for_good(uint32 group);

/*
 * WAL-log the end of groups whose creation has been rolled back to a
 * savepoint, of at most "most"; the next call goes on after the last one.
 * Returns how many.  Takes the gate and the meta lock.
 */
extern int	rq_group_drop_abandoned(int most);

/*
 * WAL-log the end of a group that no transaction is about to create or drop,
 * if "may" says so under the meta lock.  False, with nothing done, if not, or
 * if the slot now belongs to a group with another id.
 */
typedef bool (*RqGroupMay) (uint32 group);
extern bool rq_group_drop_if(RqGroupRef group, RqGroupMay may);

/*
 * Forget all groups of a topic that is being dropped, for which its own record
 * stands.  The caller holds the meta lock exclusively.
 */
extern void rq_group_drop_all_apply(uint32 topic);

/* An RqWalRedo. */
extern void rq_group_redo_drop(const void *data, uint32 len, XLogRecPtr lsn);

#endif							/* RQ_GROUP_DROP_H */
