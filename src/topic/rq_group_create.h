/*
 * rq_group_create.h
 *	  Consumer groups that come, and what becomes of them when a transaction
 *	  ends.
 */
#ifndef RQ_GROUP_CREATE_H
#define RQ_GROUP_CREATE_H

#include "format/rq_walrec.h"
#include "topic/rq_group.h"
#include "topic/rq_settle.h"

/*
 * Create a group that goes on from these places, one for each slot of the
 * topic; with "xid" it goes away again unless that transaction commits.
 * False, with nothing done, when the name has been taken concurrently.  The
 * caller has made room (rq_room.h).  Throws when a table is full,
 * or with "limited" when the topic's share is used up.
 */
extern bool rq_group_create(uint32 topic, const char *name,
							const xl_rq_place *places, uint64 xid,
							bool limited, RqGroupRef *group);

/*
 * Settle groups whose creator or dropper has ended, a bounded number of them.
 * True if the next call should come at once; see rq_settle_some().  Takes the gate
 * and the meta lock.
 */
extern bool rq_group_settle_some(RqPass *pass);

/* Make a slot for this group; the caller holds the meta lock exclusively. */
extern uint32 rq_group_apply(uint32 topic, uint32 id, const char *name,
							 uint32 name_len, uint32 nqueues, uint64 xid,
							 TimestampTz created_at);

/* An RqWalRedo. */
extern void rq_group_redo(const void *data, uint32 len, XLogRecPtr lsn);

#endif							/* RQ_GROUP_CREATE_H */
