/*
 * rq_enqueue.c
 *	  Write entries to consume queues.
 *
 * Given entries for a queue, which offsets do they get, and from when on may
 * others read them?  rq_queue_enqueue() has the three steps of an append
 * (log/rq_append.c), all under one hold of the queue's lock:
 *
 *		1. store	write the entries into the queue's extents
 *		2. log		insert the WAL record ENQUEUE
 *		3. publish	raise "end"
 *
 * So LSN order is offset order within a queue, and a copy of the queue's slot
 * that is taken under the lock (rq_tablestate.c) has all of an enqueue or
 * nothing of it.  Bytes at or past "end" mean nothing: nobody reads them, and
 * the next enqueue overwrites them.  Whether an entry below "end" counts is
 * decided later (rq_resolve.c).
 */
#include "postgres.h"

#include "access/xlog.h"
#include "access/xloginsert.h"
#include "miscadmin.h"
#include "utils/timestamp.h"

#include "base/rq_compat.h"
#include "base/rq_fault.h"
#include "queue/rq_enqueue.h"
#include "queue/rq_entry.h"
#include "queue/rq_late.h"
#include "queue/rq_queue.h"
#include "queue/rq_supply.h"
#include "shmem/rq_stats.h"
#include "topic/rq_growth.h"
#include "topic/rq_topic.h"
#include "topic/rq_wake.h"

/*
 * Entries of a record in one extent.  An enqueue needs another extent only if
 * the queue's last one is too small for what is to come, and then adds one of a
 * larger class.  So one that has failed can leave one of each class.
 */
typedef struct Piece
{
	RqEntry    *at;				/* of the first entry */
	uint32		count;
	uint32		chunk;
} Piece;

#define PIECES_MAX	(RQ_EXT_CLASSES + 1)

StaticAssertDecl(PIECES_MAX < RQ_MAP_AREAS_KEPT, "all of a record are mapped");

/* The entries from "off" on, at most "count", that lie in one extent; throws. */
static Piece
find_piece(RqQueue *q, RqOff off, uint32 count)
{
	RqExtRun	run = {0};
	Piece		p;

	p.at = rq_queue_find_entry(q, off, RQ_MAP_WRITE, &run);
	if (p.at == NULL)
		elog(ERROR, "entry " UINT64_FORMAT " has been trimmed", off);
	p.count = Min(count, run.first + run.count - off);
	p.chunk = RQ_EXT_CHUNK(run.addr);
	return p;
}

/*
 * Write entries that a record describes.  Redo writes the same bytes, and so
 * clears RQ_ENTRY_ABORTED of entries that had it; the RESOLVE that comes later sets
 * it again.
 */
static void
store_piece(const Piece *p, const xl_rq_enqueue *rec, const xl_rq_entry *entries)
{
	for (uint32 i = 0; i < p->count; i++)
	{
		RqEntry    *e = &p->at[i];

		e->pos = entries[i].pos;
		e->xid = rec->xid;
		e->enqueued_at = rec->enqueued_at;
		e->tag_hash = entries[i].tag_hash;
		e->len_flags = entries[i].len_flags;
	}
	rq_area_mark(&rq_extents->marks, p->chunk);
}

static uint64
bytes_of(const xl_rq_entry *entries, uint32 count)
{
	uint64		bytes = 0;

	for (uint32 i = 0; i < count; i++)
		bytes += RQ_ENTRY_FRAME_LEN(&entries[i]);
	return bytes;
}

static RqPos
lowest_of(const xl_rq_entry *entries, uint32 count)
{
	RqPos		lowest = entries[0].pos;

	for (uint32 i = 1; i < count; i++)
		lowest = Min(lowest, entries[i].pos);
	return lowest;
}

static XLogRecPtr
log_enqueue(const xl_rq_enqueue *rec, const xl_rq_entry *entries)
{
	XLogBeginInsert();
	rq_xlog_register(rec, SizeOfRqEnqueue);
	rq_xlog_register(entries, rec->count * sizeof(xl_rq_entry));
	return rq_xlog_insert(XLOG_RQ_ENQUEUE);
}

/*
 * Say that the entries from "from" on must not count yet.  Under the queue's
 * lock and before they are published, so that whoever resolves the queue,
 * under the same lock, finds the note with the entries.
 */
static void
note_unflushed(RqQueue *q, RqOff from)
{
	RqBackend  *me = RQ_MY_BACKEND;

	Assert(LWLockHeldByMeInMode(&q->lock, LW_EXCLUSIVE));
	pg_atomic_write_u64(&me->unflushed_from, from);
	pg_atomic_write_u32(&me->unflushed_queue, (uint32) (q - rq_queues));
	pg_atomic_fetch_add_u32(&q->unflushed, 1);
}

/*
 * Takes no lock.  Whoever resolves the queue concurrently may still see the
 * note and stop before the entries; the next one, which the caller is itself
 * if all goes well, does not.
 */
void
rq_queue_forget_unflushed(void)
{
	RqBackend  *me = RQ_MY_BACKEND;
	uint32		slot = pg_atomic_read_u32(&me->unflushed_queue);

	if (slot == RQ_NO_SLOT)
		return;
	pg_atomic_write_u32(&me->unflushed_queue, RQ_NO_SLOT);
	pg_atomic_fetch_sub_u32(&rq_queues[slot].unflushed, 1);
}

/*
 * Steps 1 to 3, at offset rec->offset, which is where the queue ends.  A
 * critical section: once the record is inserted, redo raises the queue's end,
 * so this process must not fail to.
 */
static void
put_pieces(RqQueue *q, const Piece *pieces, xl_rq_enqueue *rec,
		   const xl_rq_entry *entries, uint64 bytes)
{
	TimestampTz now = GetCurrentTimestamp();

	if (RQ_FAULT_FAILS("enqueue-clock"))
		now += 2 * USECS_PER_HOUR;
	/* The clock may be set back, but times never fall in a queue. */
	rec->enqueued_at = Max(q->last_time, now);
	rq_growth_note(q, now);
	START_CRIT_SECTION();

	/* 1. store */
	for (uint32 done = 0; done < rec->count; pieces++)
	{
		store_piece(pieces, rec, entries + done);
		done += pieces->count;
	}
	RQ_FAULT("enqueue-store");

	/* 2. log */
	rq_queue_changed(q);
	rq_queue_unsettled(q);
	q->lsn = log_enqueue(rec, entries);
	RQ_FAULT("enqueue-wal");
	q->last_time = rec->enqueued_at;
	q->bytes_end += bytes;
	if (rec->xid == 0)
		note_unflushed(q, rec->offset);

	/*
	 * 3. publish.  Entries and note before "end": pairs with the read
	 * barriers after reads of "end", in has_news() of rq_resolve.c,
	 * rq_range_fill() of am/rq_range.c, ask_entries() of retain/rq_needs.c
	 * and look_at() of consume/rq_consumed.c.
	 */
	pg_write_barrier();
	pg_atomic_write_u64(&q->end, rec->offset + rec->count);
	END_CRIT_SECTION();
}

/*
 * Room for "count" more entries; false if there is none, for lack of a free
 * extent of "lacking".  The queue's lock is held.  What has been added by then
 * is used by whoever comes next.
 */
static bool
make_queue_room(RqQueue *q, uint32 count, int *lacking)
{
	RqOff		end = pg_atomic_read_u64(&q->end);
	uint64		room;

	while ((room = rq_extent_room(q)) < count)
		if (rq_extent_add(q, end + room, count - room) == RQ_EXT_LACKING)
		{
			*lacking = rq_extent_next_class(q, end + room, count - room);
			return false;
		}
	return true;
}

/* All that can fail comes first; false as for make_queue_room(). */
static bool
try_enqueue(RqQueue *q, xl_rq_enqueue *rec, const xl_rq_entry *entries,
			uint64 bytes, int *lacking)
{
	Piece		pieces[PIECES_MAX];
	uint64		mapped;
	int			n;

	Assert(LWLockHeldByMeInMode(&q->lock, LW_EXCLUSIVE));
	if (!make_queue_room(q, rec->count, lacking))
		return false;
	rec->offset = pg_atomic_read_u64(&q->end);

	/* Mapping the last of them can have unmapped the first. */
	do
	{
		uint32		found = 0;

		mapped = rq_map_areas_gone;
		for (n = 0; found < rec->count && n < PIECES_MAX; n++)
		{
			pieces[n] = find_piece(q, rec->offset + found, rec->count - found);
			found += pieces[n].count;
		}
		if (found < rec->count)
			elog(ERROR, "entries of a record lie in too many extents");
	} while (mapped != rq_map_areas_gone);
	put_pieces(q, pieces, rec, entries, bytes);
	return true;
}

/*
 * Under the queue's lock there is nothing to wait for: a free extent is taken
 * from memory, and an area file is mapped when this process comes to it for the
 * first time.  If no extent is free, the locks are released, the allocator is
 * waited for, and everything begins again.
 *
 * All of it happens inside the gate: once the keeper has closed that, it syncs
 * for the last time and must not miss an entry that is logged.  The gate comes
 * before the queue's lock because it may have to be waited for.
 *
 * On entry no lock of the store is held, nor is one on exit.
 */
RqOff
rq_queue_enqueue(RqQueue *q, const xl_rq_entry *entries, int count, uint64 xid,
				 XLogRecPtr *lsn)
{
	xl_rq_enqueue rec = {.key = rq_queue_key(q), .queue_id = q->id,
	.count = count, .xid = xid};
	uint64		bytes = bytes_of(entries, count);
	bool		done = false;

	Assert(count > 0 && count <= RQ_ENQUEUE_MAX);

	/* A queue past the topic's number goes when the resize is settled. */
	if (q->id >= rq_topic_nqueues(q->topic))
		elog(ERROR, "queue %u of topic %u/%u no longer exists", q->id,
			 rec.key.db, rec.key.rel);
	while (!done)
	{
		int			lacking = 0;

		RQ_FAULT("enqueue-open");
		rq_gate_enter();
		LWLockAcquire(&q->lock, LW_EXCLUSIVE);
		done = try_enqueue(q, &rec, entries, bytes, &lacking);
		if (done && lsn)
			*lsn = q->lsn;
		LWLockRelease(&q->lock);
		rq_gate_leave();
		if (!done)
			rq_supply_wait(lacking);
	}
	rq_late_note(q, rec.offset, lowest_of(entries, count));
	rq_count(RQ_STAT_ENQUEUED, count);
	return rec.offset;
}

/* ---- redo ---- */

/*
 * Entries of a transaction can be read once its end is replayed, which wakes
 * waiters then (rq_wake_replayed()).  Those without one can be read now.
 */
static void
tell_waiters(const RqQueue *q, const xl_rq_enqueue *rec,
			 const xl_rq_entry *entries)
{
	RqNews		news;

	if (rec->xid != 0 || !rq_wake_is_awaited(q->topic))
		return;
	rq_news_init(&news, rec->offset + rec->count, false);
	for (uint32 i = 0; i < rec->count && !news.any; i++)
		rq_news_add(&news, entries[i].tag_hash);
	rq_wake_news(q, &news);
}

/*
 * The entries are written whatever the slot's LSN: in a base backup the area
 * file can be older than the state file.  Those below the queue's start are left
 * out, as their extents may no longer exist.  The slot is raised only by a record
 * that is later than its own LSN.
 *
 * The steps are those of rq_queue_enqueue(), but for the record; with the
 * lock, because readers of a hot standby resolve the queue at the same time.
 * How many extents the entries lie in is another matter here than where they
 * were enqueued first.
 */
void
rq_queue_redo_enqueue(const void *data, uint32 len, XLogRecPtr lsn)
{
	xl_rq_enqueue rec = *(const xl_rq_enqueue *) data;
	const xl_rq_entry *entries = (const xl_rq_entry *) ((const xl_rq_enqueue *) data + 1);
	RqQueue    *q = rq_queue_for_redo(rec.key, rec.queue_id, lsn);
	RqOff		end = rec.offset + rec.count;
	uint64		bytes = bytes_of(entries, rec.count);
	RqOff		start;
	int			lacking;

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
	LWLockAcquire(&q->lock, LW_EXCLUSIVE);
	rq_queue_changed(q);
	if (end > pg_atomic_read_u64(&q->end) &&
		!make_queue_room(q, end - pg_atomic_read_u64(&q->end), &lacking))
		elog(ERROR, "there is no room for the entries of a record");
	for (uint32 done = 0; done < rec.count;)
	{
		Piece		p = find_piece(q, rec.offset + done, rec.count - done);

		store_piece(&p, &rec, entries + done);
		done += p.count;
	}
	rq_queue_unsettled(q);
	if (lsn > q->lsn)
	{
		q->lsn = lsn;
		q->last_time = rec.enqueued_at;
		q->bytes_end += bytes;
		/* Entries before "end", as in rq_queue_enqueue(). */
		pg_write_barrier();
		pg_atomic_write_u64(&q->end, end);
	}
	LWLockRelease(&q->lock);
	tell_waiters(q, &rec, entries);
}
