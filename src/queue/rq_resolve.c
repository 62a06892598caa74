/*
 * rq_resolve.c
 *	  Which entries of a queue count, and how far that is known.
 *
 * Given the entries below a queue's end, which of them may be read, and which
 * never count?  An entry counts if its transaction commits.  "stable" is
 * raised past an entry once the outcome is known, aborted ones being flagged
 * first.  So readers need to ask only "stable" and the flag.  "stable" stops
 * at the first entry whose transaction is in progress: messages of a queue
 * become readable in the order of their offsets.
 *
 * Raising it needs no WAL of its own at once, since after a crash pg_xact
 * says the same.  The keeper logs it in bulk (RESOLVE), and flags that are not
 * logged do not count for the state file, so a replayed ENQUEUE, which clears
 * flags, is always followed by the RESOLVE that sets them again.
 *
 * Any process may resolve any queue, and the result is the same.  As a rule
 * the one that ends a transaction does it; readers and the keeper do what a
 * dying backend has left.  On a standby, where no backend ends one, readers
 * and redo of RESOLVE do it.
 *
 * Whoever raises "stable" has just read the entries, and so can say what has
 * come when it wakes waiters afterwards (topic/rq_wake.c).
 */
#include "postgres.h"

#include "access/xloginsert.h"
#include "miscadmin.h"
#include "storage/proc.h"
#include "storage/procarray.h"

#include "base/rq_compat.h"
#include "base/rq_fault.h"
#include "queue/rq_entry.h"
#include "queue/rq_queue.h"
#include "queue/rq_resolve.h"
#include "shmem/rq_stats.h"
#include "topic/rq_topic.h"
#include "topic/rq_wake.h"
#include "topic/rq_xid.h"

/* Aborted ranges in one RESOLVE record. */
#define RESOLVE_RANGES	512

/* ---- resolving ---- */

/*
 * The number of a process that still flushes the WAL of this entry, which has
 * no transaction; -1 if none does.
 *
 * Under the queue's lock none is missed, because it is noted under that
 * (note_unflushed()); without the lock the result is a hint.
 */
static int
flusher_of(RqQueue *q, RqOff off)
{
	uint32		slot = (uint32) (q - rq_queues);

	if (pg_atomic_read_u32(&q->unflushed) == 0)
		return -1;
	for (int i = 0; i < rq_max_backends(); i++)
		if (pg_atomic_read_u32(&rq_backends[i].unflushed_queue) == slot &&
			pg_atomic_read_u64(&rq_backends[i].unflushed_from) <= off)
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

/*
 * Does the entry count, as far as is known?  The calling transaction is not
 * looked up, since it knows how it has ended.  "last" can be kept from entry
 * to entry: an outcome is final, and a transaction in progress ends the walk.
 */
static RqXidStatus
entry_status(RqQueue *q, RqOff off, const RqEntry *e, KnownXids *known)
{
	if (e->xid == 0)
		return flusher_of(q, off) >= 0 ? RQ_XID_IN_PROGRESS : RQ_XID_COMMITTED;
	if (e->xid == known->own)
		return known->own_status;
	if (e->xid != known->last)
	{
		known->last_status = rq_xid_status(e->xid);
		known->last = e->xid;
	}
	return known->last_status;
}

/* Under the queue's lock: see rq_area_mark(). */
static void
flag_aborted(RqEntry *e, const RqExtRun *run)
{
	e->len_flags |= RQ_ENTRY_ABORTED;
	rq_area_mark(&rq_extents->marks, RQ_EXT_CHUNK(run->addr));
}

/*
 * One stretch, adding what can be read now to the news; true if there may be
 * more.  The queue's lock is held exclusively: it makes flags, counter and
 * "stable" one change for everybody else who resolves, logs or copies the
 * queue.
 *
 * This is no critical section.  An error (a missing file, an unreadable
 * pg_xact) leaves flags set and "stable" where it was.  The next one to come
 * finds the same transactions aborted and counts their entries once more, so
 * unlogged_aborts can be too high, but not too low.  That makes RESOLVE search
 * for what is not there, until all that is resolved is logged (raise_logged()).
 */
static bool
resolve_chunk(RqQueue *q, KnownXids *known, RqMapMode mode, RqNews *news)
{
	RqOff		from = pg_atomic_read_u64(&q->stable);
	RqOff		end = pg_atomic_read_u64(&q->end);
	RqOff		to = Min(end, from + RQ_META_HOLD_ENTRIES);
	uint32		aborts = 0;
	RqExtRun	run = {0};
	RqOff		off;

	Assert(LWLockHeldByMeInMode(&q->lock, LW_EXCLUSIVE));
	for (off = from; off < to; off++)
	{
		RqEntry    *e = rq_queue_find_entry(q, off, mode, &run);
		RqXidStatus status;

		if (e == NULL && off < pg_atomic_read_u64(&q->start))
			continue;
		/* Only with a mode that probes; another process may succeed. */
		if (e == NULL)
			break;
		status = entry_status(q, off, e, known);
		if (status == RQ_XID_IN_PROGRESS)
			break;
		if (status == RQ_XID_ABORTED)
		{
			flag_aborted(e, &run);
			if (q->unlogged_aborts < PG_UINT32_MAX)
				q->unlogged_aborts++;
			aborts++;
		}
		else
			rq_news_add(news, e->tag_hash);
	}
	RQ_FAULT("resolve-flags");

	/*
	 * Flags before "stable".  Pairs with the read barriers of those who read
	 * "stable" and then entries below it, such as read_forward() of
	 * consume/rq_consume.c and rq_scan_fetch() of am/rq_scan.c.
	 */
	pg_write_barrier();
	pg_atomic_write_u64(&q->stable, off);
	if (off > from)
		rq_queue_changed(q);
	rq_count(RQ_STAT_ABORTED, aborts);
	return off == to && to < end;
}

/*
 * One stretch; true if there may be more.  With "probe" it does not wait long
 * for the lock, and does not throw for a file that cannot be mapped.
 *
 * Waiters are woken after the lock is released: rq_wake_news() has the
 * barrier between the raised "stable" and the check of the list, and the
 * queue need not be held for it.
 */
static bool
resolve_some(RqQueue *q, KnownXids *known, bool probe)
{
	RqNews		news;
	RqOff		from;
	bool		more;

	/*
	 * Without waiters no tags are collected.  A waiter that joins from now on
	 * may be woken for a tag that it does not want, but misses none.
	 */
	rq_news_init(&news, 0, pg_atomic_read_u32(&rq_queue_topic(q)->nwaiters) == 0);
	if (!probe)
		LWLockAcquire(&q->lock, LW_EXCLUSIVE);
	else if (!rq_queue_try_lock(q, LW_EXCLUSIVE))
		return false;
	from = pg_atomic_read_u64(&q->stable);
	more = resolve_chunk(q, known,
						 probe ? RQ_MAP_PROBE_WRITE : RQ_MAP_WRITE, &news);
	news.to = pg_atomic_read_u64(&q->stable);
	LWLockRelease(&q->lock);
	if (news.to > from)
		rq_wake_news(q, &news);
	return more;
}

void
rq_resolve(RqQueue *q, uint64 own_xid, RqXidStatus own)
{
	KnownXids	known = {.own = own_xid, .own_status = own};

	while (resolve_some(q, &known, false))
		;
}

bool
rq_resolve_some(RqQueue *q, uint64 own_xid, RqXidStatus own)
{
	KnownXids	known = {.own = own_xid, .own_status = own};

	return resolve_some(q, &known, false);
}

/*
 * Is the outcome of the first unresolved entry known?  A hint, without the
 * lock: resolve_chunk() asks again.  If the outcome comes only after this, the
 * process that brings it about resolves the queue afterwards.  "read" is
 * rq_queue_entry(), or rq_queue_probe() for those who must not throw.
 */
static bool
has_news(RqQueue *q, bool (*read) (RqQueue *q, RqOff off, RqEntry *e))
{
	RqOff		stable = pg_atomic_read_u64(&q->stable);
	KnownXids	known = {0};
	RqEntry		e;

	if (stable >= pg_atomic_read_u64(&q->end))
		return false;
	/* "end" before the entry: pairs with rq_queue_enqueue(). */
	pg_read_barrier();
	return read(q, stable, &e) &&
		entry_status(q, stable, &e, &known) != RQ_XID_IN_PROGRESS;
}

void
rq_resolve_refresh(RqQueue *q)
{
	if (has_news(q, rq_queue_entry))
		rq_resolve(q, 0, RQ_XID_IN_PROGRESS);
}

bool
rq_resolve_refresh_some(RqQueue *q)
{
	KnownXids	known = {0};

	return has_news(q, rq_queue_entry) &&
		resolve_some(q, &known, false);
}

bool
rq_resolve_try_refresh(RqQueue *q)
{
	KnownXids	known = {0};

	return has_news(q, rq_queue_probe) &&
		resolve_some(q, &known, true);
}

bool
rq_resolve_blocker(RqQueue *q, TimestampTz *since, int *pid)
{
	RqOff		stable = pg_atomic_read_u64(&q->stable);
	int			flusher;
	RqEntry		e;

	if (stable >= pg_atomic_read_u64(&q->end))
		return false;
	/* As in has_news(). */
	pg_read_barrier();
	if (!rq_queue_probe(q, stable, &e))
		return false;
	*since = e.enqueued_at;
	*pid = 0;
	if (e.xid != 0)
		*pid = BackendXidGetPid((TransactionId) e.xid);
	else if ((flusher = flusher_of(q, stable)) >= 0)
		*pid = ProcGlobal->allProcs[flusher].pid;
	return true;
}

/* ---- RESOLVE ---- */

/*
 * Collect the aborted ranges of [from, to) into "ranges", and their entries
 * into "count".  Returns "to", or where the table was full.
 */
static RqOff
collect_aborted(RqQueue *q, RqOff from, RqOff to,
				xl_rq_range *ranges, uint32 *n, uint64 *count)
{
	RqExtRun	run = {0};

	Assert(LWLockHeldByMeInMode(&q->lock, LW_EXCLUSIVE));
	*n = 0;
	for (RqOff off = from; off < to; off++)
	{
		RqEntry    *e = rq_queue_find_entry(q, off, RQ_MAP_READ, &run);

		if (e == NULL || (e->len_flags & RQ_ENTRY_ABORTED) == 0)
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

/*
 * WAL says what became of the entries below "to".  Once that is all that is
 * resolved, no aborted entry is left to be logged, whatever has been counted
 * twice, or, on a standby, by readers who were ahead of WAL.  Flags that an
 * error has left past "stable" are counted when "stable" passes them.
 */
static void
raise_logged(RqQueue *q, RqOff to)
{
	Assert(LWLockHeldByMeInMode(&q->lock, LW_EXCLUSIVE));
	if (to > q->logged_stable)
		q->logged_stable = to;
	if (q->logged_stable == pg_atomic_read_u64(&q->stable))
		q->unlogged_aborts = 0;
}

/*
 * One record.  The queue's lock is held exclusively, since the copier of the
 * slot (rq_tablestate.c), with the lock held shared, must not take the new
 * logged_stable before its record is inserted: redo that begins with such a
 * copy could clear flags that no RESOLVE sets again.
 *
 * The flags are in the mapped entries since resolve_chunk(), so the order is
 * that of an enqueue: store, log, publish.  A failure between the last two
 * needs no critical section: the same is logged once more.
 */
static void
log_resolved(RqQueue *q)
{
	xl_rq_range ranges[RESOLVE_RANGES];
	uint64		aborts = 0;
	xl_rq_resolve rec = {.key = rq_queue_key(q), .queue_id = q->id,
		.from = q->logged_stable,
	.to = pg_atomic_read_u64(&q->stable)};

	Assert(LWLockHeldByMeInMode(&q->lock, LW_EXCLUSIVE));

	/*
	 * Without aborted entries the record need only say how far.  Else the
	 * entries are searched, in parts, since others wait for the lock.
	 */
	if (q->unlogged_aborts > 0)
		rec.to = collect_aborted(q, rec.from,
								 Min(rec.to, rec.from + RQ_META_HOLD_ENTRIES),
								 ranges, &rec.nranges, &aborts);
	rq_queue_changed(q);
	XLogBeginInsert();
	rq_xlog_register(&rec, SizeOfRqResolve);
	if (rec.nranges > 0)
		rq_xlog_register(ranges, rec.nranges * sizeof(xl_rq_range));
	rq_xlog_insert(XLOG_RQ_RESOLVE);
	RQ_FAULT("resolve-wal");
	if (q->unlogged_aborts < PG_UINT32_MAX)
		q->unlogged_aborts -= Min(aborts, q->unlogged_aborts);
	raise_logged(q, rec.to);
}

bool
rq_resolve_log(RqQueue *q)
{
	bool		more;

	RQ_ASSERT_META_LOCK(LW_SHARED);
	LWLockAcquire(&q->lock, LW_EXCLUSIVE);
	if (q->logged_stable < pg_atomic_read_u64(&q->stable))
		log_resolved(q);
	more = q->logged_stable < pg_atomic_read_u64(&q->stable);
	if (q->logged_stable == pg_atomic_read_u64(&q->end))
		rq_bits_clear(&rq_unsettled[RQ_SLOT_QUEUE], (uint32) (q - rq_queues));
	LWLockRelease(&q->lock);
	return more;
}

/* ---- redo ---- */

/*
 * Has no use for the slot's LSN: the flags have to be set again whenever redo
 * of ENQUEUE has cleared them, and the offsets only rise.  On a hot standby
 * readers may have got further than the record.
 */
void
rq_resolve_redo(const void *data, uint32 len, XLogRecPtr lsn)
{
	const xl_rq_resolve *rec = data;
	const xl_rq_range *ranges = (const xl_rq_range *) (rec + 1);
	RqQueue    *q = rq_queue_for_redo(rec->key, rec->queue_id, lsn);
	RqExtRun	run = {0};
	RqOff		start;
	RqOff		stable;

	if (q == NULL)
		return;
	LWLockAcquire(&q->lock, LW_EXCLUSIVE);
	stable = pg_atomic_read_u64(&q->stable);
	start = pg_atomic_read_u64(&q->start);
	rq_queue_changed(q);
	for (uint32 i = 0; i < rec->nranges; i++)
		for (RqOff off = Max(start, ranges[i].first);
			 off < ranges[i].first + ranges[i].count; off++)
			flag_aborted(rq_queue_find_entry(q, off, RQ_MAP_WRITE, &run), &run);
	/* Flags before "stable", as in resolve_chunk(). */
	pg_write_barrier();
	if (rec->to > stable)
		pg_atomic_write_u64(&q->stable, rec->to);
	raise_logged(q, rec->to);
	LWLockRelease(&q->lock);
	if (rec->to > stable && rq_wake_is_awaited(q->topic))
	{
		RqNews		news;

		rq_queue_news(q, Max(start, stable), rec->to, &news);
		rq_wake_news(q, &news);
	}
}
