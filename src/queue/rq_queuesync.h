/*
 * rq_queuesync.h
 *	  Which files of queues are on disk, as this process has brought them there.
 *
 * For whoever syncs the store, one process at a time (wal/rq_state.c).
 */
#ifndef RQ_QUEUESYNC_H
#define RQ_QUEUESYNC_H

#include "topic/rq_tables.h"

/* Begin a sync, of which nothing is noted; in the current memory context. */
extern void rq_queue_sync_begin(void);

/*
 * The queue's slot is being copied: note what of its files is to be brought to
 * disk before the copy is.  The caller holds the meta lock and the queue's.
 */
extern void rq_queue_sync_note(uint32 topic, RqQueue *q);

/*
 * Bring all that is noted to disk; returns how many bytes.  Whoever does not come
 * here has the same to do the next time.  PANIC if the disk fails.
 */
extern uint64 rq_queue_sync_noted(void);

/* All that is logged of the queues is on disk.  Takes the meta lock. */
extern void rq_queue_sync_assume(void);

#endif							/* RQ_QUEUESYNC_H */
