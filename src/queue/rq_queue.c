/*
 * rq_queue.c
 *	  Consume queues: their files, entries and ends.
 *
 * Given entries for a queue, which offsets do they get, and from when on may
 * others read them?  rq_queue_enqueue() has the three steps of an append
 * (log/rq_append.c), all under one hold of the queue's lock:
 *
 *		1. store	write the entries into the mapped segments
 *		2. log		insert the WAL record ENQUEUE
 *		3. publish	raise "end"
 *
 * So LSN order is offset order within a queue, and a copy of the queue's slot
 * that is taken under the lock (rq_tablestate.c) has all of an enqueue or
 * nothing of it.  Bytes at or past "end" mean nothing: nobody reads them, and
 * the next enqueue overwrites them.  Whether an entry below "end" counts is
 * decided later (rq_resolve.c).
 *
 * Those who read entries take no lock.  "start" only rises, and a trimmed
 * segment is removed only after "start" has passed it (retain/rq_trim.c).  So
 * a reader looks for the file and copies the entry first, and checks "start"
 * afterwards: if that has not passed the entry, a missing file is corruption,
 * and the bytes are not zeros of a punched hole.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "access/xloginsert.h"
#include "miscadmin.h"
#include "utils/timestamp.h"

#include "base/rq_compat.h"
#include "base/rq_error.h"
#include "base/rq_fault.h"
#include "base/rq_guc.h"
#include "format/rq_segfmt.h"
#include "queue/rq_ahead.h"
#include "queue/rq_queue_private.h"
#include "shmem/rq_stats.h"
#include "store/rq_durable.h"
#include "store/rq_map.h"
#include "topic/rq_topic.h"

/* Of more entries rq_queue_news() only says that something has come. */
#define NEWS_LOOK_MAX	1024

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
report_missing_segment(RqKey key, uint32 queue_id, uint64 segno)
{
	char		path[MAXPGPATH];

	rq_queue_path(path, key, queue_id, segno);
	rq_report_corruption(psprintf("queue %u of topic %u/%u",
								  queue_id, key.db, key.rel),
						 psprintf("file \"%s\" is missing", path));
}

/* Create a segment and, if need be, the topic's directory. */
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
 * Is the missing file of a segment one that has been trimmed?  The file before
 * "start": rq_queue_trim_apply() raises "start" before the file is removed.
 */
static bool
is_segment_trimmed(RqQueue *q, uint64 segno)
{
	pg_read_barrier();
	return segno < rq_cq_segno(pg_atomic_read_u64(&q->start));
}

/* How to open a segment. */
typedef enum OpenFlags
{
	OPEN_EXISTING = 1,			/* it holds entries, so it must exist */
	OPEN_REPAIR = 2				/* redo: make what is not there as it should
								 * be */
} OpenFlags;

/*
 * Map a segment for writing; a missing one is created.  NULL if it is below
 * the queue's start, as it has been filled and trimmed since the caller looked
 * at the queue's end.
 */
static RqEntry *
open_segment(RqQueue *q, uint64 segno, int flags)
{
	bool		repair = (flags & OPEN_REPAIR) != 0;
	RqKey		key = rq_queue_key(q);
	uint64		incarnation = rq_queue_topic(q)->incarnation;
	char	   *base;

	base = rq_map_queue(key, incarnation, q->id, segno, RQ_MAP_WRITE, repair);
	if (base != NULL)
		return (RqEntry *) base;
	if ((flags & OPEN_EXISTING) == 0)
	{
		create_segment(key, q->id, segno, repair);
		base = rq_map_queue(key, incarnation, q->id, segno, RQ_MAP_WRITE, repair);
	}
	if (base == NULL && !is_segment_trimmed(q, segno))
		report_missing_segment(key, q->id, segno);
	return (RqEntry *) base;
}

RqQueueFiles
rq_queue_files(const RqQueue *q)
{
	RqQueueFiles files = {.key = rq_queue_key(q),
		.incarnation = rq_queue_topic(q)->incarnation,
	.queue_id = q->id};

	return files;
}

/* Of "q" only the bounds are read, which are nobody's name. */
static inline RqEntry *
find_entry(RqKey key, uint64 incarnation, uint32 queue_id, RqQueue *q,
		   RqOff off, RqMapMode mode)
{
	char	   *base = rq_map_queue(key, incarnation, queue_id,
									rq_cq_segno(off), mode, false);

	if (base == NULL)
	{
		/*
		 * The file before "start": rq_queue_trim_apply() raises "start"
		 * before the file is removed, so a trimmed entry is seen as such.
		 */
		pg_read_barrier();
		if (off < pg_atomic_read_u64(&q->start))
			return NULL;
	}
	if (base == NULL && rq_map_probes(mode))
		return NULL;
	if (base == NULL)
		report_missing_segment(key, queue_id, rq_cq_segno(off));
	return (RqEntry *) base + rq_cq_in_segment(off);
}

RqEntry *
rq_queue_find_entry(RqQueue *q, RqOff off, RqMapMode mode)
{
	return find_entry(rq_queue_key(q), rq_queue_topic(q)->incarnation, q->id,
					  q, off, mode);
}

/* Copy an entry, "e" or NULL, unless it has been trimmed. */
static bool
copy_entry(RqQueue *q, RqOff off, const RqEntry *e, RqEntry *entry)
{
	if (e == NULL)
		return false;
	memcpy(entry, e, sizeof(*entry));

	/*
	 * The bytes before "start": rq_queue_trim_apply() raises "start" before a
	 * hole is punched, so zeros of a hole are not taken for an entry.
	 */
	pg_read_barrier();
	return off >= pg_atomic_read_u64(&q->start);
}

bool
rq_queue_entry(RqQueue *q, RqOff off, RqEntry *entry)
{
	if (off < pg_atomic_read_u64(&q->start))
		return false;
	return copy_entry(q, off, rq_queue_find_entry(q, off, RQ_MAP_READ), entry);
}

bool
rq_queue_entry_of(RqQueueFiles files, RqQueue *q, RqOff off, RqEntry *entry)
{
	RqEntry    *e;

	if (off < pg_atomic_read_u64(&q->start))
		return false;
	e = find_entry(files.key, files.incarnation, files.queue_id, q, off,
				   RQ_MAP_READ);
	return copy_entry(q, off, e, entry);
}

/* Is the entry's file missing, and the server told to go on without it? */
static bool
is_lost(RqQueue *q, RqOff off)
{
	return rq_ignore_missing_files &&
		rq_map_queue(rq_queue_key(q), rq_queue_topic(q)->incarnation, q->id,
					 rq_cq_segno(off), RQ_MAP_READ, false) == NULL;
}

bool
rq_queue_entry_or_lost(RqQueue *q, RqOff off, RqEntry *entry)
{
	RqEntry		lost = {.len_flags = RQ_CQ_ABORTED};

	if (!is_lost(q, off))
		return rq_queue_entry(q, off, entry);

	/*
	 * An entry that was trimmed concurrently has no file either, so "start"
	 * is read after the file: see rq_queue_find_entry().
	 */
	pg_read_barrier();
	return copy_entry(q, off, &lost, entry);
}

bool
rq_queue_next_entry(RqQueue *q, RqOff off, RqEntryRun *run, RqEntry *entry)
{
	if (off < run->first || off >= run->end)
	{
		run->first = run->end = 0;
		if (off < pg_atomic_read_u64(&q->start))
			return false;
		run->entries = rq_queue_find_entry(q, off, RQ_MAP_READ);
		if (run->entries == NULL)
			return false;
		run->first = off;
		run->end = rq_cq_segment_start(rq_cq_segno(off) + 1);
	}
	return copy_entry(q, off, run->entries + (off - run->first), entry);
}

bool
rq_queue_probe(RqQueue *q, RqOff off, RqEntry *entry)
{
	char	   *base = rq_map_queue(rq_queue_key(q),
									rq_queue_topic(q)->incarnation, q->id,
									rq_cq_segno(off), RQ_MAP_PROBE, false);

	return base != NULL &&
		copy_entry(q, off, (RqEntry *) base + rq_cq_in_segment(off), entry);
}

int
rq_queue_news(RqQueue *q, RqOff from, RqOff to, RqNews *news)
{
	int			looked = 0;

	rq_news_init(news, to, to - from > NEWS_LOOK_MAX);
	for (RqOff off = from; off < to && !news->any; off++)
	{
		RqEntry		e;

		looked++;
		/* An entry that cannot be read may have any tag. */
		if (!rq_queue_probe(q, off, &e))
			news->any = true;
		else if ((e.len_flags & RQ_CQ_ABORTED) == 0)
			rq_news_add(news, e.tag_hash);
	}
	return looked;
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

/* The one or two segments that a run of a queue's entries touches. */
typedef struct Run
{
	RqQueue    *q;
	uint64		segno;			/* of the first entry */
	uint64		last_segno;
	RqEntry    *base[2];
} Run;

/* False if one of them has been trimmed, see open_segment(). */
static bool
open_run(Run *r, RqQueue *q, RqOff first, int count, int flags)
{
	r->q = q;
	r->segno = rq_cq_segno(first);
	r->last_segno = rq_cq_segno(first + count - 1);
	/* A segment that begins before these entries holds others. */
	r->base[0] = open_segment(q, r->segno,
							  rq_cq_in_segment(first) > 0 && flags == 0 ?
							  OPEN_EXISTING : flags);
	if (r->base[0] == NULL || r->last_segno == r->segno)
		return r->base[0] != NULL;
	r->base[1] = open_segment(q, r->last_segno, flags);
	return r->base[1] != NULL;
}

/*
 * Write the entries that a record describes.  Redo writes the same bytes, and so clears RQ_CQ_ABORTED of
 * entries that had it; the RESOLVE that comes later sets it again.
 */
static void
enqueue_apply(const Run *r, const xl_rq_enqueue *rec, const xl_rq_entry *entries)
{
	Assert(LWLockHeldByMeInMode(&r->q->lock, LW_EXCLUSIVE));
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

/*
 * Say that the entries from "from" on must not count yet.  Under the queue's
 * lock and before they are published, so that whoever resolves the queue,
 * under the same lock, finds the hold with the entries.
 */
static void
hold_entries(RqQueue *q, RqOff from)
{
	RqBackend  *me = RQ_MY_BACKEND;

	Assert(LWLockHeldByMeInMode(&q->lock, LW_EXCLUSIVE));
	pg_atomic_write_u64(&me->hold_from, from);
	pg_atomic_write_u32(&me->hold_queue, (uint32) (q - rq_queues));
	pg_atomic_fetch_add_u32(&q->holders, 1);
}

/*
 * Takes no lock.  Whoever resolves the queue concurrently may still see the
 * hold and stop before the entries; the next one, which the caller is itself
 * if all goes well, does not.
 */
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

/*
 * Segments are opened, and created if the allocator has not done so, before
 * the gate and the lock are taken: that can throw and waits for the file
 * system.  Where the queue ends is then only a guess.  Others may have
 * enqueued since, and the entries belong into other segments than those that
 * were opened: then everything begins again.  That is seen once the lock is
 * held, or earlier if those segments have even been trimmed.
 *
 * All of it happens inside the gate: once the keeper has closed that, it syncs
 * for the last time and must not miss an entry that is logged.  The gate comes
 * before the queue's lock because it may have to be waited for.
 *
 * Steps 1 to 3 are a critical section: once the record is inserted, redo
 * raises the queue's end, so this process must not fail to.
 */
RqOff
rq_queue_enqueue(RqQueue *q, const xl_rq_entry *entries, int count, uint64 xid,
				 bool hold, XLogRecPtr *lsn)
{
	xl_rq_enqueue rec = {.key = rq_queue_key(q), .queue_id = q->id,
	.count = count, .xid = xid};
	uint64		bytes = bytes_of(entries, count);

	Assert(count > 0 && count <= RQ_ENQUEUE_MAX);

	/* A queue past the topic's number goes when the resize is settled. */
	if (q->id >= rq_topic_nqueues(q->topic))
		elog(ERROR, "queue %u of topic %u/%u no longer exists", q->id,
			 rec.key.db, rec.key.rel);
	for (;;)
	{
		RqOff		end = pg_atomic_read_u64(&q->end);
		TimestampTz now;
		Run			run;

		RQ_FAULT("enqueue-open");
		if (!open_run(&run, q, end, count, 0))
			continue;
		rq_gate_enter();
		LWLockAcquire(&q->lock, LW_EXCLUSIVE);
		rec.offset = pg_atomic_read_u64(&q->end);
		if (rq_cq_segno(rec.offset) == run.segno &&
			rq_cq_segno(rec.offset + count - 1) == run.last_segno)
		{
			/* The clock may be set back, but times never fall in a queue. */
			now = GetCurrentTimestamp();
			rec.enqueued_at = Max(q->last_time, now);
			START_CRIT_SECTION();
			/* 1. store */
			enqueue_apply(&run, &rec, entries);
			RQ_FAULT("enqueue-store");
			/* 2. log */
			q->lsn = log_enqueue(&rec, entries);
			RQ_FAULT("enqueue-wal");
			q->last_time = rec.enqueued_at;
			q->bytes_end += bytes;
			if (hold)
				hold_entries(q, rec.offset);

			/*
			 * 3. publish.  Entries and hold before "end": pairs with the read
			 * barriers after reads of "end", in has_news() of rq_resolve.c,
			 * rq_range_fill() of am/rq_range.c, ask_entries() of
			 * retain/rq_needs.c and look_at() of consume/rq_consumed.c.
			 */
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
		/* "end" has moved to another segment since it was read. */
		LWLockRelease(&q->lock);
		rq_gate_leave();
	}
}

/* The first entry in [from, to) that is not lost, or "to". */
static RqOff
pass_lost(RqQueue *q, RqOff from, RqOff to)
{
	while (from < to && is_lost(q, from))
		from = rq_cq_segment_start(rq_cq_segno(from) + 1);
	return Min(from, to);
}

/*
 * Bisect, since times never fall within a queue.  A lost entry has no time;
 * the first one after it that is there stands for it.  An entry that is
 * trimmed concurrently is older than all that stay.
 */
RqOff
rq_queue_offset_at(RqQueue *q, TimestampTz when)
{
	RqOff		low = pg_atomic_read_u64(&q->start);
	RqOff		high = pg_atomic_read_u64(&q->stable);

	while (low < high)
	{
		RqOff		mid = low + (high - low) / 2;
		RqOff		off = pass_lost(q, mid, high);
		RqEntry		e;

		if (off < high && (!rq_queue_entry(q, off, &e) || e.enqueued_at < when))
			low = off + 1;
		else
			high = mid;
	}
	return low;
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

/*
 * The caller has logged the trim (retain/rq_trim.c), or is its redo; it
 * removes files only after this.  The queue's lock is taken so that
 * rq_queue_counts() and the copy for the state file find "start" and
 * "bytes_start" of one moment, and because whoever resolves the queue goes on
 * from "stable".
 */
RqOff
rq_queue_trim_apply(RqQueue *q, RqOff start, uint64 bytes_start)
{
	RqOff		old;

	RQ_ASSERT_META_LOCK(LW_EXCLUSIVE);
	LWLockAcquire(&q->lock, LW_EXCLUSIVE);
	old = pg_atomic_read_u64(&q->start);
	start = Min(start, pg_atomic_read_u64(&q->end));
	if (start > old)
	{
		/* In redo the RESOLVE that says so can be yet to come. */
		if (start > pg_atomic_read_u64(&q->stable))
			pg_atomic_write_u64(&q->stable, start);
		if (start > q->logged_stable)
			q->logged_stable = start;
		q->bytes_start = Min(bytes_start, q->bytes_end);

		/*
		 * "stable" before "start": a process that reads "start" and then,
		 * after a read barrier, "stable", finds start <= stable.
		 */
		pg_write_barrier();
		pg_atomic_write_u64(&q->start, start);
	}
	LWLockRelease(&q->lock);
	return old;
}

void
rq_queue_remove_segment(RqKey key, uint32 queue_id, uint64 segno)
{
	char		path[MAXPGPATH];

	RQ_ASSERT_META_LOCK(LW_SHARED);
	rq_queue_path(path, key, queue_id, segno);
	if (!rq_remove_segment(path))
		rq_leftovers_note();
}

/* ---- redo ---- */

RqQueue *
rq_queue_for_redo(RqKey key, uint32 queue_id, XLogRecPtr lsn)
{
	uint32		topic = rq_topic_for_redo(key, lsn);
	RqQueue    *q;

	if (topic == RQ_NO_SLOT || queue_id >= rq_topic_nslots(topic))
		return NULL;
	q = rq_topic_queue(topic, queue_id);
	/* Before it was made, the number was an earlier queue's. */
	return lsn < q->born ? NULL : q;
}

RqEntry *
rq_queue_redo_entry(RqQueue *q, RqOff off)
{
	return open_segment(q, rq_cq_segno(off), OPEN_REPAIR) +
		rq_cq_in_segment(off);
}

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
 * The entries are written whatever the slot's LSN: in a base backup the queue
 * file can be older than the state file.  Those below the queue's start are
 * left out, as their files may no longer exist.  The slot is raised only by a
 * record that is later than its own LSN.
 *
 * The steps are those of rq_queue_enqueue(), but for the record; with the
 * lock, because readers of a hot standby resolve the queue at the same time.
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
	if (!open_run(&run, q, rec.offset, rec.count, OPEN_REPAIR))
		elog(ERROR, "ENQUEUE record goes to a trimmed segment");
	LWLockAcquire(&q->lock, LW_EXCLUSIVE);
	enqueue_apply(&run, &rec, entries);
	q->redo_dirty = Min(q->redo_dirty, rec.offset);
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
