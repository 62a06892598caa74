/*
 * rq_state.c
 *	  Copy the store's state to the state file, and bring files to disk.
 *
 * The copy is taken slot by slot, each under the lock that its changes and
 * their WAL records are made under.  So a copy taken after the redo pointer
 * moved holds every change logged below it, and the page-LSN rule in redo does
 * the rest.  What a copy holds may go to disk only after its WAL.
 *
 * The meta lock is held all the way, so the copy knows of every topic and group
 * up to one LSN.  A state that is larger than the writer's buffer (some ten
 * thousand queues) goes through the file system meanwhile: topics and groups
 * can't come and go as long.
 *
 * Two processes call rq_state_sync(), never at the same time: the startup
 * process during recovery, the keeper after it.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/rq_fault.h"
#include "base/rq_guc.h"
#include "format/rq_segfmt.h"
#include "format/rq_statefmt.h"
#include "log/rq_log.h"
#include "queue/rq_queue.h"
#include "shmem/rq_stats.h"
#include "store/rq_durable.h"
#include "store/rq_stream.h"
#include "topic/rq_group.h"
#include "topic/rq_topic.h"
#include "wal/rq_state.h"

/* How far a queue's files are on disk; see queue_now(). */
typedef struct SyncedQueue
{
	uint64		incarnation;
	RqOff		stable;
	RqOff		end;
} SyncedQueue;

/* A queue whose files have to be brought to disk with the copy. */
typedef struct QueueToSync
{
	uint32		slot;
	RqKey		key;
	uint32		id;
	RqOff		from;
	SyncedQueue now;			/* when it was copied */
} QueueToSync;

static SyncedQueue *synced_queues = NULL;
static uint64 synced_bytes = 0;
static bool has_synced = false; /* this process */

/* Those of the sync that is under way; in its memory context. */
static QueueToSync *to_sync;
static uint64 nto_sync;
static uint64 max_to_sync;

/* ---- what of the queues is on disk ---- */

static void
allocate_synced(void)
{
	if (synced_queues == NULL)
		synced_queues = MemoryContextAllocExtended(TopMemoryContext,
												   rq_max_queues * sizeof(SyncedQueue),
												   MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
}

/*
 * All three are of one moment: a slot that is given to another queue must not
 * look as if the files of that one were on disk.
 */
static SyncedQueue
queue_now(uint32 topic, RqQueue *q)
{
	SyncedQueue now = {.incarnation = rq_topics[topic].incarnation,
		.stable = pg_atomic_read_u64(&q->stable),
	.end = pg_atomic_read_u64(&q->end)};

	Assert(LWLockHeldByMe(rq_meta_lock) && LWLockHeldByMe(&q->lock));
	return now;
}

static QueueToSync *
add_to_sync(void)
{
	if (nto_sync == max_to_sync)
	{
		max_to_sync = Max(256, 2 * max_to_sync);
		to_sync = to_sync == NULL ?
			palloc_extended(max_to_sync * sizeof(QueueToSync), MCXT_ALLOC_HUGE) :
			repalloc_huge(to_sync, max_to_sync * sizeof(QueueToSync));
	}
	return &to_sync[nto_sync++];
}

/*
 * Entries change in two places: new ones at the end, flags of aborted ones
 * between the stable offset and the end.  So whatever lies below the stable
 * offset of the last sync is on disk, unless redo has written it again.
 */
static void
note_to_sync(uint32 topic, RqQueue *q)
{
	uint32		slot = (uint32) (q - rq_queues);
	SyncedQueue *done = &synced_queues[slot];
	SyncedQueue now = queue_now(topic, q);
	bool		known = done->incarnation == now.incarnation;
	QueueToSync *s;
	RqOff		from;

	if (known && done->stable == now.stable && done->end == now.end &&
		q->redo_dirty == RQ_INVALID_POS)
		return;
	from = Max(known ? Min(done->stable, q->redo_dirty) : 0,
			   pg_atomic_read_u64(&q->start));
	if (from >= now.end)
	{
		*done = now;
		q->redo_dirty = RQ_INVALID_POS;
		return;
	}
	s = add_to_sync();
	s->slot = slot;
	s->key = rq_topic_key(topic);
	s->id = q->id;
	s->from = from;
	s->now = now;
}

/* ---- copy ---- */

static void
copy_gap(RqWriter *w, RqPos start, RqPos end)
{
	RqStateGap	g = {.start = start, .end = end};

	rq_writer_add(w, &g, sizeof(g));
}

/* Reservations that are not WAL-logged yet, below "log_end". */
static uint32
copy_inflight(RqWriter *w, RqPos log_end)
{
	uint32		n = 0;

	for (int i = 0; i < rq_max_backends(); i++)
	{
		RqBackend  *b = &rq_backends[i];
		RqPos		start;
		RqPos		end;

		/* Both belong together if the start is still the same. */
		do
		{
			start = pg_atomic_read_u64(&b->inflight_start);
			pg_read_barrier();
			end = pg_atomic_read_u64(&b->inflight_end);
			pg_read_barrier();
		} while (pg_atomic_read_u64(&b->inflight_start) != start);
		if (start >= log_end)
			continue;
		copy_gap(w, start, end);
		n++;
	}
	return n;
}

static void
copy_queue(RqWriter *w, uint32 topic, RqQueue *q)
{
	RqStateQueue s;

	LWLockAcquire(&q->lock, LW_SHARED);
	s.start = pg_atomic_read_u64(&q->start);
	s.stable = q->logged_stable;
	s.end = pg_atomic_read_u64(&q->end);
	Assert(s.start <= s.end && s.stable <= s.end);
	s.last_time = q->last_time;
	s.lsn = q->lsn;
	s.born = q->born;
	s.bytes_start = q->bytes_start;
	s.bytes_end = q->bytes_end;
	note_to_sync(topic, q);
	LWLockRelease(&q->lock);
	rq_writer_add(w, &s, sizeof(s));
}

static void
copy_group(RqWriter *w, uint32 group)
{
	RqGroup    *g = &rq_groups[group];
	RqStateGroup s = {.id = g->id, .nqueues = g->offsets.n,
		.pend_xid = g->pend_xid, .pend_op = g->pend_op,
	.name_len = strlen(g->name), .created_at = g->created_at};

	memcpy(s.name, g->name, s.name_len);
	rq_writer_add(w, &s, sizeof(s));
	for (uint32 i = 0; i < g->offsets.n; i++)
	{
		RqOffset   *o = rq_group_offset(group, i);
		RqStateOffset so;

		LWLockAcquire(rq_offset_lock((uint32) (o - rq_offsets)), LW_SHARED);
		so.committed = o->committed;
		so.pend_next = o->pend_next;
		so.pend_xid = o->pend_xid;
		so.saved_total = o->saved_total;
		so.saved_left = o->saved_left;
		so.lsn = o->lsn;
		LWLockRelease(rq_offset_lock((uint32) (o - rq_offsets)));
		rq_writer_add(w, &so, sizeof(so));
	}
}

static void
copy_topic(RqWriter *w, uint32 topic)
{
	RqTopic    *t = &rq_topics[topic];
	RqStateTopic s = {.key = rq_topic_key(topic), .spc = t->spc,
		.nslots = t->queues.n, .committed = t->committed, .staged = t->staged,
		.pend_xid = t->pend_xid, .drop_xid = t->drop_xid, .alter_xid = t->alter_xid,
	.lsn = t->lsn, .alter_lsn = t->alter_lsn};

	for (uint32 g = t->first_group; g != RQ_NO_SLOT; g = rq_groups[g].next)
		s.ngroups++;
	rq_writer_add(w, &s, sizeof(s));
	for (uint32 i = 0; i < t->queues.n; i++)
		copy_queue(w, topic, rq_topic_queue(topic, i));
	for (uint32 g = t->first_group; g != RQ_NO_SLOT; g = rq_groups[g].next)
		copy_group(w, g);
}

/* "h" gets what the copy's header has to say. */
static void
copy_state(RqWriter *w, RqStateHeader *h, XLogRecPtr wal_upto)
{
	memset(h, 0, sizeof(*h));
	h->segment_mb = rq_ctl->segment_mb;
	h->flags = rq_ctl->made_by_upgrade ? RQ_STATE_UPGRADE : 0;
	h->log_end = pg_atomic_read_u64(&rq_ctl->log_end);
	pg_read_barrier();
	h->ngaps = copy_inflight(w, h->log_end);
	for (uint32 i = 0; i < rq_ctl->ngaps; i++)
		copy_gap(w, rq_gaps[i].start, rq_gaps[i].end);
	h->ngaps += rq_ctl->ngaps;

	/* Who creates something logs it under this lock. */
	LWLockAcquire(rq_meta_lock, LW_SHARED);
	/* Recovery begins behind what the state that it has loaded knows. */
	h->meta_lsn = Max(rq_ctl->meta_lsn, wal_upto != InvalidXLogRecPtr ?
					  wal_upto : GetXLogInsertRecPtr());
	h->log_start = pg_atomic_read_u64(&rq_ctl->log_start);
	h->next_group_id = rq_ctl->next_group_id;
	for (int t = 0; t < rq_max_topics; t++)
		if (pg_atomic_read_u64(&rq_topics[t].key) != 0)
		{
			copy_topic(w, t);
			h->ntopics++;
		}
	LWLockRelease(rq_meta_lock);
	rq_state_seal(h, rq_writer_length(w), rq_writer_crc(w));
}

/* ---- the server log ---- */

/* What a sync has done so far, and when it came to which step. */
typedef struct Detail
{
	instr_time	begun;
	instr_time	flushed;		/* WAL is */
	instr_time	fsynced;		/* files are */
	uint64		log_files;
	uint64		queue_files;
	uint64		state_bytes;
} Detail;

static double
seconds(instr_time from, instr_time to)
{
	INSTR_TIME_SUBTRACT(to, from);
	return INSTR_TIME_GET_DOUBLE(to);
}

/* Tell of the sync that has just ended, as log_checkpoints asks or if it was slow. */
static void
tell_sync(const Detail *d, XLogRecPtr redo)
{
	instr_time	now;
	double		total;
	bool		slow;

	INSTR_TIME_SET_CURRENT(now);
	total = seconds(d->begun, now);
	slow = rq_log_slow_sync_ms >= 0 && total * 1000 >= rq_log_slow_sync_ms;
	if (!slow && !log_checkpoints)
		return;
	ereport(LOG,
			(errmsg("%s: " UINT64_FORMAT " log segments, " UINT64_FORMAT " queue files, state file of " UINT64_FORMAT " bytes; "
					"WAL=%.3f s, files=%.3f s, state=%.3f s, total=%.3f s; "
					"sync files=" UINT64_FORMAT ", longest=%.3f s; redo lsn=%X/%X",
					slow ? "rocketq sync was slow" : "rocketq sync complete",
					d->log_files, d->queue_files, d->state_bytes,
					seconds(d->begun, d->flushed),
					seconds(d->flushed, d->fsynced), seconds(d->fsynced, now),
					total, rq_fsyncs.files, rq_fsyncs.longest_us / 1000000.0,
					LSN_FORMAT_ARGS(redo))));
}

/* ---- sync ---- */

static RqPos
sync_log(void)
{
	RqPos		settled = rq_log_settled_end();
	RqPos		from = Max(Min(rq_ctl->synced_log, rq_ctl->redo_dirty),
						   pg_atomic_read_u64(&rq_ctl->log_start));
	RqPos		to = pg_atomic_read_u64(&rq_ctl->log_end);

	Assert(settled <= to);
	rq_log_sync(from, to);
	synced_bytes += to - Min(from, to);
	rq_ctl->redo_dirty = RQ_INVALID_POS;
	return settled;
}

static void
sync_topic_dir(RqKey key)
{
	char		path[MAXPGPATH];

	rq_topic_dir_path(path, key);
	rq_fsync_path(path, true);
}

/* What has been dropped since it was copied has no files, and needs none. */
static void
sync_queues(void)
{
	bool		any = false;
	bool		any_here = false;

	for (uint64 i = 0; i < nto_sync; i++)
	{
		const QueueToSync *s = &to_sync[i];

		any_here |= rq_queue_sync(s->key, s->id, s->from, s->now.end);
		synced_bytes += (s->now.end - Min(s->from, s->now.end)) * sizeof(RqEntry);
		if (i + 1 < nto_sync && RQ_KEY_EQ(s[1].key, s->key))
			continue;
		if (any_here)
			sync_topic_dir(s->key);
		any |= any_here;
		any_here = false;
	}
	if (any)
		rq_fsync_path(RQ_QUEUE_DIR, true);
	for (uint64 i = 0; i < nto_sync; i++)
	{
		rq_queues[to_sync[i].slot].redo_dirty = RQ_INVALID_POS;
		synced_queues[to_sync[i].slot] = to_sync[i].now;
	}
}

/*
 * Does the state differ from the one that is on disk?  As long as something is
 * in flight it counts as different: some of that may be logged by now, which
 * the state does not tell.
 */
static bool
has_changed(RqWriter *w, const RqStateHeader *h)
{
	RqStateHeader old;

	if (!has_synced || rq_ctl->redo_changed || h->ngaps > 0 ||
		!rq_writer_same(w, &old))
		return true;

	/* These change without any change of ours. */
	old.crc = h->crc;
	old.meta_lsn = h->meta_lsn;
	return memcmp(&old, h, sizeof(old)) != 0;
}

/*
 * The end of WAL so far.  When it is the beginning of a page, the insert
 * position is already behind the page's header, where nothing can be flushed.
 */
static XLogRecPtr
wal_end(void)
{
	XLogRecPtr	end = GetXLogInsertRecPtr();

	if (XLogSegmentOffset(end, wal_segment_size) == SizeOfXLogLongPHD)
		return end - SizeOfXLogLongPHD;
	if (end % XLOG_BLCKSZ == SizeOfXLogShortPHD)
		return end - SizeOfXLogShortPHD;
	return end;
}

/* All that the copy rests on, and then the copy. */
static void
bring_to_disk(RqWriter *w, const RqStateHeader *h, XLogRecPtr wal_upto)
{
	Detail		d = {.state_bytes = h->length};
	RqPos		settled;

	INSTR_TIME_SET_CURRENT(d.begun);
	memset(&rq_fsyncs, 0, sizeof(rq_fsyncs));
	XLogFlush(wal_upto == InvalidXLogRecPtr ? wal_end() : wal_upto);
	INSTR_TIME_SET_CURRENT(d.flushed);
	synced_bytes = h->length;
	settled = sync_log();
	d.log_files = rq_fsyncs.files;
	sync_queues();
	d.queue_files = rq_fsyncs.files - d.log_files;
	INSTR_TIME_SET_CURRENT(d.fsynced);
	RQ_FAULT("keeper-fsynced");
	rq_writer_replace(w, h);
	rq_ctl->synced_log = settled;
	rq_ctl->redo_changed = false;
	has_synced = true;
	rq_count(RQ_STAT_SYNCS, 1);
	tell_sync(&d, wal_upto == InvalidXLogRecPtr ? GetRedoRecPtr() : wal_upto);
}

bool
rq_state_sync(XLogRecPtr wal_upto)
{
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext,
											  "rocketq sync",
											  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(cxt);
	RqStateHeader h;
	RqWriter   *w;
	volatile bool changed = false;

	allocate_synced();
	to_sync = NULL;
	nto_sync = max_to_sync = 0;
	w = rq_writer_begin(RQ_STATE_FILE, sizeof(h));
	PG_TRY();
	{
		copy_state(w, &h, wal_upto);
		RQ_FAULT("keeper-copied");
		changed = has_changed(w, &h);
		if (changed)
			bring_to_disk(w, &h, wal_upto);
	}
	PG_FINALLY();
	{
		rq_writer_end(w);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(old);
	MemoryContextDelete(cxt);
	return changed;
}

/* The log below "end" has been there for a while. */
static void
sync_log_early(RqPos end)
{
	static RqPos flushed = 0;	/* writing back has begun below this */
	RqPos		full = rq_log_segment_start(rq_log_segno(end));
	RqPos		from = Max(rq_ctl->synced_log, pg_atomic_read_u64(&rq_ctl->log_start));

	Assert(end <= pg_atomic_read_u64(&rq_ctl->log_end));

	/* The page that it ends in is still being written. */
	end -= end % BLCKSZ;
	rq_log_flush(Max(flushed, from), end);
	flushed = Max(flushed, end);
	rq_log_sync(from, full);
	rq_ctl->synced_log = Max(rq_ctl->synced_log, full);
}

void
rq_state_sync_early(void)
{
	static RqPos seen = 0;		/* it was complete up to here */
	static TimestampTz seen_at = 0;
	TimestampTz now = GetCurrentTimestamp();

	if (rq_flush_delay_ms < 0 ||
		!TimestampDifferenceExceeds(seen_at, now, rq_flush_delay_ms))
		return;
	sync_log_early(seen);
	seen = rq_log_settled_end();
	seen_at = now;
}

uint64
rq_state_synced_bytes(void)
{
	return synced_bytes;
}

void
rq_state_assume_synced(void)
{
	allocate_synced();
	if (!rq_ctl->tidied)
		rq_ctl->synced_log = rq_log_settled_end();
	LWLockAcquire(rq_meta_lock, LW_SHARED);
	for (int t = 0; t < rq_max_topics; t++)
		for (uint32 i = 0; i < rq_topic_nslots(t); i++)
		{
			RqQueue    *q = rq_topic_queue(t, i);
			SyncedQueue *done = &synced_queues[q - rq_queues];

			/* Flags may have been set since; what is logged is on disk. */
			LWLockAcquire(&q->lock, LW_SHARED);
			*done = queue_now(t, q);
			done->stable = q->logged_stable;
			LWLockRelease(&q->lock);
		}
	LWLockRelease(rq_meta_lock);
}
