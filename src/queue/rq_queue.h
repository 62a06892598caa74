/*
 * rq_queue.h
 *	  Consume queues: their bounds.
 */
#ifndef RQ_QUEUE_H
#define RQ_QUEUE_H

#include "format/rq_queuefmt.h"
#include "shmem/rq_shmem.h"
#include "topic/rq_tables.h"

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
 * Raise the queue's start, if it is lower, but not beyond the end.
 * "bytes_start" counts the frames below the new one.  What is no longer needed
 * is for rq_extent_cut() to give back.
 */
extern void rq_queue_trim_apply(RqQueue *q, RqOff start, uint64 bytes_start);

/*
 * The queue that a record with this LSN is about, NULL if that no longer
 * exists.  The caller holds the meta lock or is the startup process.
 */
extern RqQueue *rq_queue_for_redo(RqKey key, uint32 queue_id, XLogRecPtr lsn);

#endif							/* RQ_QUEUE_H */
