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
 */
extern bool rq_state_sync(XLogRecPtr wal_upto);

/*
 * Bring to disk what was written to the log rocketq.flush_delay ago, so that a
 * checkpoint has little left to wait for: have the kernel begin to write it,
 * and fsync segments that are full.  Keeper only.
 */
extern void rq_state_sync_early(void);

/*
 * How long the stretches are that this process's last sync flushed: of the
 * log and the queues, and the state file.
 */
extern uint64 rq_state_synced_bytes(void);

/*
 * Everything up to now is on disk, another process has seen to it: the
 * startup process at the end of recovery, or a keeper that closed in order.  Of
 * the log a keeper's successor goes on where that one came to.
 */
extern void rq_state_assume_synced(void);

#endif							/* RQ_STATE_H */
