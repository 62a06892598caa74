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
extern void rq_resolve(RqQueue *q, uint64 own_xid, RqXidStatus own);

/* A bounded part of rq_resolve(); true if there may be more. */
extern bool rq_resolve_some(RqQueue *q, uint64 own_xid, RqXidStatus own);

/*
 * Like rq_resolve(), but the lock is taken only if the outcome of the first
 * unresolved entry is known.
 */
extern void rq_resolve_refresh(RqQueue *q);

/*
 * Like rq_resolve_refresh(), but only a bounded part: true if there may be
 * more.  For callers that hold a lock that others wait for, and release it in
 * between.
 */
extern bool rq_resolve_refresh_some(RqQueue *q);

/*
 * Like rq_resolve_refresh_some(), for callers that only show the queue: does
 * not wait long for its lock, and stops at an entry whose file cannot be
 * mapped.
 */
extern bool rq_resolve_try_refresh(RqQueue *q);

/*
 * When the first unresolved entry was enqueued, and the process that it waits
 * for (0 = not known).  False if there is no such entry, or it cannot be read.
 */
extern bool rq_resolve_blocker(RqQueue *q, TimestampTz *since, int *pid);

/*
 * WAL-log how far the queue is resolved, if that has changed; true if there is
 * more to log.  When all of the queue is, it is no longer unsettled.  Keeper
 * only.
 */
extern bool rq_resolve_log(RqQueue *q);

/* An RqWalRedo. */
extern void rq_resolve_redo(const void *data, uint32 len, XLogRecPtr lsn);

#endif							/* RQ_RESOLVE_H */
