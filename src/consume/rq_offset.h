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

/* An offset that the committed one is not below.  Can't throw. */
extern RqOff rq_offset_at_least(RqOffset *o);

/*
 * Retention has removed "count" messages that the group had not consumed, from
 * offset "from" on.
 */
extern void rq_offset_lose(RqOffset *o, RqOff from, uint64 count);

/*
 * How many lost messages the server log is to report now, and where the group
 * was before; 0 = none, or the last report is too recent.
 */
extern uint64 rq_offset_untold(RqOffset *o, TimestampTz now, RqOff *from);

/*
 * The offset as a snapshot has it that sees just these transactions.  If that
 * is no longer known, a smaller one.
 */
typedef bool (*RqXidIsSeen) (void *arg, uint64 xid);
extern RqOff rq_offset_as_of(RqOffset *o, RqXidIsSeen is_seen, void *arg);

/*
 * Put the group of a restored dump at this offset, unless that has been done
 * or a transaction moves the group.  Called inside the gate.
 */
extern void rq_offset_place(RqOffset *o, RqOff offset);

/*
 * WAL-log that the group moves to "next" in the queue if "xid" commits, unless
 * the group or the queue no longer exists.  Takes the gate and the meta lock.
 */
extern void rq_offset_stage(RqGroupRef group, uint32 queue_id, RqOff next,
							uint64 xid);

/*
 * The transaction that staged it has ended.  Takes the meta lock; can't throw.
 */
extern void rq_offset_finish(RqGroupRef group, uint32 queue_id, uint64 xid,
							 bool committed);

/* WAL-log committed offsets that still rest on a transaction's outcome. */
extern void rq_offset_settle_all(void);

/* These are RqWalRedo. */
extern void rq_offset_redo(const void *data, uint32 len, XLogRecPtr lsn);
extern void rq_offset_redo_settle(const void *data, uint32 len, XLogRecPtr lsn);

#endif							/* RQ_OFFSET_H */
