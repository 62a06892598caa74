/*
 * rq_queue.h
 *	  Consume queues: their files and ends.
 */
#ifndef RQ_QUEUE_H
#define RQ_QUEUE_H

#include "format/rq_queuefmt.h"
#include "shmem/rq_shmem.h"
#include "topic/rq_tables.h"

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

#endif							/* RQ_QUEUE_H */
