/*
 * rq_rmgr.c
 *	  The WAL resource manager: hand records to the layer that wrote them, and
 *	  keep the files on disk whenever PostgreSQL believes they are.
 *
 * During recovery that means two moments.  A restartpoint may begin with any
 * checkpoint record, so before one is replayed all that was replayed before it
 * is synced (wrapped redo of RM_XLOG_ID).  And the end-of-recovery checkpoint
 * is not replayed but written, so rm_cleanup syncs as well.
 *
 * The redo of RM_XACT_ID is wrapped as well, for those who wait for messages on
 * a standby or look at a topic that was altered.
 *
 * A base backup can hold files that WAL had made garbage before it copied the
 * state file, of which redo hears no more; so these go before redo begins.
 * What WAL makes garbage afterwards, its redo removes.
 */
#include "postgres.h"

#include "access/xlog_internal.h"
#include "access/xlogrecovery.h"
#include "access/xlogutils.h"
#include "catalog/pg_control.h"
#include "utils/memutils.h"

#include "base/rq_compat.h"
#include "consume/rq_offset.h"
#include "format/rq_walrec.h"
#include "log/rq_log.h"
#include "queue/rq_queue.h"
#include "queue/rq_resolve.h"
#include "retain/rq_trim.h"
#include "shmem/rq_shmem.h"
#include "topic/rq_alter.h"
#include "topic/rq_group.h"
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

/* Of what is in WAL for the record only. */
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

/* From a consistent state on, files that WAL needs are there. */
static void
check_when_consistent(void)
{
	if (reachedConsistency && unlikely(!rq_ctl->files_checked))
		rq_files_check_replayed(FATAL);
}

static void
rocketq_redo(XLogReaderState *record)
{
	MemoryContext old = MemoryContextSwitchTo(redo_cxt);
	uint8		info = XLogRecGetInfo(record);
	const void *data = XLogRecGetData(record);
	uint32		len = XLogRecGetDataLen(record);
	const char *problem = rq_wal_check(info, data, len);

	if (problem)
		elog(PANIC, "rocketq WAL record of type %u, kind %u: %s",
			 info & ~XLR_INFO_MASK, rq_wal_ext_kind(info, data, len), problem);
	redo_functions[rq_wal_index(info, data, len)] (data, len, record->EndRecPtr);
	rq_ctl->redo_changed = true;
	check_when_consistent();
	MemoryContextSwitchTo(old);
	MemoryContextReset(redo_cxt);
}

static void
rocketq_startup(void)
{
	redo_cxt = AllocSetContextCreate(TopMemoryContext, "rocketq redo",
									 ALLOCSET_DEFAULT_SIZES);
	rq_files_forget_closed();
	if (ArchiveRecoveryRequested)
		rq_files_tidy(false);
}

/* Everything is replayed; what comes next is not WAL we replay. */
static void
rocketq_cleanup(void)
{
	rq_files_check_replayed(FATAL);
	rq_state_sync(GetXLogReplayRecPtr(NULL));
	MemoryContextDelete(redo_cxt);
	redo_cxt = NULL;
}

/* Before a checkpoint record, which a restartpoint may start from. */
static void
redo_xlog(XLogReaderState *record)
{
	uint8		info = XLogRecGetInfo(record) & ~XLR_INFO_MASK;

	if (info == XLOG_CHECKPOINT_SHUTDOWN || info == XLOG_CHECKPOINT_ONLINE)
	{
		(void) rq_files_tidy_leftovers();
		rq_state_sync(record->ReadRecPtr);
	}
	core_xlog_redo(record);
	check_when_consistent();
}

/*
 * The end of a transaction can make messages readable, and tells how many queues
 * a topic has.  Until there is a snapshot, and until replay is consistent, nobody
 * looks, and what has become of a transaction is not known: the state file can
 * name one that replay has not come to yet.
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

void
rq_rmgr_register(void)
{
	rq_register_rmgr(RQ_RMGR_ID, &rocketq_rmgr);
	core_xlog_redo = RmgrTable[RM_XLOG_ID].rm_redo;
	RmgrTable[RM_XLOG_ID].rm_redo = redo_xlog;
	core_xact_redo = RmgrTable[RM_XACT_ID].rm_redo;
	RmgrTable[RM_XACT_ID].rm_redo = redo_xact;
}
