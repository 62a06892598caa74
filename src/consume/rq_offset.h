/*
 * rq_offset.h
 *	  The offsets of consumer groups.
 *
 * The slot of an offset is found by rq_group_offset().  To change it the caller
 * owns the queue or the group (rq_owner.h), to read it it needs no lock, but
 * something that keeps the group.
 */
#ifndef RQ_OFFSET_H
#define RQ_OFFSET_H

#include "format/rq_walrec.h"
#include "topic/rq_group.h"
#include "shmem/rq_shmem.h"
#include "topic/rq_tables.h"

/* The committed offset, a pending one resolved. */
extern RqOff rq_offset_committed(RqOffset *o);

/*
 * The same where nothing keeps the group, and whether its place after a restore
 * is still open (rq_saved.h); false if the group no longer exists.
 */
extern bool rq_offset_peek(RqGroupRef group, uint32 queue_id, RqOff *committed,
						   bool *open);

/*
 * An offset that the committed one is not below.  Can't throw.  "group" is the
 * slot of its group; if nothing keeps that, the answer may be about another.
 */
extern RqOff rq_offset_at_least(uint32 group, const RqOffset *o);

/*
 * Put the group of a restored dump at this offset, unless that has been done
 * or a transaction moves the group.  Called inside the gate.
 */
extern void rq_offset_place(RqOffset *o, RqOff offset);

/* That a group moves to an offset in a queue. */
typedef struct RqOffsetMove
{
	RqGroupRef	group;
	uint32		queue_id;
	RqOff		next;
} RqOffsetMove;

/*
 * WAL-log that a group makes these moves if "xid" commits: at most
 * RQ_OFFSETS_MAX, all of one group, but not of queues, or of a group, that no
 * longer exist.  Takes the gate and the meta lock.
 */
extern void rq_offset_stage(const RqOffsetMove *moves, int n, uint64 xid);

/*
 * The transaction that staged them has ended.  Takes the meta lock; can't
 * throw.
 */
extern void rq_offset_finish(const RqOffsetMove *moves, int n, uint64 xid,
							 bool committed);

/* WAL-log committed offsets that still rest on a transaction's outcome. */
extern void rq_offset_settle_all(void);

/* These are RqWalRedo. */
extern void rq_offset_redo(const void *data, uint32 len, XLogRecPtr lsn);
extern void rq_offset_redo_settle(const void *data, uint32 len, XLogRecPtr lsn);

#endif							/* RQ_OFFSET_H */
