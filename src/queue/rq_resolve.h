/*
 * rq_resolve.h
 *	  Which entries of a queue count, and how far that is known.
 */
#ifndef RQ_RESOLVE_H
#define RQ_RESOLVE_H

#include "format/rq_walrec.h"
#include "shmem/rq_shmem.h"
#include "topic/rq_tables.h"
#include "topic/rq_xid.h"

/*
 * Raise the queue's stable offset as far as the outcome of transactions is
 * known.  "own_xid" (0 = none) is the calling transaction, whose outcome is
 * "own".  May throw, having changed nothing that others could not redo.
 */
extern void rq_resolve(uint32 topic, RqQueue *q, uint64 own_xid,
					   RqXidStatus own);

/* A part of that, bounded; true if there may be more. */
extern bool rq_resolve_some(uint32 topic, RqQueue *q, uint64 own_xid,
							RqXidStatus own);

/* The same as far as a look shows that there is something to raise. */
extern void rq_resolve_refresh(uint32 topic, RqQueue *q);

/*
 * The same, but no more than a stretch: true if there may be more.  For those who
 * hold a lock that others wait for, and give it back in between.
 */
extern bool rq_resolve_refresh_some(uint32 topic, RqQueue *q);

/*
 * The same for those who only show the queue: does not wait for its lock for
 * long, and leaves what can't be read or written as it is.
 */
extern bool rq_resolve_try_refresh(uint32 topic, RqQueue *q);

/*
 * When the first entry that is not resolved was enqueued, and which process it
 * waits for (0 = none that is known).  False if there is no such entry, or it
 * can't be read.
 */
extern bool rq_resolve_blocker(uint32 topic, RqQueue *q, TimestampTz *since,
							   int *pid);

/*
 * WAL-log how far the queue is resolved, if that has changed; true if there is
 * more to log.  Keeper only.
 */
extern bool rq_resolve_log(uint32 topic, RqQueue *q);

/* An RqWalRedo. */
extern void rq_resolve_redo(const void *data, uint32 len, XLogRecPtr lsn);

#endif							/* RQ_RESOLVE_H */
