/*
 * rq_queue.c
 *	  Consume queues: their entries, ends and resolution.
 *
 * Enqueueing has the three steps of an append (rq_append.c) under the queue's
 * lock: store the entries, insert the WAL record, raise the end.  So LSN order
 * is offset order within a queue.
 *
 * An entry counts if its transaction commits.  "stable" is raised over an
 * entry once the outcome is known, aborted ones being flagged first.  That
 * needs no WAL of its own at once, since after a crash pg_xact tells the same;
 * the keeper logs it in bulk (RESOLVE) and only what is logged goes into the
 * state file, so a replayed ENQUEUE, which clears flags, is always followed by
 * the RESOLVE that sets them again.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "access/xloginsert.h"
#include "miscadmin.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "utils/timestamp.h"

#include "base/rq_compat.h"
#include "base/rq_error.h"
#include "base/rq_fault.h"
#include "format/rq_segfmt.h"
#include "queue/rq_ahead.h"
#include "queue/rq_queue.h"
#include "queue/rq_topic.h"
#include "queue/rq_wait.h"
#include "shmem/rq_stats.h"
#include "store/rq_durable.h"
#include "store/rq_map.h"

/* Entries looked at under one hold of the queue's lock. */
#define RESOLVE_CHUNK	8192

/* Aborted ranges in one RESOLVE record, and entries looked at for them. */
#define RESOLVE_RANGES	512
#define RESOLVE_LOOK	65536

/* Chunks resolved under one hold of the meta lock. */
#define SETTLE_CHUNKS	8

/* ---- files ---- */

static void
report_no_file(const char *what, const char *path, int err)
{
	errno = err;
	ereport(ERROR,
			(errcode_for_file_access(),
			 errmsg("could not create %s \"%s\": %m", what, path),
			 err == ENOSPC ?
			 errhint("Free some space in \"%s\".", RQ_QUEUE_DIR) : 0));
}

static void
report_missing(RqKey key, uint32 queue_id, uint64 segno)
{
	char		path[MAXPGPATH];

	rq_queue_path(path, key, queue_id, segno);
	rq_report_corruption(psprintf("queue %u of topic %u/%u",
								  queue_id, key.db, key.rel),
						 psprintf("The file \"%s\" is missing", path));
}

/* Create a segment and, if need be, the topic's folder. */
static void
create_segment(RqKey key, uint32 queue_id, uint64 segno, bool redo)
{
	const char *what = "directory";
	char		path[MAXPGPATH];
	int			err;

	rq_topic_dir_path(path, key);
	err = rq_try_make_dir(path);
	if (err == 0 || err == EEXIST)
	{
		what = "file";
		rq_queue_path(path, key, queue_id, segno);
		err = rq_create_segment(path, rq_cq_segment_size(segno), NULL, 0, false);
	}
	if (err == 0)
		return;
	if (!redo)
		rq_count_refused_file(err);
	report_no_file(what, path, err);
}

/*
 * Map a segment for writing.  A missing one is created, unless it "must_exist"
 * because it holds entries.
 */
static RqEntry *
open_segment(uint32 topic, uint32 queue_id, uint64 segno, bool must_exist,
			 bool repair)
{
	RqKey		key = rq_topic_key(topic);
	uint64		incarnation = rq_topics[topic].incarnation;
	char	   *base;

	base = rq_map_queue(key, incarnation, queue_id, segno, RQ_MAP_WRITE, repair);
	if (base != NULL)
		return (RqEntry *) base;
	if (must_exist)
		report_missing(key, queue_id, segno);

	create_segment(key, queue_id, segno, repair);
	base = rq_map_queue(key, incarnation, queue_id, segno, RQ_MAP_WRITE, repair);
	if (base == NULL)
		report_missing(key, queue_id, segno);
	return (RqEntry *) base;
}

/*
 * The address of an existing entry; NULL if it has been trimmed, or can't be had
 * with a mode that probes.
 */
static RqEntry *
find_entry(uint32 topic, RqQueue *q, RqOff off, RqMapMode mode)
{
	RqKey		key = rq_topic_key(topic);
	char	   *base = rq_map_queue(key, rq_topics[topic].incarnation, q->id,
									rq_cq_segno(off), mode, false);

	if (base == NULL)
	{
		pg_read_barrier();
		if (off < pg_atomic_read_u64(&q->start))
			return NULL;
	}
	if (base == NULL && rq_map_probes(mode))
		return NULL;
	if (base == NULL)
		report_missing(key, q->id, rq_cq_segno(off));
	return (RqEntry *) base + rq_cq_in_segment(off);
}

/* Copy an entry, "e" or NULL, unless it has been trimmed. */
static bool
copy_entry(RqQueue *q, RqOff off, const RqEntry *e, RqEntry *entry)
{
	if (e == NULL)
		return false;
	memcpy(entry, e, sizeof(*entry));
	pg_read_barrier();
	return off >= pg_atomic_read_u64(&q->start);
}

bool
rq_queue_entry(uint32 topic, RqQueue *q, RqOff off, RqEntry *entry)
{
	if (off < pg_atomic_read_u64(&q->start))
		return false;
	return copy_entry(q, off, find_entry(topic, q, off, RQ_MAP_READ), entry);
}

bool
rq_queue_next_entry(uint32 topic, RqQueue *q, RqOff off, RqEntryRun *run,
					RqEntry *entry)
{
	if (off < run->first || off >= run->end)
	{
		run->first = run->end = 0;
		if (off < pg_atomic_read_u64(&q->start))
			return false;
		run->entries = find_entry(topic, q, off, RQ_MAP_READ);
		if (run->entries == NULL)
			return false;
		run->first = off;
		run->end = rq_cq_segment_start(rq_cq_segno(off) + 1);
	}
	return copy_entry(q, off, run->entries + (off - run->first), entry);
}

bool
rq_queue_probe(uint32 topic, RqQueue *q, RqOff off, RqEntry *entry)
{
	char	   *base = rq_map_queue(rq_topic_key(topic),
									rq_topics[topic].incarnation, q->id,
									rq_cq_segno(off), RQ_MAP_PROBE, false);

	return base != NULL &&
		copy_entry(q, off, (RqEntry *) base + rq_cq_in_segment(off), entry);
}

bool
rq_queue_sync(RqKey key, uint32 queue_id, RqOff from, RqOff to)
{
	if (from >= to)
		return false;
	for (uint64 s = rq_cq_segno(from); s <= rq_cq_segno(to - 1); s++)
	{
		char		path[MAXPGPATH];

		rq_queue_path(path, key, queue_id, s);
		rq_fsync_path(path, false);
	}
	return true;
}

/* ---- enqueue ---- */

/* The one or two segments that a run of entries touches. */
typedef struct Run
{
	uint64		segno;			/* of the first entry */
	uint64		last_segno;
	RqEntry    *base[2];
} Run;

static Run
open_run(uint32 topic, uint32 queue_id, RqOff first, int count, bool repair)
{
	Run			r = {.segno = rq_cq_segno(first), .last_segno = rq_cq_segno(first + count - 1)};

	r.base[0] = open_segment(topic, queue_id, r.segno,
							 rq_cq_in_segment(first) > 0 && !repair, repair);
	if (r.last_segno != r.segno)
		r.base[1] = open_segment(topic, queue_id, r.last_segno, false, repair);
	return r;
}

/* Write the entries that a record describes; shared with redo. */
static void
enqueue_apply(const Run *r, const xl_rq_enqueue *rec, const xl_rq_entry *entries)
{
	for (uint32 i = 0; i < rec->count; i++)
	{
		RqOff		off = rec->offset + i;
		RqEntry    *e = r->base[rq_cq_segno(off) - r->segno] + rq_cq_in_segment(off);

		e->pos = entries[i].pos;
		e->xid = rec->xid;
		e->enqueued_at = rec->enqueued_at;
		e->tag_hash = entries[i].tag_hash;
		e->len_flags = entries[i].len_flags;
	}
}

static uint64
bytes_of(const xl_rq_entry *entries, uint32 count)
{
	uint64		bytes = 0;

	for (uint32 i = 0; i < count; i++)
		bytes += RQ_CQ_FRAME_LEN(&entries[i]);
	return bytes;
}

static XLogRecPtr
log_enqueue(const xl_rq_enqueue *rec, const xl_rq_entry *entries)
{
	XLogBeginInsert();
	rq_xlog_register(rec, SizeOfRqEnqueue);
	rq_xlog_register(entries, rec->count * sizeof(xl_rq_entry));
	return rq_xlog_insert(XLOG_RQ_ENQUEUE);
}

static void
hold_entries(RqQueue *q, RqOff from)
{
	RqBackend  *me = RQ_MY_BACKEND;

	pg_atomic_write_u64(&me->hold_from, from);
	pg_atomic_write_u32(&me->hold_queue, (uint32) (q - rq_queues));
	pg_atomic_fetch_add_u32(&q->holders, 1);
}

void
rq_queue_unhold(void)
{
	RqBackend  *me = RQ_MY_BACKEND;
	uint32		slot = pg_atomic_read_u32(&me->hold_queue);

	if (slot == RQ_NO_SLOT)
		return;
	pg_atomic_write_u32(&me->hold_queue, RQ_NO_SLOT);
	pg_atomic_fetch_sub_u32(&rq_queues[slot].holders, 1);
}

RqOff
rq_queue_enqueue(uint32 topic, uint32 queue_id, const xl_rq_entry *entries,
				 int count, uint64 xid, bool hold, XLogRecPtr *lsn)
{
	RqQueue    *q = rq_topic_queue(topic, queue_id);
	xl_rq_enqueue rec = {.key = rq_topic_key(topic), .queue_id = queue_id,
	.count = count, .xid = xid};
	uint64		bytes = bytes_of(entries, count);

	Assert(count > 0 && count <= RQ_ENQUEUE_MAX);

	/* What is beyond goes when a resize is settled, whatever it holds. */
	if (queue_id >= rq_topic_nqueues(topic))
		elog(ERROR, "queue %u of topic %u/%u is no longer there", queue_id,
			 rec.key.db, rec.key.rel);
	for (;;)
	{
		RqOff		end = pg_atomic_read_u64(&q->end);
		Run			run = open_run(topic, queue_id, end, count, false);
		TimestampTz now;

		rq_gate_enter();
		LWLockAcquire(&q->lock, LW_EXCLUSIVE);
		rec.offset = pg_atomic_read_u64(&q->end);
		if (rq_cq_segno(rec.offset) == run.segno &&
			rq_cq_segno(rec.offset + count - 1) == run.last_segno)
		{
			now = GetCurrentTimestamp();
			rec.enqueued_at = Max(q->last_time, now);
			START_CRIT_SECTION();
			enqueue_apply(&run, &rec, entries);
			RQ_FAULT("enqueue-store");
			q->lsn = log_enqueue(&rec, entries);
			RQ_FAULT("enqueue-wal");
			q->last_time = rec.enqueued_at;
			q->bytes_end += bytes;
			if (hold)
				hold_entries(q, rec.offset);
			pg_write_barrier();
			pg_atomic_write_u64(&q->end, rec.offset + count);
			END_CRIT_SECTION();
			if (lsn)
				*lsn = q->lsn;
			LWLockRelease(&q->lock);
			rq_gate_leave();
			rq_count(RQ_STAT_ENQUEUED, count);
			rq_ahead_written(q, rec.offset, rec.offset + count);
			return rec.offset;
		}
		LWLockRelease(&q->lock);
		rq_gate_leave();
	}
}

/* ---- resolution ---- */

/*
 * The number of a process that still flushes the WAL of this entry without
 * transaction, -1 if none does.
 */
static int
holder_of(RqQueue *q, RqOff off)
{
	uint32		slot = (uint32) (q - rq_queues);

	if (pg_atomic_read_u32(&q->holders) == 0)
		return -1;
	for (int i = 0; i < rq_max_backends(); i++)
		if (pg_atomic_read_u32(&rq_backends[i].hold_queue) == slot &&
			pg_atomic_read_u64(&rq_backends[i].hold_from) <= off)
			return i;
	return -1;
}

/*
 * What is known about transactions: the calling one, and the last one asked
 * about, since neighbours often share one.
 */
typedef struct KnownXids
{
	uint64		own;
	RqXidStatus own_status;
	uint64		last;
	RqXidStatus last_status;
} KnownXids;

static RqXidStatus
entry_status(RqQueue *q, RqOff off, const RqEntry *e, KnownXids *known)
{
	if (e->xid == 0)
		return holder_of(q, off) >= 0 ? RQ_XID_IN_PROGRESS : RQ_XID_COMMITTED;
	if (e->xid == known->own)
		return known->own_status;
	if (e->xid != known->last)
	{
		known->last_status = rq_xid_status(e->xid);
		known->last = e->xid;
	}
	return known->last_status;
}

/* One stretch, under the queue's lock; true if there may be more. */
static bool
resolve_chunk(uint32 topic, RqQueue *q, KnownXids *known, RqMapMode mode)
{
	RqOff		from = pg_atomic_read_u64(&q->stable);
	RqOff		end = pg_atomic_read_u64(&q->end);
	RqOff		to = Min(end, from + RESOLVE_CHUNK);
	uint32		aborts = 0;
	RqEntry    *e = NULL;
	RqOff		off;

	for (off = from; off < to; off++)
	{
		RqXidStatus status;

		/* Neighbours in a segment are neighbours in memory. */
		if (e != NULL && rq_cq_in_segment(off) > 0)
			e++;
		else
			e = find_entry(topic, q, off, mode);
		if (e == NULL && off < pg_atomic_read_u64(&q->start))
			continue;
		if (e == NULL)
			break;
		status = entry_status(q, off, e, known);
		if (status == RQ_XID_IN_PROGRESS)
			break;
		if (status == RQ_XID_ABORTED)
		{
			e->len_flags |= RQ_CQ_ABORTED;
			q->unlogged_aborts++;
			aborts++;
		}
	}
	RQ_FAULT("resolve-flags");
	pg_write_barrier();
	pg_atomic_write_u64(&q->stable, off);
	rq_count(RQ_STAT_ABORTED, aborts);
	return off == to && to < end;
}

/*
 * One stretch; true if there may be more.  With "probe" neither a lock that
 * somebody keeps for long nor a file is in the way.
 */
static bool
resolve_some(uint32 topic, RqQueue *q, KnownXids *known, bool probe)
{
	RqOff		from;
	RqOff		to;
	bool		more;

	if (!probe)
		LWLockAcquire(&q->lock, LW_EXCLUSIVE);
	else if (!rq_queue_try_lock(q, LW_EXCLUSIVE))
		return false;
	from = pg_atomic_read_u64(&q->stable);
	more = resolve_chunk(topic, q, known,
						 probe ? RQ_MAP_PROBE_WRITE : RQ_MAP_WRITE);
	to = pg_atomic_read_u64(&q->stable);
	LWLockRelease(&q->lock);
	if (to > from)
		rq_wait_news(topic, q, from, to);
	return more;
}

void
rq_queue_resolve(uint32 topic, RqQueue *q, uint64 own_xid, RqXidStatus own)
{
	KnownXids	known = {.own = own_xid, .own_status = own};

	while (resolve_some(topic, q, &known, false))
		;
}

bool
rq_queue_resolve_some(uint32 topic, RqQueue *q, uint64 own_xid, RqXidStatus own)
{
	KnownXids	known = {.own = own_xid, .own_status = own};

	return resolve_some(topic, q, &known, false);
}

/* Has the first entry that is not resolved an outcome? */
static bool
has_news(uint32 topic, RqQueue *q)
{
	RqOff		stable = pg_atomic_read_u64(&q->stable);
	KnownXids	known = {0};
	RqEntry		e;

	if (stable >= pg_atomic_read_u64(&q->end))
		return false;
	pg_read_barrier();
	return rq_queue_entry(topic, q, stable, &e) &&
		entry_status(q, stable, &e, &known) != RQ_XID_IN_PROGRESS;
}

void
rq_queue_refresh(uint32 topic, RqQueue *q)
{
	if (has_news(topic, q))
		rq_queue_resolve(topic, q, 0, RQ_XID_IN_PROGRESS);
}

bool
rq_queue_refresh_some(uint32 topic, RqQueue *q)
{
	KnownXids	known = {0};
	bool		more = has_news(topic, q);

	for (int i = 0; more && i < SETTLE_CHUNKS; i++)
		more = resolve_some(topic, q, &known, false);
	return more;
}

void
rq_queue_try_refresh(uint32 topic, RqQueue *q)
{
	RqOff		stable = pg_atomic_read_u64(&q->stable);
	KnownXids	known = {0};
	RqEntry		e;

	if (stable >= pg_atomic_read_u64(&q->end))
		return;
	pg_read_barrier();
	if (!rq_queue_probe(topic, q, stable, &e) ||
		entry_status(q, stable, &e, &known) == RQ_XID_IN_PROGRESS)
		return;
	while (resolve_some(topic, q, &known, true))
		;
}

bool
rq_queue_unresolved(uint32 topic, RqQueue *q, TimestampTz *since, int *pid)
{
	RqOff		stable = pg_atomic_read_u64(&q->stable);
	int			holder;
	RqEntry		e;

	if (stable >= pg_atomic_read_u64(&q->end))
		return false;
	pg_read_barrier();
	if (!rq_queue_probe(topic, q, stable, &e))
		return false;
	*since = e.enqueued_at;
	*pid = 0;
	if (e.xid != 0)
		*pid = BackendXidGetPid((TransactionId) e.xid);
	else if ((holder = holder_of(q, stable)) >= 0)
		*pid = ProcGlobal->allProcs[holder].pid;
	return true;
}

RqOff
rq_queue_offset_at(uint32 topic, RqQueue *q, TimestampTz when)
{
	RqOff		low = pg_atomic_read_u64(&q->start);
	RqOff		high = pg_atomic_read_u64(&q->stable);

	while (low < high)
	{
		RqOff		mid = low + (high - low) / 2;
		RqEntry		e;

		if (!rq_queue_entry(topic, q, mid, &e) || e.enqueued_at < when)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* ---- RESOLVE ---- */

/*
 * Collect the aborted ranges of [from, to) into "ranges" and count them;
 * returns where the table was full, or "to".
 */
static RqOff
collect_aborted(uint32 topic, RqQueue *q, RqOff from, RqOff to,
				xl_rq_range *ranges, uint32 *n, uint64 *count)
{
	*n = 0;
	for (RqOff off = from; off < to; off++)
	{
		RqEntry    *e = find_entry(topic, q, off, RQ_MAP_READ);

		if (e == NULL || (e->len_flags & RQ_CQ_ABORTED) == 0)
			continue;
		if (*n > 0 && ranges[*n - 1].first + ranges[*n - 1].count == off)
		{
			ranges[*n - 1].count++;
			(*count)++;
			continue;
		}
		if (*n == RESOLVE_RANGES)
			return off;
		(*count)++;
		ranges[*n].first = off;
		ranges[*n].count = 1;
		(*n)++;
	}
	return to;
}

/* One record; the queue's lock is held. */
static void
log_resolved(uint32 topic, RqQueue *q)
{
	xl_rq_range ranges[RESOLVE_RANGES];
	uint64		aborts = 0;
	xl_rq_resolve rec = {.key = rq_topic_key(topic), .queue_id = q->id,
		.from = q->logged_stable,
	.to = pg_atomic_read_u64(&q->stable)};

	/* Others wait for the lock, so a look at many entries comes in parts. */
	if (q->unlogged_aborts > 0)
		rec.to = collect_aborted(topic, q, rec.from,
								 Min(rec.to, rec.from + RESOLVE_LOOK),
								 ranges, &rec.nranges, &aborts);
	XLogBeginInsert();
	rq_xlog_register(&rec, SizeOfRqResolve);
	if (rec.nranges > 0)
		rq_xlog_register(ranges, rec.nranges * sizeof(xl_rq_range));
	rq_xlog_insert(XLOG_RQ_RESOLVE);
	RQ_FAULT("resolve-wal");
	q->logged_stable = rec.to;
	q->unlogged_aborts -= Min(aborts, q->unlogged_aborts);
}

bool
rq_queue_log_resolved(uint32 topic, RqQueue *q)
{
	bool		more;

	LWLockAcquire(&q->lock, LW_EXCLUSIVE);
	if (q->logged_stable < pg_atomic_read_u64(&q->stable))
		log_resolved(topic, q);
	more = q->logged_stable < pg_atomic_read_u64(&q->stable);
	LWLockRelease(&q->lock);
	return more;
}

/* ---- counts ---- */

bool
rq_queue_try_lock(RqQueue *q, LWLockMode mode)
{
	for (int tries = 0; !LWLockConditionalAcquire(&q->lock, mode); tries++)
	{
		if (tries == 10)
			return false;
		pg_usleep(1000L);
	}
	return true;
}

RqQueueCounts
rq_queue_counts(RqQueue *q)
{
	RqQueueCounts c;

	c.exact = rq_queue_try_lock(q, LW_SHARED);
	c.start = pg_atomic_read_u64(&q->start);
	c.stable = pg_atomic_read_u64(&q->stable);
	c.end = pg_atomic_read_u64(&q->end);
	c.bytes_start = q->bytes_start;
	c.bytes_end = q->bytes_end;
	if (c.exact)
		LWLockRelease(&q->lock);
	return c;
}

/* ---- trim ---- */

RqOff
rq_queue_trim_apply(RqQueue *q, RqOff start, uint64 bytes_start)
{
	RqOff		old;

	LWLockAcquire(&q->lock, LW_EXCLUSIVE);
	old = pg_atomic_read_u64(&q->start);
	start = Min(start, pg_atomic_read_u64(&q->end));
	if (start > old)
	{
		/* In redo a RESOLVE that says so can still be to come. */
		if (start > pg_atomic_read_u64(&q->stable))
			pg_atomic_write_u64(&q->stable, start);
		if (start > q->logged_stable)
			q->logged_stable = start;
		q->bytes_start = Min(bytes_start, q->bytes_end);
		pg_write_barrier();
		pg_atomic_write_u64(&q->start, start);
	}
	LWLockRelease(&q->lock);
	return old;
}

void
rq_queue_remove_trimmed(RqKey key, RqQueue *q, RqOff from)
{
	RqOff		start = pg_atomic_read_u64(&q->start);

	for (uint64 s = rq_cq_segno(from); s < rq_cq_segno(start); s++)
	{
		char		path[MAXPGPATH];

		rq_queue_path(path, key, q->id, s);
		rq_remove_segment(path);
	}
}

/* ---- redo ---- */

RqQueue *
rq_queue_for_redo(RqKey key, uint32 queue_id, XLogRecPtr lsn, uint32 *topic)
{
	RqQueue    *q;

	*topic = rq_topic_for_redo(key, lsn);
	if (*topic == RQ_NO_SLOT || queue_id >= rq_topic_nslots(*topic))
		return NULL;
	q = rq_topic_queue(*topic, queue_id);
	return lsn < q->born ? NULL : q;
}

/*
 * The entries are written whatever the slot's LSN: in a base backup the queue
 * file can be older than the state file.  Those below the queue's start are
 * left out, their files may be gone.
 */
void
rq_queue_redo_enqueue(const void *data, uint32 len, XLogRecPtr lsn)
{
	xl_rq_enqueue rec = *(const xl_rq_enqueue *) data;
	const xl_rq_entry *entries = (const xl_rq_entry *) ((const xl_rq_enqueue *) data + 1);
	uint32		topic;
	RqQueue    *q = rq_queue_for_redo(rec.key, rec.queue_id, lsn, &topic);
	RqOff		end = rec.offset + rec.count;
	uint64		bytes = bytes_of(entries, rec.count);
	RqOff		start;
	Run			run;

	if (q == NULL)
		return;
	start = pg_atomic_read_u64(&q->start);
	if (end <= start)
		return;
	if (rec.offset < start)
	{
		entries += start - rec.offset;
		rec.count -= start - rec.offset;
		rec.offset = start;
	}
	run = open_run(topic, rec.queue_id, rec.offset, rec.count, true);
	LWLockAcquire(&q->lock, LW_EXCLUSIVE);
	enqueue_apply(&run, &rec, entries);
	q->redo_dirty = Min(q->redo_dirty, rec.offset);
	if (lsn > q->lsn)
	{
		q->lsn = lsn;
		q->last_time = rec.enqueued_at;
		q->bytes_end += bytes;
		pg_write_barrier();
		pg_atomic_write_u64(&q->end, end);
	}
	LWLockRelease(&q->lock);
	/* What has a transaction can be read when the end of that is replayed. */
	if (rec.xid == 0)
		rq_wait_news(topic, q, rec.offset, end);
}

void
rq_queue_redo_resolve(const void *data, uint32 len, XLogRecPtr lsn)
{
	const xl_rq_resolve *rec = data;
	const xl_rq_range *ranges = (const xl_rq_range *) (rec + 1);
	uint32		topic;
	RqQueue    *q = rq_queue_for_redo(rec->key, rec->queue_id, lsn, &topic);
	RqOff		start;
	RqOff		stable;

	if (q == NULL)
		return;
	LWLockAcquire(&q->lock, LW_EXCLUSIVE);
	stable = pg_atomic_read_u64(&q->stable);
	start = pg_atomic_read_u64(&q->start);
	q->redo_dirty = Min(q->redo_dirty, Max(start, rec->from));
	for (uint32 i = 0; i < rec->nranges; i++)
		for (RqOff off = Max(start, ranges[i].first);
			 off < ranges[i].first + ranges[i].count; off++)
			open_segment(topic, q->id, rq_cq_segno(off), false, true)[rq_cq_in_segment(off)].len_flags
				|= RQ_CQ_ABORTED;
	pg_write_barrier();
	if (rec->to > stable)
		pg_atomic_write_u64(&q->stable, rec->to);
	if (rec->to > q->logged_stable)
		q->logged_stable = rec->to;
	LWLockRelease(&q->lock);
	if (rec->to > stable)
		rq_wait_news(topic, q, Max(start, stable), rec->to);
}
