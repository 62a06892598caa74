/*
 * rq_state.h
 *	  The store's state between shared memory and the state file, and syncing
 *	  files to disk.
 */
#ifndef RQ_STATE_H
#define RQ_STATE_H

#include "access/xlogdefs.h"
#include "datatype/timestamp.h"

#include "base/rq_base.h"
#include "shmem/rq_parts.h"
#include "wal/rq_statewrite.h"

/*
 * How far the store has come from the state file, and how far it is back on
 * disk.  Written by whoever looks after that: the postmaster when it loads the
 * state, the startup process during recovery, then the keeper.
 */
typedef struct RqStore
{
	bool		loaded;
	bool		made_by_upgrade;	/* see RQ_STATE_UPGRADE */
	bool		files_checked;	/* see rq_files_check_replayed() */
	bool		tidied;			/* the keeper has removed a crash's leftovers;
								 * one that finds this set is a successor */
	bool		redo_changed;	/* has redo changed anything since the last
								 * sync? */
	RqStateFile file;			/* under no lock: only who syncs uses it */
	RqPos		synced_log;		/* the log is on disk below this */

	/* the keeper's syncs; read by the views */
	XLogRecPtr	synced_redo;
	TimestampTz last_sync_at;
	uint64		syncs;
	uint64		last_sync_us;
	uint64		last_sync_bytes;
} RqStore;

/* The same address in every process; NULL without preloading. */
extern RqStore *rq_store;

extern const RqPart rq_store_part;

typedef enum RqSyncKind
{
	RQ_SYNC_ORDINARY,
	RQ_SYNC_FINAL,				/* nothing will change without a further sync
								 * before */
	RQ_SYNC_QUICK				/* everybody waits for it: if the state file
								 * is to be replaced, that is left to the next */
} RqSyncKind;

/*
 * Bring everything that has changed since the last call in this process to
 * disk: copy the state, flush WAL up to what the copy may hold, fsync files,
 * write to the state file.  Called by the keeper, or by the startup process with
 * "wal_upto" = how far it has replayed.  Returns false if nothing had changed.
 * Takes the meta lock shared, and in it the locks of queues and offsets.  May
 * throw, also for lack of disk space.
 */
extern bool rq_state_sync(XLogRecPtr wal_upto, RqSyncKind kind);

/*
 * Go on writing a new image of the state, if one is due; a bounded part.  May
 * throw.  Keeper only, between syncs.
 */
extern void rq_state_image_round(void);

/*
 * Would a sync now write what an image lacks, however much that is, so that the
 * caller should rather call rq_state_image_round() until it does not?  After an
 * error it should not, for a while.  Keeper only.
 */
extern bool rq_state_image_comes_first(void);

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
