/*
 * rq_rmgr.c
 *	  The WAL resource manager: hand records to the layer that wrote them, and
 *	  keep the files on disk whenever PostgreSQL believes they are.
 *
 * When does PostgreSQL believe during recovery that files are on disk?  At two
 * moments.  A restartpoint may begin with any checkpoint record, so before one
 * is replayed, all that was replayed before it is synced (wrapped redo of
 * RM_XLOG_ID).  And the end-of-recovery checkpoint is not replayed but
 * written, so rm_cleanup syncs as well.
 *
 * The redo of RM_XACT_ID is wrapped too, for sessions that wait for messages
 * on a standby or use a topic that was altered.
 *
 * A base backup can hold files that became garbage before it copied the state
 * file, and no record that is replayed mentions them; so these go before redo
 * begins.  What becomes garbage later, redo removes.
 *
 * PostgreSQL calls rm_startup and rm_cleanup only if there is something to
 * replay.  What must be done at every start is therefore done by the keeper if
 * it has not been done here.
 */
#include "postgres.h"

#include "access/xlog_internal.h"
#include "access/xlogrecovery.h"
#include "access/xlogutils.h"
#include "catalog/pg_control.h"
#include "utils/memutils.h"

#include "base/rq_compat.h"
#include "consume/rq_offset.h"
#include "extent/rq_extlist.h"
#include "extent/rq_extsupply.h"
#include "format/rq_walrec.h"
#include "log/rq_log.h"
#include "queue/rq_enqueue.h"
#include "queue/rq_extent.h"
#include "queue/rq_resolve.h"
#include "retain/rq_trim.h"
#include "shmem/rq_shmem.h"
#include "topic/rq_alter.h"
#include "topic/rq_group_create.h"
#include "topic/rq_group_drop.h"
#include "topic/rq_topic.h"
#include "topic/rq_topic_create.h"
#include "topic/rq_topic_drop.h"
#include "topic/rq_wake.h"
#include "wal/rq_files.h"
#include "wal/rq_rmgr.h"
#include "wal/rq_state.h"
#include "wal/rq_tidy.h"

static MemoryContext redo_cxt = NULL;
static void (*core_xlog_redo) (XLogReaderState *record) = NULL;
static void (*core_xact_redo) (XLogReaderState *record) = NULL;

/* For records that are only information. */
static void
rq_redo_nothing(const void *data, uint32 len, XLogRecPtr lsn)
{
}

#define REDO_RECORD(NAME, name, info, redo) [RQ_WAL_INDEX(info)] = redo,
#define REDO_EXT(NAME, name, kind, redo) [RQ_WAL_EXT_INDEX(kind)] = redo,

static const RqWalRedo redo_functions[] = {
	RQ_WAL_RECORDS(REDO_RECORD)
	RQ_WAL_EXT_KINDS(REDO_EXT)
};

/*
 * Until replay is consistent, a file may be missing because a record further
 * on trims it.  From then on a missing one is lost.  Checked after each
 * record, since there is no hook for that moment.
 */
static void
check_when_consistent(void)
{
	if (reachedConsistency && unlikely(!rq_store->files_checked))
		rq_files_check_replayed(FATAL);
}

/* Chunks with nothing in them that are kept, of each class. */
static const uint32 keep_some[RQ_EXT_CLASSES] = {2, 2, 2, 2};

/*
 * Chunks with nothing in them are razed first, so that the sync has room for the
 * state; and after it, since what was given back is free then.
 */
static void
make_redo_room(XLogRecPtr upto)
{
	rq_extent_make_room(rq_extent_is_needed);
	if (!rq_extent_awaits_sync())
		return;
	rq_state_sync(upto, RQ_SYNC_ORDINARY);
	rq_extent_make_room(rq_extent_is_needed);
}

/*
 * Replay the record, of so many bytes, which fails before it changes anything.
 * If that is for lack of disk space, make room as the primary did, and try once
 * more; now extents of any class will do.
 */
static void
redo_with_room(XLogReaderState *record, uint32 len, RqWalRedo redo)
{
	MemoryContext cxt = CurrentMemoryContext;
	const void *data = XLogRecGetData(record);
	volatile bool lacks_room = false;

	PG_TRY();
	{
		redo(data, len, record->EndRecPtr);
	}
	PG_CATCH();
	{
		if (geterrcode() != ERRCODE_DISK_FULL)
			PG_RE_THROW();
		lacks_room = true;
	}
	PG_END_TRY();
	if (!lacks_room)
		return;
	MemoryContextSwitchTo(cxt);
	FlushErrorState();
	LWLockReleaseAll();
	make_redo_room(record->ReadRecPtr);
	(void) rq_space_publish(&rq_extents->space, ENOSPC);
	redo(data, len, record->EndRecPtr);
	(void) rq_space_publish(&rq_extents->space, 0);
}

/*
 * What a newer version has written may have another meaning than it seems to
 * have.  On a standby this is how it finds out that the primary has been
 * upgraded.
 */
static void
check_version(uint8 version, XLogRecPtr lsn)
{
	if (rq_wal_is_known(version))
		return;
	ereport(FATAL,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("rocketq's WAL record at %X/%X was written by %s version of rocketq",
					LSN_FORMAT_ARGS(lsn), version > RQ_WAL_VERSION ? "a newer" : "an older"),
			 errdetail("It has version %u.  This is rocketq %s, which knows versions %u to %u.",
					   version, RQ_LIBRARY_VERSION, RQ_WAL_OLDEST, RQ_WAL_VERSION),
			 version > RQ_WAL_VERSION ?
			 errhint("Install the version of rocketq that has written it, and start the server again.") :
			 errhint("Restore a base backup that was made after the upgrade of rocketq.")));
}

/*
 * The checks of rq_wal_check() come before any redo function, none of which
 * has to doubt lengths and numbers.  Memory of a record is freed at once,
 * since one startup process replays for as long as a standby lives.
 */
static void
rocketq_redo(XLogReaderState *record)
{
	MemoryContext old = MemoryContextSwitchTo(redo_cxt);
	uint8		info = XLogRecGetInfo(record);
	const void *data = XLogRecGetData(record);
	uint32		len = XLogRecGetDataLen(record);
	const char *problem;

	check_version(rq_wal_version(data, &len), record->ReadRecPtr);
	problem = rq_wal_check(info, data, len);
	if (problem)
		elog(PANIC, "rocketq WAL record of type %u, kind %u: %s",
			 info & ~XLR_INFO_MASK, rq_wal_ext_kind(info, data, len), problem);

	/*
	 * As the keeper did, so that replay needs no more room than the primary:
	 * what queues gave back is used again after a sync.
	 */
	if (rq_extent_wants_sync(false))
		rq_state_sync(record->ReadRecPtr, RQ_SYNC_ORDINARY);
	redo_with_room(record, len, redo_functions[rq_wal_index(info, data, len)]);
	rq_store->redo_changed = true;
	check_when_consistent();
	MemoryContextSwitchTo(old);
	MemoryContextReset(redo_cxt);
}

/*
 * From here on the files are not those of a clean shutdown.  Garbage is
 * removed only in archive recovery, where it can have come with a base backup;
 * in crash recovery the keeper does that afterwards.
 */
static void
rocketq_startup(void)
{
	redo_cxt = AllocSetContextCreate(TopMemoryContext, "rocketq redo",
									 ALLOCSET_DEFAULT_SIZES);
	rq_files_forget_closed();
	if (ArchiveRecoveryRequested)
		rq_files_tidy(false);
}

/*
 * Everything is replayed.  Sync for the end-of-recovery checkpoint, which may
 * not wait for a keeper: there is none yet.
 */
static void
rocketq_cleanup(void)
{
	rq_files_check_replayed(FATAL);
	rq_state_sync(GetXLogReplayRecPtr(NULL), RQ_SYNC_FINAL);
	MemoryContextDelete(redo_cxt);
	redo_cxt = NULL;
}

/*
 * Before a checkpoint record is replayed: its redo tells the checkpointer that
 * a restartpoint may start from it, and the checkpointer does not wait for us.
 * Leftovers are tried again first, since a standby has no janitor.
 */
static void
redo_xlog(XLogReaderState *record)
{
	uint8		info = XLogRecGetInfo(record) & ~XLR_INFO_MASK;

	if (info == XLOG_CHECKPOINT_SHUTDOWN || info == XLOG_CHECKPOINT_ONLINE)
	{
		(void) rq_files_tidy_leftovers();
		rq_state_sync(record->ReadRecPtr, RQ_SYNC_ORDINARY);
		(void) rq_extent_raze(keep_some, PG_UINT32_MAX, PG_UINT32_MAX);
	}
	core_xlog_redo(record);
	check_when_consistent();
}

/*
 * The end of a transaction can make messages readable, and decides how many
 * queues an altered topic has.  Both are checked after the original redo,
 * which sets the outcome in pg_xact.
 *
 * Until there is a snapshot and replay is consistent, nobody reads, and the
 * outcome of a transaction cannot be asked for: the state file can name one
 * that replay has not come to yet.
 */
static void
redo_xact(XLogReaderState *record)
{
	core_xact_redo(record);
	if (standbyState == STANDBY_SNAPSHOT_READY && reachedConsistency)
		rq_topic_alter_replayed();
	rq_wake_replayed();
	check_when_consistent();
}

static const RmgrData rocketq_rmgr = {
	.rm_name = RQ_RMGR_NAME,
	.rm_redo = rocketq_redo,
	.rm_desc = rq_wal_desc,
	.rm_identify = rq_wal_identify,
	.rm_startup = rocketq_startup,
	.rm_cleanup = rocketq_cleanup
};

/*
 * RmgrTable is this process's copy, so this happens in the postmaster, from
 * which the startup process inherits it.
 */
void
rq_rmgr_register(void)
{
	rq_register_rmgr(rq_rmgr_id, &rocketq_rmgr);
	core_xlog_redo = RmgrTable[RM_XLOG_ID].rm_redo;
	RmgrTable[RM_XLOG_ID].rm_redo = redo_xlog;
	core_xact_redo = RmgrTable[RM_XACT_ID].rm_redo;
	RmgrTable[RM_XACT_ID].rm_redo = redo_xact;
}
