/*
 * rq_queue.h
 *	  Consume queues: their entries, ends and resolution.
 */
#ifndef RQ_QUEUE_H
#define RQ_QUEUE_H

#include "format/rq_cqfmt.h"
#include "format/rq_walrec.h"
#include "queue/rq_xid.h"
#include "shmem/rq_shmem.h"

/*
 * Give the next offsets of the queue to these entries.  With xid 0 they count
 * at once; "hold" then keeps them from being seen until rq_queue_unhold().
 * Must be called outside the gate; throws before anything is changed.
 * Returns the first offset; "lsn" (may be NULL) gets the record's end.
 */
extern RqOff rq_queue_enqueue(uint32 topic, uint32 queue_id,
							  const xl_rq_entry *entries, int count,
							  uint64 xid, bool hold, XLogRecPtr *lsn);

/* End what "hold" began, if anything.  Can't throw. */
extern void rq_queue_unhold(void);

/*
 * Raise the queue's stable offset as far as the outcome of transactions is
 * known.  "own_xid" (0 = none) is the calling transaction, whose outcome is
 * "own".  May throw, having changed nothing that others could not redo.
 */
extern void rq_queue_resolve(uint32 topic, RqQueue *q, uint64 own_xid,
							 RqXidStatus own);

/* A part of that, bounded; true if there may be more. */
extern bool rq_queue_resolve_some(uint32 topic, RqQueue *q, uint64 own_xid,
								  RqXidStatus own);

/* The same as far as a look shows that there is something to raise. */
extern void rq_queue_refresh(uint32 topic, RqQueue *q);

/*
 * The same, but only for a while: true if there may be more.  For those who hold
 * a lock that others wait for.
 */
extern bool rq_queue_refresh_some(uint32 topic, RqQueue *q);

/*
 * The same for those who only show the queue: does not wait for its lock for
 * long, and leaves what can't be read or written as it is.
 */
extern void rq_queue_try_refresh(uint32 topic, RqQueue *q);

/*
 * When the first entry that is not resolved was enqueued, and which process it
 * waits for (0 = none that is known).  False if there is no such entry, or it
 * can't be read.
 */
extern bool rq_queue_unresolved(uint32 topic, RqQueue *q, TimestampTz *since,
								int *pid);

/*
 * Read an entry, which must lie in [start, end).  False when it has been
 * trimmed away meanwhile; throws when the file is missing or damaged.
 */
extern bool rq_queue_entry(uint32 topic, RqQueue *q, RqOff off, RqEntry *entry);

/*
 * Entries that are neighbours in memory, for those who read one after the other:
 * [first, end) of one segment.
 */
typedef struct RqEntryRun
{
	RqOff		first;
	RqOff		end;
	const RqEntry *entries;
} RqEntryRun;

/*
 * The same for one entry after the other.  "run", zeros at first, is for those
 * that follow, as long as the process reads entries of no other queue.
 */
extern bool rq_queue_next_entry(uint32 topic, RqQueue *q, RqOff off,
								RqEntryRun *run, RqEntry *entry);

/* As rq_queue_entry(), but false, too, when the file is missing or damaged. */
extern bool rq_queue_probe(uint32 topic, RqQueue *q, RqOff off, RqEntry *entry);

/* First offset in [start, stable] enqueued at or after that time. */
extern RqOff rq_queue_offset_at(uint32 topic, RqQueue *q, TimestampTz when);

/*
 * WAL-log how far the queue is resolved, if that has changed; true if there is
 * more to log.  Keeper only.
 */
extern bool rq_queue_log_resolved(uint32 topic, RqQueue *q);

/* fsync the segments that hold [from, to); true if there were any. */
extern bool rq_queue_sync(RqKey key, uint32 queue_id, RqOff from, RqOff to);

/* Bounds of a queue at one moment, and the bytes of the frames below them. */
typedef struct RqQueueCounts
{
	RqOff		start;
	RqOff		stable;
	RqOff		end;
	uint64		bytes_start;
	uint64		bytes_end;
	bool		exact;			/* else not all of the same moment */
} RqQueueCounts;

extern RqQueueCounts rq_queue_counts(RqQueue *q);

/*
 * Take the queue's lock for those who only want to know something: false when
 * somebody keeps it for long, who may be stopped in the middle of a write.
 */
extern bool rq_queue_try_lock(RqQueue *q, LWLockMode mode);

/*
 * Raise the queue's start, if it is lower, but not beyond the end; returns what
 * it was.  "bytes_start"
 * counts the frames below the new one.  The segments from the old to the new
 * start are for rq_queue_remove_trimmed() to remove.
 */
extern RqOff rq_queue_trim_apply(RqQueue *q, RqOff start, uint64 bytes_start);
extern void rq_queue_remove_trimmed(RqKey key, RqQueue *q, RqOff from);

/* The queue a record with this LSN is about, NULL if it has gone. */
extern RqQueue *rq_queue_for_redo(RqKey key, uint32 queue_id, XLogRecPtr lsn,
								  uint32 *topic);

/* These are RqWalRedo. */
extern void rq_queue_redo_enqueue(const void *data, uint32 len, XLogRecPtr lsn);
extern void rq_queue_redo_resolve(const void *data, uint32 len, XLogRecPtr lsn);

#endif							/* RQ_QUEUE_H */
