/*
 * rq_rmgr.c
 *	  The WAL resource manager: hand records to the layer that wrote them, and
 *	  keep the files on disk whenever PostgreSQL believes they are.
 *
 * During recovery that means two moments.  A restartpoint may begin with any
 * checkpoint record, so before one is replayed all that was replayed before it
 * is synced (wrapped redo of RM_XLOG_ID).  And the end-of-recovery checkpoint
 * is not replayed but written, so rm_cleanup syncs as well.
 */
#include "postgres.h"

#include "access/xlog_internal.h"
#include "access/xlogrecovery.h"
#include "catalog/pg_control.h"
#include "utils/memutils.h"

#include "base/rq_compat.h"
#include "format/rq_walrec.h"
#include "log/rq_log.h"
#include "queue/rq_cqueue.h"
#include "queue/rq_group.h"
#include "queue/rq_retain.h"
#include "queue/rq_topic.h"
#include "recovery/rq_rmgr.h"
#include "recovery/rq_state.h"
#include "shmem/rq_shmem.h"

static MemoryContext redo_cxt = NULL;
static void (*core_xlog_redo) (XLogReaderState *record) = NULL;

/* Throw unless the record is long enough for a struct and "more" bytes. */
static const void *
record_data(XLogReaderState *record, Size size, uint64 more)
{
	if (XLogRecGetDataLen(record) < size + more)
		elog(PANIC, "rocketq WAL record is too short");
	return XLogRecGetData(record);
}

#define RECORD(record, type) \
	((const type *) record_data((record), sizeof(type), 0))
#define RECORD_WITH(record, type, count_field, item) \
	((const type *) record_data((record), sizeof(type), \
		(uint64) RECORD((record), type)->count_field * sizeof(item)))
#define FOLLOWS(rec)	((const void *) ((rec) + 1))

static void
redo_group(XLogReaderState *record, XLogRecPtr lsn)
{
	const xl_rq_group *rec = RECORD_WITH(record, xl_rq_group, nqueues, xl_rq_place);

	record_data(record, sizeof(*rec) + rec->nqueues * sizeof(xl_rq_place),
				rec->name_len);
	rq_group_redo(rec, lsn);
}

static void
redo_record(XLogReaderState *record)
{
	XLogRecPtr	lsn = record->EndRecPtr;

	switch (XLogRecGetInfo(record) & ~XLR_INFO_MASK)
	{
		case XLOG_RQ_APPEND:
			{
				const xl_rq_append *rec = RECORD_WITH(record, xl_rq_append, len, char);

				rq_log_redo_append(rec, FOLLOWS(rec));
				break;
			}
		case XLOG_RQ_ENQUEUE:
			{
				const xl_rq_enqueue *rec = RECORD_WITH(record, xl_rq_enqueue, count, xl_rq_entry);

				rq_queue_redo_enqueue(rec, FOLLOWS(rec), lsn);
				break;
			}
		case XLOG_RQ_RESOLVE:
			{
				const xl_rq_resolve *rec = RECORD_WITH(record, xl_rq_resolve, nranges, xl_rq_range);

				rq_queue_redo_resolve(rec, FOLLOWS(rec), lsn);
				break;
			}
		case XLOG_RQ_OFFSET:
			rq_offset_redo(RECORD(record, xl_rq_offset), lsn);
			break;
		case XLOG_RQ_SETTLE:
			rq_offset_redo_settle(RECORD(record, xl_rq_settle), lsn);
			break;
		case XLOG_RQ_TOPIC:
			rq_topic_redo(RECORD(record, xl_rq_topic), lsn);
			break;
		case XLOG_RQ_TOPIC_DROP:
			rq_topic_redo_drop(RECORD(record, xl_rq_topic_drop), lsn);
			break;
		case XLOG_RQ_GROUP:
			redo_group(record, lsn);
			break;
		case XLOG_RQ_GROUP_DROP:
			rq_group_redo_drop(RECORD(record, xl_rq_group_drop), lsn);
			break;
		case XLOG_RQ_TRIM:
			{
				const xl_rq_trim *rec = RECORD_WITH(record, xl_rq_trim, count, xl_rq_queue_start);

				rq_retain_redo_trim(rec, FOLLOWS(rec), lsn);
				break;
			}
		case XLOG_RQ_SYNC:
			break;
		default:
			elog(PANIC, "rocketq_redo: unrecognized record type %u",
				 XLogRecGetInfo(record) & ~XLR_INFO_MASK);
	}
}

static void
rocketq_redo(XLogReaderState *record)
{
	MemoryContext old = MemoryContextSwitchTo(redo_cxt);

	redo_record(record);
	rq_ctl->redo_changed = true;
	MemoryContextSwitchTo(old);
	MemoryContextReset(redo_cxt);
}

static void
rocketq_startup(void)
{
	redo_cxt = AllocSetContextCreate(TopMemoryContext, "rocketq redo",
									 ALLOCSET_DEFAULT_SIZES);
}

/* Everything is replayed; what comes next is not WAL we replay. */
static void
rocketq_cleanup(void)
{
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
		rq_state_sync(record->ReadRecPtr);
	core_xlog_redo(record);
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
}
