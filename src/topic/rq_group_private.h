/*
 * rq_group_private.h
 *	  Between rq_group.c and rq_group_txn.c.
 */
#ifndef RQ_GROUP_PRIVATE_H
#define RQ_GROUP_PRIVATE_H

#include "topic/rq_group.h"

/* Is the slot still that group's?  The caller holds the meta lock. */
extern bool rq_group_is_still(RqGroupRef group);

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

#endif							/* RQ_GROUP_PRIVATE_H */
