/*
 * rq_queuesync.h
 *	  Which files of queues are on disk, as this process has brought them there.
 *
 * For the process that syncs the store: startup during recovery, the keeper
 * after it, never both (wal/rq_state.c).
 */
#ifndef RQ_QUEUESYNC_H
#define RQ_QUEUESYNC_H

#include "topic/rq_tables.h"

/* Begin a sync: nothing is noted.  Notes go to the current memory context. */
extern void rq_queue_sync_begin(void);

/*
 * The queue's slot is being copied: note what of its files is to be brought to
 * disk before the copy is.  The caller holds the meta lock and the queue's.
 */
extern void rq_queue_sync_note(RqQueue *q);

/*
 * Bring all that is noted to disk; returns how many bytes.  If this is not
 * called, or throws, the next sync notes the same again.  PANIC if fsync
 * fails.
 */
extern uint64 rq_queue_sync_noted(void);

/*
 * Take for granted that all that is logged of the queues is on disk, as it is
 * when the keeper begins.  Takes the meta lock.
 */
extern void rq_queue_sync_assume(void);

#endif							/* RQ_QUEUESYNC_H */
