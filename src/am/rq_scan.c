/*
 * rq_scan.c
 *	  Read a topic as a table.
 *
 * A scan visits the queues one after the other, each from its start to where it
 * ended when the scan began.  It takes no locks: entries below a queue's end do
 * not change, except that an aborted one gets its flag.  For its whole duration
 * the scan holds back retention (log/rq_reader.c); messages that are removed
 * nevertheless, as on a standby, are left out.
 */
#include "postgres.h"

#include "access/relscan.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/predicate.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "am/rq_parallel.h"
#include "am/rq_range.h"
#include "am/rq_scan.h"
#include "am/rq_slot.h"
#include "am/rq_visibility.h"
#include "log/rq_log.h"
#include "produce/rq_touched.h"
#include "queue/rq_entry.h"
#include "topic/rq_topic.h"
#include "value/rq_relation.h"

/* Scans that read rows in order, and need a predicate lock for what they see. */
#define READS_ROWS \
	(SO_TYPE_SEQSCAN | SO_TYPE_SAMPLESCAN | SO_TYPE_TIDRANGESCAN)

/* Position the scan before its first row or, if backward, after its last. */
static void
start_over(RqScan *s)
{
	s->begun = false;
	s->on_row = false;
	s->queue = NULL;
	s->block = InvalidBlockNumber;
	s->row = s->first = 0;
	s->last = s->base.rs_parallel ? 0 : s->range->nrows;
}

/*
 * Determine what the scan will read.  Retention is already held back, so what is
 * in the range stays.
 */
static void
set_range(RqScan *s, Relation rel, ParallelTableScanDesc pscan)
{
	uint32		nqueues = 0;

	s->topic = rq_relation_topic(rel, RQ_STORAGE_OPTIONAL);
	if (pscan)
		s->all = rq_parallel_range(pscan);
	else
	{
		if (s->topic != RQ_NO_SLOT)
			nqueues = rq_topic_nqueues(s->topic);
		s->all = palloc(rq_range_size(nqueues));
		rq_range_fill(s->all, s->topic, nqueues);
	}
	s->range = s->all;
}

/* Nesting depth of statements that check constraints, in this process. */
static int	checking = 0;

void
rq_constraint_check_begin(void)
{
	checking++;
}

void
rq_constraint_check_end(void)
{
	Assert(checking > 0);
	checking--;
}

/*
 * A constraint counts for what the transaction has produced, too, which no scan
 * finds before it is committed.
 */
static void
refuse_unchecked(Relation rel)
{
	uint32		topic = rq_relation_topic(rel, RQ_STORAGE_OPTIONAL);

	if (topic != RQ_NO_SLOT && rq_touched_has_messages(topic))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("cannot check a constraint of topic \"%s\", into which this transaction has produced",
						RelationGetRelationName(rel)),
				 errhint("Commit the messages first.")));
}

TableScanDesc
rq_scan_begin(Relation rel, Snapshot snapshot, int nkeys,
			  struct ScanKeyData *key, ParallelTableScanDesc pscan,
			  uint32 flags)
{
	RqScan	   *s;

	rq_require_preload();
	if (nkeys != 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("scan keys are not supported in scans of topics")));

	if (unlikely(checking > 0))
		refuse_unchecked(rel);
	s = palloc0(sizeof(RqScan));
	s->base.rs_rd = rel;
	s->base.rs_snapshot = snapshot;
	s->base.rs_flags = flags;
	s->base.rs_parallel = pscan;
	rq_visibility_init(&s->visibility, rel, snapshot);
	RelationIncrementReferenceCount(rel);
	if (flags & READS_ROWS)
		PredicateLockRelation(rel, snapshot);
	if (flags & (READS_ROWS | SO_TYPE_ANALYZE))
	{
		s->pin = rq_log_pin();
		set_range(s, rel, pscan);
		start_over(s);
	}
	if (flags & SO_TYPE_SEQSCAN)
		pgstat_count_heap_scan(rel);
	return &s->base;
}

static void
free_part(RqScan *s)
{
	if (s->range != s->all)
		pfree(s->range);
	s->range = s->all;
}

void
rq_scan_end(TableScanDesc scan)
{
	RqScan	   *s = (RqScan *) scan;

	RelationDecrementReferenceCount(scan->rs_rd);
	if (scan->rs_flags & SO_TEMP_SNAPSHOT)
		UnregisterSnapshot(scan->rs_snapshot);
	if (s->pin)
		rq_log_unpin(s->pin);
	free_part(s);
	if (s->all && !scan->rs_parallel)
		pfree(s->all);
	pfree(s);
}

void
rq_scan_rescan(TableScanDesc scan, struct ScanKeyData *key, bool set_params,
			   bool allow_strat, bool allow_sync, bool allow_pagemode)
{
	RqScan	   *s = (RqScan *) scan;

	if (s->range)
		start_over(s);
	if (scan->rs_flags & SO_TYPE_SEQSCAN)
		pgstat_count_heap_scan(scan->rs_rd);
}

void
rq_scan_set_tidrange(TableScanDesc scan, ItemPointer min, ItemPointer max)
{
	RqScan	   *s = (RqScan *) scan;

	free_part(s);
	s->range = rq_range_of_tids(s->all, min, max);
	start_over(s);
}

/* ---- moving ---- */

/* Step onto the next row; false after the last one. */
static bool
step_forward(RqScan *s)
{
	s->begun = true;
	if (s->on_row)
		s->row++;
	s->on_row = true;
	if (likely(s->row < s->last))
		return true;
	s->on_row = s->base.rs_parallel &&
		rq_parallel_take(s->base.rs_parallel, &s->first, &s->last);
	if (s->on_row)
		s->row = s->first;
	return s->on_row;
}

/* Step back onto the previous row; false before the first one. */
static bool
step_backward(RqScan *s)
{
	Assert(!s->base.rs_parallel);
	if (!s->begun)
		s->row = s->last;
	s->begun = true;
	s->on_row = s->row > s->first;
	if (s->on_row)
		s->row--;
	return s->on_row;
}

void
rq_scan_seek(RqScan *s, uint64 row)
{
	Assert(row < s->range->nrows);
	s->begun = true;
	s->on_row = true;
	s->row = row;
}

/* ---- reading ---- */

/* The stretch of the row: usually the last one used or the next one. */
static const RqStretch *
find_stretch(RqScan *s)
{
	const RqStretch *all = s->range->stretch;
	uint32		at = s->at;

	if (s->queue && s->row - all[at].row < all[at].to - all[at].from)
		return &all[at];
	if (s->queue && at + 1 < s->range->n && s->row == all[at + 1].row)
		at++;
	else
		at = rq_range_find(s->range, s->row);
	s->at = at;
	s->queue = rq_topic_queue(s->topic, all[at].queue_id);
	s->stable = 0;
	memset(&s->run, 0, sizeof(s->run));
	return &all[at];
}

/*
 * The entry's position is compared with the log's start last: if it was trimmed
 * while we read, what we have read does not count.
 */
bool
rq_scan_fetch(RqScan *s, TupleTableSlot *slot)
{
	const RqStretch *q = find_stretch(s);
	RqOff		off = q->from + (s->row - q->row);
	RqEntry		entry;

	if (off >= s->stable)
	{
		s->stable = pg_atomic_read_u64(&s->queue->stable);
		/* Pairs with resolve_chunk(): flags are set before "stable". */
		pg_read_barrier();
	}
	if (!rq_queue_next_entry(s->queue, off, &s->run, &entry) ||
		!rq_visibility_sees(&s->visibility, &entry, off, s->stable, q->plain_below) ||
		entry.pos < pg_atomic_read_u64(&rq_log->start))
		return false;
	rq_slot_store(slot, RelationGetRelid(s->base.rs_rd), q->queue_id, off,
				  &entry);
	return true;
}

/*
 * If the row was trimmed, move to the last row of its stretch that was (or the
 * first, going backward), so that the next step leaves the trimmed part.
 */
static void
skip_trimmed(RqScan *s, bool backward)
{
	const RqStretch *q = &s->range->stretch[s->at];
	RqOff		start = pg_atomic_read_u64(&s->queue->start);
	uint64		kept;

	start = Min(start, q->to);
	kept = start > q->from ? q->row + (start - q->from) : q->row;
	if (s->row >= kept)
		return;
	s->row = backward ? Max(q->row, s->first) : Min(kept, s->last) - 1;
}

bool
rq_scan_next(RqScan *s, bool backward, TupleTableSlot *slot)
{
	uint32		passed = 0;

	while (backward ? step_backward(s) : step_forward(s))
	{
		if (rq_scan_fetch(s, slot))
		{
			pgstat_count_heap_getnext(s->base.rs_rd);
			return true;
		}
		skip_trimmed(s, backward);
		if (++passed % 1024 == 0)
			CHECK_FOR_INTERRUPTS();
	}
	return false;
}

bool
rq_scan_getnextslot(TableScanDesc scan, ScanDirection direction,
					TupleTableSlot *slot)
{
	ExecClearTuple(slot);
	return rq_scan_next((RqScan *) scan, ScanDirectionIsBackward(direction),
						slot);
}
