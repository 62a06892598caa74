/*
 * rq_enqueue.h
 *	  Write entries to consume queues.
 */
#ifndef RQ_ENQUEUE_H
#define RQ_ENQUEUE_H

#include "format/rq_walrec.h"
#include "topic/rq_tables.h"

/*
 * Give the next offsets of the queue to these entries.  They count if the
 * transaction "xid" commits; with xid 0 as soon as the caller has flushed the
 * WAL up to "lsn" and has called rq_queue_forget_unflushed().  Must be called
 * outside the gate; throws before anything is changed.  Returns the first
 * offset; "lsn" (may be NULL) gets the record's end.
 */
extern RqOff rq_queue_enqueue(RqQueue *q, const xl_rq_entry *entries,
							  int count, uint64 xid, XLogRecPtr *lsn);

/* What was enqueued with xid 0, if anything, may count.  Can't throw. */
extern void rq_queue_forget_unflushed(void);

/* An RqWalRedo. */
extern void rq_queue_redo_enqueue(const void *data, uint32 len, XLogRecPtr lsn);

#endif							/* RQ_ENQUEUE_H */
