/*
 * rq_queue.h
 *	  Consume queues: their files, entries and ends.
 */
#ifndef RQ_QUEUE_H
#define RQ_QUEUE_H

#include "format/rq_cqfmt.h"
#include "format/rq_walrec.h"
#include "shmem/rq_shmem.h"
#include "topic/rq_wake.h"

/*
 * Give the next offsets of the queue to these entries.  With xid 0 they count
 * at once; "hold" then keeps them from being seen until rq_queue_unhold().
 * Must be called outside the gate; throws before anything is changed.
 * Returns the first offset; "lsn" (may be NULL) gets the record's end.
 */
extern RqOff rq_queue_enqueue(RqQueue *q, const xl_rq_entry *entries,
							  int count, uint64 xid, bool hold,
							  XLogRecPtr *lsn);

/* End what "hold" began, if anything.  Can't throw. */
extern void rq_queue_unhold(void);

/*
 * Read an entry, which must lie in [start, end).  False when it has been
 * trimmed away concurrently; throws when the file is missing or damaged.
 */
extern bool rq_queue_entry(RqQueue *q, RqOff off, RqEntry *entry);

/*
 * Whose files, for a reader that does not keep the queue (see RqQueue): it
 * copies this while it does.
 */
typedef struct RqQueueFiles
{
	RqKey		key;			/* of the topic */
	uint64		incarnation;
	uint32		queue_id;
} RqQueueFiles;

extern RqQueueFiles rq_queue_files(const RqQueue *q);

/*
 * Like rq_queue_entry(), for such a reader.  If the queue no longer exists, the
 * entry can be anything, or its file missing: the caller finds out before it
 * makes use of either.
 */
extern bool rq_queue_entry_of(RqQueueFiles files, RqQueue *q, RqOff off,
							  RqEntry *entry);

/*
 * Like rq_queue_entry(), for retention: an entry whose file is missing, while
 * the server runs with rocketq.ignore_missing_files, is given as an aborted
 * entry of no bytes.
 */
extern bool rq_queue_entry_or_lost(RqQueue *q, RqOff off, RqEntry *entry);

/*
 * Entries [first, end) of one segment, which are neighbours in memory.  A
 * caller of rq_queue_next_entry() keeps it from one call to the next.
 */
typedef struct RqEntryRun
{
	RqOff		first;
	RqOff		end;
	const RqEntry *entries;
} RqEntryRun;

/*
 * Like rq_queue_entry(), for reading one entry after the other.  "run", all
 * zeros at first, saves finding the segment again; it is good as long as the
 * process reads entries of no other queue.
 */
extern bool rq_queue_next_entry(RqQueue *q, RqOff off,
								RqEntryRun *run, RqEntry *entry);

/* As rq_queue_entry(), but false, too, when the file is missing or damaged. */
extern bool rq_queue_probe(RqQueue *q, RqOff off, RqEntry *entry);

/*
 * Read the entries [from, to) as news for waiters.  If there are very many,
 * the news says only that something has come.  Returns how many were read.
 */
extern int	rq_queue_news(RqQueue *q, RqOff from, RqOff to, RqNews *news);

/*
 * First offset in [start, stable] enqueued at or after that time.  Throws as
 * rq_queue_entry() does, but passes over lost entries (see
 * rq_queue_entry_or_lost()).
 */
extern RqOff rq_queue_offset_at(RqQueue *q, TimestampTz when);

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
	bool		exact;			/* false: not all of the same moment */
} RqQueueCounts;

extern RqQueueCounts rq_queue_counts(RqQueue *q);

/*
 * Take the queue's lock to show or measure the queue.  False if it is not free
 * within about 10 ms: its holder may be stopped in the middle of a write.
 */
extern bool rq_queue_try_lock(RqQueue *q, LWLockMode mode);

/*
 * Raise the queue's start, if it is lower, but not beyond the end; returns
 * what it was.  "bytes_start" counts the frames below the new one.  The
 * segments from the old to the new start are for rq_queue_remove_segment() to
 * remove, which needs the meta lock.
 */
extern RqOff rq_queue_trim_apply(RqQueue *q, RqOff start, uint64 bytes_start);
extern void rq_queue_remove_segment(RqKey key, uint32 queue_id, uint64 segno);

/*
 * The queue that a record with this LSN is about, NULL if that no longer
 * exists.  The caller holds the meta lock or is the startup process.
 */
extern RqQueue *rq_queue_for_redo(RqKey key, uint32 queue_id, XLogRecPtr lsn);

/* An RqWalRedo. */
extern void rq_queue_redo_enqueue(const void *data, uint32 len, XLogRecPtr lsn);

#endif							/* RQ_QUEUE_H */
