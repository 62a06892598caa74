/*
 * rq_tidscan.c
 *	  Read a row of a topic by its ctid.
 *
 * A ctid holds the offset modulo RQ_TID_BLOCKS (rq_tid.h), so what it refers to
 * depends on what the queue holds.
 */
#include "postgres.h"

#include "executor/tuptable.h"
#include "storage/predicate.h"

#include "am/rq_slot.h"
#include "am/rq_tid.h"
#include "am/rq_tidscan.h"
#include "am/rq_visibility.h"
#include "log/rq_log.h"
#include "queue/rq_entry.h"
#include "queue/rq_resolve.h"
#include "topic/rq_topic.h"
#include "value/rq_relation.h"

/*
 * Find the queue and offset of a row.  The block determines the offset up to a
 * multiple of RQ_TID_BLOCKS; at most one such offset is within the queue.
 */
static bool
find_tid(uint32 topic, ItemPointer tid, uint32 *queue_id, RqOff *off)
{
	RqQueue    *q;
	RqOff		start;

	if (topic == RQ_NO_SLOT || !ItemPointerIsValid(tid) ||
		ItemPointerGetBlockNumber(tid) >= RQ_TID_BLOCKS)
		return false;
	*queue_id = ItemPointerGetOffsetNumber(tid) - 1;
	if (*queue_id >= rq_topic_nqueues(topic))
		return false;
	q = rq_topic_queue(topic, *queue_id);
	start = pg_atomic_read_u64(&q->start);
	*off = start - start % RQ_TID_BLOCKS + ItemPointerGetBlockNumber(tid);
	if (*off < start)
		*off += RQ_TID_BLOCKS;
	return *off < pg_atomic_read_u64(&q->end);
}

static void
refuse_unknown_tid(ItemPointer tid)
{
	if (ItemPointerIsValid(tid) &&
		ItemPointerGetBlockNumber(tid) == RQ_TID_UNKNOWN)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("row triggers AFTER INSERT on a topic are not supported"),
				 errdetail("A message cannot be read back before its transaction commits."),
				 errhint("Use a BEFORE ROW trigger, or an AFTER STATEMENT trigger with a transition table.")));
}

/* Read the entry of a row; false if the snapshot does not see it. */
static bool
fetch_entry(Relation rel, ItemPointer tid, Snapshot snapshot,
			uint32 *queue_id, RqOff *off, RqEntry *entry)
{
	uint32		topic = rq_relation_topic(rel, RQ_STORAGE_OPTIONAL);
	RqQueue    *q;
	RqOff		stable;
	RqVisibility visibility;

	if (!find_tid(topic, tid, queue_id, off))
		return false;
	q = rq_topic_queue(topic, *queue_id);
	rq_resolve_refresh(q);
	stable = pg_atomic_read_u64(&q->stable);
	/* Pairs with resolve_chunk(): flags are set before "stable". */
	pg_read_barrier();
	rq_visibility_init(&visibility, rel, snapshot);
	return rq_queue_entry(q, *off, entry) &&
		rq_visibility_sees(&visibility, entry, *off, stable,
						   visibility.mvcc ? stable : PG_UINT64_MAX) &&
		entry->pos >= pg_atomic_read_u64(&rq_log->start);
}

bool
rq_tuple_fetch_row_version(Relation rel, ItemPointer tid, Snapshot snapshot,
						   TupleTableSlot *slot)
{
	uint32		queue_id;
	RqOff		off;
	RqEntry		entry;

	rq_require_preload();
	ExecClearTuple(slot);
	if (snapshot->snapshot_type == SNAPSHOT_ANY)
		refuse_unknown_tid(tid);
	if (!fetch_entry(rel, tid, snapshot, &queue_id, &off, &entry))
		return false;
	rq_slot_store(slot, RelationGetRelid(rel), queue_id, off, &entry);
	return true;
}

/*
 * A TID scan skips what is not valid.  An existing row never changes, but one that
 * does not exist can appear, so its absence needs a predicate lock.
 */
bool
rq_tuple_tid_valid(TableScanDesc scan, ItemPointer tid)
{
	uint32		queue_id;
	RqOff		off;

	if (find_tid(rq_relation_topic(scan->rs_rd, RQ_STORAGE_OPTIONAL), tid, &queue_id, &off))
		return true;
	PredicateLockRelation(scan->rs_rd, scan->rs_snapshot);
	return false;
}

/* Messages do not change: every version is the latest one. */
void
rq_tuple_get_latest_tid(TableScanDesc scan, ItemPointer tid)
{
}
