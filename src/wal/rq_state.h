/*
 * rq_state.h
 *	  The store's state between shared memory and the state file, and syncing
 *	  files to disk.
 */
#ifndef RQ_STATE_H
#define RQ_STATE_H

#include "base/rq_base.h"

/*
 * Bring everything that has changed since the last call in this process to
 * disk: copy the state, flush WAL up to what the copy may hold, fsync files,
 * write the state file.  Called by the keeper, or by the startup process with
 * "wal_upto" = how far it has replayed.  Returns false if nothing had changed.
 * Takes the meta lock shared, and in it the locks of queues and offsets.  May
 * throw, also for lack of disk space.
 */
extern bool rq_state_sync(XLogRecPtr wal_upto);

/*
 * Bring to disk what was written to the log rocketq.flush_delay ago, so that a
 * checkpoint has little left to wait for: have the kernel begin to write it,
 * and fsync segments that are full.  Keeper only.
 */
extern void rq_state_sync_early(void);

/*
 * How many bytes this process's last sync covered: stretches of the log and
 * the queues, and the state file.
 */
extern uint64 rq_state_synced_bytes(void);

/*
 * Note that everything up to now is on disk, because another process has
 * synced it: the startup process at the end of recovery, or an earlier keeper
 * when it closed the store.  Of the log, a keeper's successor assumes only
 * what that one had synced.
 */
extern void rq_state_assume_synced(void);

#endif							/* RQ_STATE_H */
