/*
 * rq_scan.c
 *	  Read a topic as a table.
 *
 * A scan goes through the queues one after the other, each from its start to
 * where it ended when the scan began.  It takes no locks: entries below a
 * queue's end do not change, except that an aborted one gets its flag.
 *
 * What a statement sees is up to its snapshot, as with any table, and not to
 * the queue's stable offset: a message counts if the snapshot sees the
 * transaction in its entry, though an earlier one may still be in doubt.  Only
 * messages without a transaction, which no snapshot knows, count from the
 * moment that they are stable; that is settled when the scan begins, so that a
 * scan that is repeated within a query gives the same rows again.
 */
#include "postgres.h"

#include "access/relscan.h"
#include "access/transam.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/predicate.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "am/rq_am_private.h"
#include "am/rq_relation.h"
#include "queue/rq_cqueue.h"
#include "queue/rq_topic.h"

/* ---- what a snapshot sees ---- */

typedef struct View
{
	Relation	rel;
	Snapshot	snapshot;
	bool		mvcc;
	uint64		xmin;			/* transactions before this one have ended */
	uint64		xmax;			/* this one and later ones are not seen */
	uint64		last_xid;		/* the last one that was looked up between */
	bool		last_running;
} View;

/* A transaction id near the next one, with its epoch. */
static uint64
full_xid(TransactionId xid, FullTransactionId next)
{
	uint32		epoch = EpochFromFullTransactionId(next);

	if (xid > XidFromFullTransactionId(next))
		epoch--;
	return U64FromFullTransactionId(FullTransactionIdFromEpochAndXid(epoch, xid));
}

static void
init_view(View *v, Relation rel, Snapshot snapshot)
{
	memset(v, 0, sizeof(*v));
	v->rel = rel;
	v->snapshot = snapshot;
	v->mvcc = snapshot != NULL && snapshot->snapshot_type == SNAPSHOT_MVCC;
	if (v->mvcc)
	{
		FullTransactionId next = ReadNextFullTransactionId();

		v->xmin = full_xid(snapshot->xmin, next);
		v->xmax = full_xid(snapshot->xmax, next);
	}
}

/* Was the transaction still running when the snapshot was taken? */
static bool
is_running(View *v, uint64 xid)
{
	if (xid < v->xmin)
		return false;
	if (xid >= v->xmax)
		return true;
	if (xid != v->last_xid)
	{
		v->last_running = XidInMVCCSnapshot((TransactionId) xid, v->snapshot);
		v->last_xid = xid;
	}
	return v->last_running;
}

/*
 * Does the snapshot see this entry?  "stable" is the queue's stable offset as
 * it was read before the entry: below it a flag that is not there will not
 * come, so that pg_xact need not be asked, which may be truncated.  Entries
 * without a transaction are seen below "plain_below".
 */
static bool
is_visible(View *v, const RqEntry *e, RqOff off, RqOff stable,
		   RqOff plain_below)
{
	if ((e->len_flags & RQ_CQ_ABORTED) != 0)
		return false;
	if (!v->mvcc || e->xid == 0)
		return off < plain_below;
	if (is_running(v, e->xid))
	{
		if (CheckForSerializableConflictOutNeeded(v->rel, v->snapshot))
			CheckForSerializableConflictOut(v->rel, (TransactionId) e->xid,
											v->snapshot);
		return false;
	}
	return off < stable || TransactionIdDidCommit((TransactionId) e->xid);
}

/* ---- scans ---- */

/* How far a scan reads a queue. */
typedef struct Bound
{
	RqOff		end;
	RqOff		stable;			/* messages without a transaction: so far */
} Bound;

/* The shared part of a parallel scan: a process takes a queue at a time. */
typedef struct ParallelScan
{
	ParallelBlockTableScanDescData block;	/* its base part is PostgreSQL's */
	uint32		nqueues;
	pg_atomic_uint32 next_queue;
} ParallelScan;

/*
 * The scan stands on the row at "off" of a queue, or, when "on_row" is not
 * set, just before it.
 */
typedef struct Scan
{
	TableScanDescData base;
	View		view;
	uint32		topic;
	uint32		nqueues;
	Bound	   *bounds;			/* by queue id */
	bool		begun;
	bool		on_row;
	uint32		queue_id;
	RqQueue    *queue;
	RqOff		off;
	RqOff		stable;			/* as last read for this queue */
} Scan;

/* Fix what the scan will read. */
static void
set_bounds(Scan *s, Relation rel, ParallelTableScanDesc pscan)
{
	s->topic = rq_relation_topic(rel, false);
	if (s->topic == RQ_NO_SLOT)
		return;
	s->nqueues = rq_topic_nqueues(s->topic);
	if (pscan)
		s->nqueues = Min(s->nqueues, ((ParallelScan *) pscan)->nqueues);
	s->bounds = palloc(Max(s->nqueues, 1) * sizeof(Bound));
	for (uint32 i = 0; i < s->nqueues; i++)
	{
		RqQueue    *q = rq_topic_queue(s->topic, i);

		rq_queue_refresh(s->topic, q);
		s->bounds[i].stable = pg_atomic_read_u64(&q->stable);
		pg_read_barrier();
		s->bounds[i].end = pg_atomic_read_u64(&q->end);
	}
	pg_read_barrier();
}

TableScanDesc
rq_scan_begin(Relation rel, Snapshot snapshot, int nkeys,
			  struct ScanKeyData *key, ParallelTableScanDesc pscan,
			  uint32 flags)
{
	Scan	   *s;

	rq_require_preload();
	if (nkeys != 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("scans of a topic with scan keys are not supported")));
	if (flags & SO_TYPE_SAMPLESCAN)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("TABLESAMPLE on a topic is not supported"),
				 errhint("Use WHERE random() < fraction, or rocketq.pull() for a part of a queue.")));

	s = palloc0(sizeof(Scan));
	s->base.rs_rd = rel;
	s->base.rs_snapshot = snapshot;
	s->base.rs_flags = flags;
	s->base.rs_parallel = pscan;
	s->topic = RQ_NO_SLOT;
	init_view(&s->view, rel, snapshot);
	RelationIncrementReferenceCount(rel);
	if (flags & SO_TYPE_SEQSCAN)
	{
		PredicateLockRelation(rel, snapshot);
		set_bounds(s, rel, pscan);
		pgstat_count_heap_scan(rel);
	}
	return &s->base;
}

void
rq_scan_end(TableScanDesc scan)
{
	Scan	   *s = (Scan *) scan;

	RelationDecrementReferenceCount(scan->rs_rd);
	if (scan->rs_flags & SO_TEMP_SNAPSHOT)
		UnregisterSnapshot(scan->rs_snapshot);
	if (s->bounds)
		pfree(s->bounds);
	pfree(s);
}

void
rq_scan_rescan(TableScanDesc scan, struct ScanKeyData *key, bool set_params,
			   bool allow_strat, bool allow_sync, bool allow_pagemode)
{
	Scan	   *s = (Scan *) scan;

	s->begun = false;
	s->on_row = false;
	if (scan->rs_flags & SO_TYPE_SEQSCAN)
		pgstat_count_heap_scan(scan->rs_rd);
}

static void
enter_queue(Scan *s, uint32 queue_id)
{
	s->queue_id = queue_id;
	s->queue = rq_topic_queue(s->topic, queue_id);
	s->stable = 0;
	s->on_row = false;
}

/* Go to the start of the next queue that is ours to read. */
static bool
enter_next(Scan *s)
{
	uint32		next = s->begun ? s->queue_id + 1 : 0;

	if (s->base.rs_parallel)
	{
		ParallelScan *p = (ParallelScan *) s->base.rs_parallel;

		next = pg_atomic_fetch_add_u32(&p->next_queue, 1);
	}
	if (next >= s->nqueues)
		return false;
	enter_queue(s, next);
	s->off = pg_atomic_read_u64(&s->queue->start);
	s->begun = true;
	return true;
}

/* Step onto the next entry; false behind the last one. */
static bool
step_forward(Scan *s)
{
	if (!s->begun && !enter_next(s))
		return false;
	for (;;)
	{
		RqOff		end = s->bounds[s->queue_id].end;

		if (s->on_row)
			s->off++;
		s->on_row = s->off < end;
		if (s->on_row)
			return true;
		s->off = end;
		if (!enter_next(s))
			return false;
	}
}

/* Step back onto the previous entry; false before the first one. */
static bool
step_backward(Scan *s)
{
	if (s->nqueues == 0)
		return false;
	if (!s->begun)
	{
		enter_queue(s, s->nqueues - 1);
		s->off = s->bounds[s->queue_id].end;
		s->begun = true;
	}
	for (;;)
	{
		s->on_row = s->off > pg_atomic_read_u64(&s->queue->start);
		if (s->on_row)
		{
			s->off--;
			return true;
		}
		if (s->queue_id == 0)
			return false;
		enter_queue(s, s->queue_id - 1);
		s->off = s->bounds[s->queue_id].end;
	}
}

/* Read the entry the scan stands on; false if its row is not seen. */
static bool
read_entry(Scan *s, RqEntry *entry)
{
	if (s->off >= s->stable)
	{
		s->stable = pg_atomic_read_u64(&s->queue->stable);
		pg_read_barrier();
	}
	if (!rq_queue_entry(s->topic, s->queue, s->off, entry))
	{
		/* Trimmed meanwhile: go on, or end, at the start there is now. */
		RqOff		start = pg_atomic_read_u64(&s->queue->start);

		s->off = Max(s->off, start - 1);
		return false;
	}
	return is_visible(&s->view, entry, s->off, s->stable,
					  s->bounds[s->queue_id].stable) &&
		entry->pos >= pg_atomic_read_u64(&rq_ctl->log_start);
}

bool
rq_scan_getnextslot(TableScanDesc scan, ScanDirection direction,
					TupleTableSlot *slot)
{
	Scan	   *s = (Scan *) scan;
	bool		back = ScanDirectionIsBackward(direction);
	RqEntry		entry;
	uint32		passed = 0;

	ExecClearTuple(slot);
	while (back ? step_backward(s) : step_forward(s))
	{
		if (read_entry(s, &entry))
		{
			pgstat_count_heap_getnext(scan->rs_rd);
			rq_slot_store(slot, RelationGetRelid(scan->rs_rd), s->queue_id,
						  s->off, &entry);
			return true;
		}
		if (++passed % 1024 == 0)
			CHECK_FOR_INTERRUPTS();
	}
	return false;
}

/* ---- parallel scans ---- */

Size
rq_parallelscan_estimate(Relation rel)
{
	return sizeof(ParallelScan);
}

Size
rq_parallelscan_initialize(Relation rel, ParallelTableScanDesc pscan)
{
	ParallelScan *p = (ParallelScan *) pscan;
	uint32		topic;

	rq_require_preload();
	topic = rq_relation_topic(rel, false);
	(void) table_block_parallelscan_initialize(rel, pscan);
	p->nqueues = topic == RQ_NO_SLOT ? 0 : rq_topic_nqueues(topic);
	pg_atomic_init_u32(&p->next_queue, 0);
	return sizeof(ParallelScan);
}

void
rq_parallelscan_reinitialize(Relation rel, ParallelTableScanDesc pscan)
{
	pg_atomic_write_u32(&((ParallelScan *) pscan)->next_queue, 0);
}

/* ---- by row identifier ---- */

/*
 * The queue and offset of a row.  The block gives the offset up to a multiple
 * of RQ_TID_BLOCKS; the one that lies within the queue is meant.
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

bool
rq_tuple_fetch_row_version(Relation rel, ItemPointer tid, Snapshot snapshot,
						   TupleTableSlot *slot)
{
	uint32		topic;
	uint32		queue_id;
	RqQueue    *q;
	RqOff		off;
	RqOff		stable;
	RqEntry		entry;
	View		view;

	rq_require_preload();
	ExecClearTuple(slot);
	if (ItemPointerIsValid(tid) &&
		ItemPointerGetBlockNumber(tid) == RQ_TID_UNKNOWN)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("row triggers AFTER INSERT on a topic are not supported"),
				 errdetail("A message cannot be read back before its transaction commits."),
				 errhint("Use a BEFORE ROW trigger, or an AFTER STATEMENT trigger with a transition table.")));
	topic = rq_relation_topic(rel, false);
	if (!find_tid(topic, tid, &queue_id, &off))
		return false;
	q = rq_topic_queue(topic, queue_id);
	rq_queue_refresh(topic, q);
	stable = pg_atomic_read_u64(&q->stable);
	pg_read_barrier();
	init_view(&view, rel, snapshot);
	if (!rq_queue_entry(topic, q, off, &entry) ||
		!is_visible(&view, &entry, off, stable,
					view.mvcc ? stable : PG_UINT64_MAX) ||
		entry.pos < pg_atomic_read_u64(&rq_ctl->log_start))
		return false;
	rq_slot_store(slot, RelationGetRelid(rel), queue_id, off, &entry);
	return true;
}

bool
rq_tuple_tid_valid(TableScanDesc scan, ItemPointer tid)
{
	uint32		queue_id;
	RqOff		off;

	return find_tid(rq_relation_topic(scan->rs_rd, false), tid,
					&queue_id, &off);
}

/* Messages do not change: every version is the latest. */
void
rq_tuple_get_latest_tid(TableScanDesc scan, ItemPointer tid)
{
}
