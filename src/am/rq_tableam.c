/*
 * rq_tableam.c
 *	  The table access method rocketq: its routine, and what it refuses.
 *
 * A topic is an append-only table: rows can be inserted and scanned, and nothing
 * else.  There are no row versions, no index entries, no TOAST table, and no
 * pages, only an empty file that proves that the topic exists.
 */
#include "postgres.h"

#include "access/table.h"
#include "utils/rel.h"

#include "am/rq_estimate.h"
#include "am/rq_insert.h"
#include "am/rq_parallel.h"
#include "am/rq_sample.h"
#include "am/rq_scan.h"
#include "am/rq_slot.h"
#include "am/rq_storage.h"
#include "am/rq_tableam.h"
#include "am/rq_tidscan.h"
#include "value/rq_refuse.h"

/* ---- refused ---- */

#define NO_INDEXES() \
	RQ_REFUSE("indexes on topics are not supported", \
		   "Filter by tag, or consume into a table that has the index.")

#define NO_ON_CONFLICT() \
	RQ_REFUSE("INSERT ... ON CONFLICT with an index is not supported on topics", \
		   "A topic takes every message.")

static struct IndexFetchTableData *
index_fetch_begin(Relation rel)
{
	NO_INDEXES();
	return NULL;
}

static void
index_fetch_reset(struct IndexFetchTableData *data)
{
	NO_INDEXES();
}

static void
index_fetch_end(struct IndexFetchTableData *data)
{
	NO_INDEXES();
}

static bool
index_fetch_tuple(struct IndexFetchTableData *scan, ItemPointer tid,
				  Snapshot snapshot, TupleTableSlot *slot,
				  bool *call_again, bool *all_dead)
{
	NO_INDEXES();
	return false;
}

static TransactionId
index_delete_tuples(Relation rel, TM_IndexDeleteOp *delstate)
{
	NO_INDEXES();
	return InvalidTransactionId;
}

static double
index_build_range_scan(Relation table_rel, Relation index_rel,
					   struct IndexInfo *index_info, bool allow_sync,
					   bool anyvisible, bool progress,
					   BlockNumber start_blockno, BlockNumber numblocks,
					   IndexBuildCallback callback, void *callback_state,
					   TableScanDesc scan)
{
	NO_INDEXES();
	return 0;
}

static void
index_validate_scan(Relation table_rel, Relation index_rel,
					struct IndexInfo *index_info, Snapshot snapshot,
					struct ValidateIndexState *state)
{
	NO_INDEXES();
}

static void
tuple_insert_speculative(Relation rel, TupleTableSlot *slot, CommandId cid,
						 int options, struct BulkInsertStateData *bistate,
						 uint32 specToken)
{
	NO_ON_CONFLICT();
}

static void
tuple_complete_speculative(Relation rel, TupleTableSlot *slot,
						   uint32 specToken, bool succeeded)
{
	NO_ON_CONFLICT();
}

static TM_Result
tuple_delete(Relation rel, ItemPointer tid, CommandId cid, Snapshot snapshot,
			 Snapshot crosscheck, bool wait, TM_FailureData *tmfd,
			 bool changingPart)
{
	rq_refuse_delete();
}

static TM_Result
tuple_update(Relation rel, ItemPointer otid, TupleTableSlot *slot,
			 CommandId cid, Snapshot snapshot, Snapshot crosscheck, bool wait,
			 TM_FailureData *tmfd, LockTupleMode *lockmode,
			 RqUpdateIndexes *update_indexes)
{
	rq_refuse_update();
}

static TM_Result
tuple_lock(Relation rel, ItemPointer tid, Snapshot snapshot,
		   TupleTableSlot *slot, CommandId cid, LockTupleMode mode,
		   LockWaitPolicy wait_policy, uint8 flags, TM_FailureData *tmfd)
{
	rq_refuse_lock();
}

static bool
tuple_satisfies_snapshot(Relation rel, TupleTableSlot *slot, Snapshot snapshot)
{
	rq_refuse_foreign_key();
}

static void
relation_copy_for_cluster(Relation NewTable, Relation OldTable,
						  Relation OldIndex, bool use_sort,
						  TransactionId OldestXmin,
						  TransactionId *xid_cutoff,
						  MultiXactId *multi_cutoff, double *num_tuples,
						  double *tups_vacuumed, double *tups_recently_dead)
{
	RQ_REFUSE("topics cannot be rewritten",
			  "A topic never needs VACUUM.");
}

/* ---- nothing to do ---- */

static void
relation_vacuum(Relation rel, struct VacuumParams *params,
				BufferAccessStrategy bstrategy)
{
	/* The janitor does retention, and nothing needs freezing. */
}

/* SET TABLESPACE; ddl/rq_access_hook.c corrects the catalog afterwards. */
static void
relation_copy_data(Relation rel, const RelFileLocator *newrlocator)
{
	rq_report_no_tablespace(RelationGetRelationName(rel));
}

/* Values of any length are stored whole in the log. */
static bool
relation_needs_toast_table(Relation rel)
{
	return false;
}

/* ---- for the executor ---- */

static const TupleTableSlotOps *
slot_callbacks(Relation rel)
{
	return rq_slot_ops();
}

const TableAmRoutine rq_table_am = {
	.type = T_TableAmRoutine,

	.slot_callbacks = slot_callbacks,

	.scan_begin = rq_scan_begin,
	.scan_end = rq_scan_end,
	.scan_rescan = rq_scan_rescan,
	.scan_getnextslot = rq_scan_getnextslot,
	.scan_set_tidrange = rq_scan_set_tidrange,
	.scan_getnextslot_tidrange = rq_scan_getnextslot,

	.parallelscan_estimate = rq_parallelscan_estimate,
	.parallelscan_initialize = rq_parallelscan_initialize,
	.parallelscan_reinitialize = rq_parallelscan_reinitialize,

	.index_fetch_begin = index_fetch_begin,
	.index_fetch_reset = index_fetch_reset,
	.index_fetch_end = index_fetch_end,
	.index_fetch_tuple = index_fetch_tuple,

	.tuple_fetch_row_version = rq_tuple_fetch_row_version,
	.tuple_tid_valid = rq_tuple_tid_valid,
	.tuple_get_latest_tid = rq_tuple_get_latest_tid,
	.tuple_satisfies_snapshot = tuple_satisfies_snapshot,
	.index_delete_tuples = index_delete_tuples,

	.tuple_insert = rq_tuple_insert,
	.tuple_insert_speculative = tuple_insert_speculative,
	.tuple_complete_speculative = tuple_complete_speculative,
	.multi_insert = rq_multi_insert,
	.tuple_delete = tuple_delete,
	.tuple_update = tuple_update,
	.tuple_lock = tuple_lock,

	.RQ_AM_SET_NEW_FILELOCATOR = rq_set_new_filelocator,
	.relation_nontransactional_truncate = rq_nontransactional_truncate,
	.relation_copy_data = relation_copy_data,
	.relation_copy_for_cluster = relation_copy_for_cluster,
	.relation_vacuum = relation_vacuum,
	.scan_analyze_next_block = rq_scan_analyze_next_block,
	.scan_analyze_next_tuple = rq_scan_analyze_next_tuple,
	.index_build_range_scan = index_build_range_scan,
	.index_validate_scan = index_validate_scan,

	.relation_size = rq_relation_size,
	.relation_needs_toast_table = relation_needs_toast_table,

	.relation_estimate_size = rq_relation_estimate_size,

	.scan_sample_next_block = rq_scan_sample_next_block,
	.scan_sample_next_tuple = rq_scan_sample_next_tuple,
};
