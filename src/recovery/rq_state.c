/*
 * rq_state.c
 *	  The store's state between shared memory and the state file, and syncing
 *	  files to disk.
 *
 * The copy is taken slot by slot, each under the lock that its changes and
 * their WAL records are made under.  So a copy taken after the redo pointer
 * moved holds every change logged below it, and the page-LSN rule in redo does
 * the rest.  What a copy holds may go to disk only after its WAL.
 *
 * Two processes call rq_state_sync(), never at the same time: the startup
 * process during recovery, the keeper after it.
 */
#include "postgres.h"

#include <unistd.h>

#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/rq_fault.h"
#include "base/rq_guc.h"
#include "format/rq_segfmt.h"
#include "format/rq_statefmt.h"
#include "log/rq_log.h"
#include "queue/rq_cqueue.h"
#include "queue/rq_group.h"
#include "queue/rq_topic.h"
#include "recovery/rq_state.h"
#include "shmem/rq_stats.h"
#include "store/rq_durable.h"

/* How far a queue's files are on disk; see sync_queue(). */
typedef struct SyncedQueue
{
	uint64		incarnation;
	RqOff		stable;
	RqOff		end;
} SyncedQueue;

static SyncedQueue *synced_queues = NULL;
static char *last_state = NULL; /* the last state file, to see a change */
static uint64 last_state_len = 0;
static uint64 synced_bytes = 0;

/* ---- copy ---- */

static void
copy_gap(StringInfo buf, RqPos start, RqPos end)
{
	RqStateGap	g = {.start = start, .end = end};

	appendBinaryStringInfo(buf, (char *) &g, sizeof(g));
}

/* Reservations that are not WAL-logged yet, below "log_end". */
static uint32
copy_inflight(StringInfo buf, RqPos log_end)
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
		copy_gap(buf, start, end);
		n++;
	}
	return n;
}

static void
copy_queue(StringInfo buf, RqQueue *q)
{
	RqStateQueue s;

	LWLockAcquire(&q->lock, LW_SHARED);
	s.start = pg_atomic_read_u64(&q->start);
	s.stable = q->logged_stable;
	s.end = pg_atomic_read_u64(&q->end);
	s.last_time = q->last_time;
	s.lsn = q->lsn;
	s.born = q->born;
	s.bytes_start = q->bytes_start;
	s.bytes_end = q->bytes_end;
	LWLockRelease(&q->lock);
	appendBinaryStringInfo(buf, (char *) &s, sizeof(s));
}

static void
copy_group(StringInfo buf, uint32 group)
{
	RqGroup    *g = &rq_groups[group];
	RqStateGroup s = {.id = g->id, .nqueues = g->offsets.n,
		.pend_xid = g->pend_xid, .pend_op = g->pend_op,
	.name_len = strlen(g->name), .created_at = g->created_at};

	memcpy(s.name, g->name, s.name_len);
	appendBinaryStringInfo(buf, (char *) &s, sizeof(s));
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
		appendBinaryStringInfo(buf, (char *) &so, sizeof(so));
	}
}

static void
copy_topic(StringInfo buf, uint32 topic)
{
	RqTopic    *t = &rq_topics[topic];
	RqStateTopic s = {.key = rq_topic_key(topic), .spc = t->spc,
		.nqueues = t->base_queues, .resize_to = t->resize_to,
		.nslots = t->queues.n, .retention_s = t->retention_s,
		.retention_to = t->retention_to,
		.pend_xid = t->pend_xid, .resize_xid = t->resize_xid,
	.lsn = t->lsn, .resize_lsn = t->resize_lsn};

	for (uint32 g = t->first_group; g != RQ_NO_SLOT; g = rq_groups[g].next)
		s.ngroups++;
	appendBinaryStringInfo(buf, (char *) &s, sizeof(s));
	for (uint32 i = 0; i < t->queues.n; i++)
		copy_queue(buf, rq_topic_queue(topic, i));
	for (uint32 g = t->first_group; g != RQ_NO_SLOT; g = rq_groups[g].next)
		copy_group(buf, g);
}

static void
copy_state(StringInfo buf, XLogRecPtr wal_upto)
{
	RqStateHeader h = {.segment_mb = rq_ctl->segment_mb};

	enlargeStringInfo(buf, sizeof(h));
	appendBinaryStringInfo(buf, (char *) &h, sizeof(h));

	h.log_end = pg_atomic_read_u64(&rq_ctl->log_end);
	pg_read_barrier();
	h.ngaps = copy_inflight(buf, h.log_end);
	for (uint32 i = 0; i < rq_ctl->ngaps; i++)
		copy_gap(buf, rq_gaps[i].start, rq_gaps[i].end);
	h.ngaps += rq_ctl->ngaps;

	/* Who creates something logs it under this lock. */
	LWLockAcquire(rq_meta_lock, LW_SHARED);
	h.meta_lsn = wal_upto != InvalidXLogRecPtr ? wal_upto : GetXLogInsertRecPtr();
	h.log_start = pg_atomic_read_u64(&rq_ctl->log_start);
	h.next_group_id = rq_ctl->next_group_id;
	for (int t = 0; t < rq_max_topics; t++)
		if (pg_atomic_read_u64(&rq_topics[t].key) != 0)
		{
			copy_topic(buf, t);
			h.ntopics++;
		}
	LWLockRelease(rq_meta_lock);

	memcpy(buf->data, &h, sizeof(h));
	rq_state_seal(buf);
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

static SyncedQueue
queue_now(uint32 topic, RqQueue *q)
{
	SyncedQueue now = {.incarnation = rq_topics[topic].incarnation,
		.stable = pg_atomic_read_u64(&q->stable),
	.end = pg_atomic_read_u64(&q->end)};

	return now;
}

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

/*
 * Entries change in two places: new ones at the end, flags of aborted ones
 * between the stable offset and the end.  So whatever lies below the stable
 * offset of the last sync is on disk, unless redo has written it again.
 */
static bool
sync_queue(uint32 topic, RqQueue *q)
{
	SyncedQueue *done = &synced_queues[q - rq_queues];
	SyncedQueue now = queue_now(topic, q);
	RqOff		from;
	bool		any;

	if (done->incarnation != now.incarnation)
		memset(done, 0, sizeof(*done));
	else if (done->stable == now.stable && done->end == now.end &&
			 q->redo_dirty == RQ_INVALID_POS)
		return false;
	from = Max(Min(done->stable, q->redo_dirty),
			   pg_atomic_read_u64(&q->start));
	any = rq_queue_sync(rq_topic_key(topic), q->id, from, now.end);
	synced_bytes += (now.end - Min(from, now.end)) * sizeof(RqEntry);
	q->redo_dirty = RQ_INVALID_POS;
	*done = now;
	return any;
}

static void
sync_queues(void)
{
	bool		any = false;

	for (int t = 0; t < rq_max_topics; t++)
	{
		bool		any_here = false;
		char		path[MAXPGPATH];

		for (uint32 i = 0; i < rq_topic_nslots(t); i++)
			if (sync_queue(t, rq_topic_queue(t, i)))
				any_here = true;
		if (!any_here)
			continue;
		rq_topic_dir_path(path, rq_topic_key(t));
		rq_fsync_path(path, true);
		any = true;
	}
	if (any)
		rq_fsync_path(RQ_QUEUE_DIR, true);
}

static void
allocate_synced(void)
{
	if (synced_queues == NULL)
		synced_queues = MemoryContextAllocZero(TopMemoryContext,
											   rq_max_queues * sizeof(SyncedQueue));
}

/*
 * Does the state differ from the one that is on disk?  As long as something is
 * in flight it counts as different: some of that may be logged by now, which
 * the state does not tell.
 */
static bool
has_changed(StringInfo state)
{
	const RqStateHeader *last = (const RqStateHeader *) last_state;
	RqStateHeader header;

	if (rq_ctl->redo_changed || last == NULL || last_state_len != state->len)
		return true;
	memcpy(&header, state->data, sizeof(header));
	if (header.ngaps > 0)
		return true;

	/* These change without any change of ours. */
	header.crc = last->crc;
	header.meta_lsn = last->meta_lsn;
	return memcmp(&header, last, sizeof(header)) != 0 ||
		memcmp(state->data + sizeof(header), last_state + sizeof(header),
			   state->len - sizeof(header)) != 0;
}

static void
remember_state(StringInfo state)
{
	if (last_state != NULL)
		pfree(last_state);
	last_state = MemoryContextAllocHuge(TopMemoryContext, state->len);
	memcpy(last_state, state->data, state->len);
	last_state_len = state->len;
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

bool
rq_state_sync(XLogRecPtr wal_upto)
{
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext,
											  "rocketq sync",
											  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(cxt);
	StringInfoData buf;
	bool		changed;

	allocate_synced();
	initStringInfo(&buf);
	copy_state(&buf, wal_upto);
	changed = has_changed(&buf);
	if (changed)
	{
		RqPos		settled;
		Detail		d = {.state_bytes = buf.len};

		INSTR_TIME_SET_CURRENT(d.begun);
		memset(&rq_fsyncs, 0, sizeof(rq_fsyncs));
		XLogFlush(wal_upto == InvalidXLogRecPtr ? wal_end() : wal_upto);
		INSTR_TIME_SET_CURRENT(d.flushed);
		synced_bytes = buf.len;
		settled = sync_log();
		d.log_files = rq_fsyncs.files;
		sync_queues();
		d.queue_files = rq_fsyncs.files - d.log_files;
		INSTR_TIME_SET_CURRENT(d.fsynced);
		RQ_FAULT("keeper-fsynced");
		rq_replace_file(RQ_STATE_FILE, buf.data, buf.len);
		rq_ctl->synced_log = settled;
		rq_ctl->redo_changed = false;
		remember_state(&buf);
		rq_count(RQ_STAT_SYNCS, 1);
		tell_sync(&d, wal_upto == InvalidXLogRecPtr ? GetRedoRecPtr() : wal_upto);
	}
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
	for (int t = 0; t < rq_max_topics; t++)
		for (uint32 i = 0; i < rq_topic_nslots(t); i++)
		{
			RqQueue    *q = rq_topic_queue(t, i);
			SyncedQueue *done = &synced_queues[q - rq_queues];

			/* Flags may have been set since; what is logged is on disk. */
			*done = queue_now(t, q);
			done->stable = q->logged_stable;
		}
}

/* ---- load ---- */

StaticAssertDecl(RQ_PEND_DROP == RQ_STATE_PEND_OP_MAX, "on-disk layout");

static void
report_unreadable(const char *problem)
{
	ereport(FATAL,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("file \"%s\" is damaged", RQ_STATE_FILE),
			 errdetail("%s.", problem),
			 errhint("Restore the data directory from a backup.")));
}

/* What rq_state_check() has passed is there to be taken. */
static void
take(const char **at, const char *end, void *to, uint64 size)
{
	if (!rq_state_take(at, end, to, size))
		report_unreadable("it ends too early");
}

static void
load_queue(RqQueue *q, const char **at, const char *end)
{
	RqStateQueue s;

	take(at, end, &s, sizeof(s));
	pg_atomic_write_u64(&q->start, s.start);
	pg_atomic_write_u64(&q->stable, Max(s.start, s.stable));
	pg_atomic_write_u64(&q->end, s.end);
	q->logged_stable = Max(s.start, s.stable);
	q->last_time = s.last_time;
	q->lsn = s.lsn;
	q->born = s.born;
	q->bytes_start = s.bytes_start;
	q->bytes_end = s.bytes_end;
}

static void
load_offset(RqOffset *o, const char **at, const char *end)
{
	RqStateOffset s;

	take(at, end, &s, sizeof(s));
	o->committed = s.committed;
	o->pend_next = s.pend_next;
	o->pend_xid = s.pend_xid;
	o->saved_total = s.saved_total;
	o->saved_left = s.saved_left;
	o->logged = RQ_NOT_LOGGED;
	o->lsn = s.lsn;
}

static void
load_group(uint32 topic, const char **at, const char *end)
{
	RqStateGroup s;
	uint32		group;

	take(at, end, &s, sizeof(s));
	group = rq_group_apply(topic, s.id, s.name, s.name_len, s.nqueues, 0,
						   s.created_at);
	rq_groups[group].pend_op = s.pend_op;
	rq_groups[group].pend_xid = s.pend_xid;
	for (uint32 i = 0; i < s.nqueues; i++)
		load_offset(rq_group_offset(group, i), at, end);
}

static void
load_topic(const char **at, const char *end)
{
	RqStateTopic s;
	RqTopicSettings settings;
	xl_rq_topic rec;
	uint32		topic;

	take(at, end, &s, sizeof(s));
	if (rq_topic_index_find(s.key) != RQ_NO_SLOT)
		report_unreadable("a topic is in it twice");
	rec.nqueues = s.nqueues;
	rec.resize_to = s.resize_to;
	rec.resize_xid = s.resize_xid;
	rec.nslots = s.nslots;
	rec.retention_s = settings.retention_s = s.retention_s;
	rec.retention_to = s.retention_to;
	settings.nqueues = s.nqueues;
	topic = rq_topic_apply(s.key, s.spc, &settings, s.pend_xid, s.lsn);
	rq_topic_apply_resize(topic, &rec, s.resize_lsn);
	for (uint32 i = 0; i < s.nslots; i++)
		load_queue(rq_topic_queue(topic, i), at, end);
	for (uint32 i = 0; i < s.ngroups; i++)
		load_group(topic, at, end);
}

static void
load_gaps(uint32 ngaps, const char **at, const char *end)
{
	if (ngaps > rq_ctl->max_gaps)
		ereport(FATAL,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("too many unfinished appends in the rocketq commit log"),
				 errhint("Set max_connections to at least the value the store was used with.")));
	take(at, end, rq_gaps, ngaps * sizeof(RqStateGap));
	rq_ctl->ngaps = ngaps;
}

static void
load_all(const char *data, uint64 len)
{
	const char *at = data;
	const char *end = data + len;
	RqStateHeader h;

	take(&at, end, &h, sizeof(h));
	rq_set_segment_mb(h.segment_mb);
	pg_atomic_write_u64(&rq_ctl->log_start, h.log_start);
	pg_atomic_write_u64(&rq_ctl->log_end, h.log_end);
	rq_ctl->meta_lsn = h.meta_lsn;
	rq_ctl->next_group_id = h.next_group_id;
	load_gaps(h.ngaps, &at, end);
	for (uint32 i = 0; i < h.ntopics; i++)
		load_topic(&at, end);
}

const char *
rq_state_probe(void)
{
	uint64		len;
	char	   *data;

	if (access(RQ_STATE_FILE, F_OK) == 0 && access(RQ_STATE_FILE, R_OK) != 0)
		return "the state file cannot be read";
	data = rq_read_file(RQ_STATE_FILE, &len);
	return data == NULL ? "the state file is missing" : rq_state_check(data, len);
}

void
rq_state_load(void)
{
	uint64		len;
	char	   *data;
	const char *problem;

	rq_make_folders();
	rq_set_segment_mb(rq_segment_size_mb);
	data = rq_read_file(RQ_STATE_FILE, &len);
	if (data != NULL)
	{
		problem = rq_state_check(data, len);
		if (problem)
			report_unreadable(problem);
		LWLockAcquire(rq_meta_lock, LW_EXCLUSIVE);
		load_all(data, len);
		LWLockRelease(rq_meta_lock);
		pfree(data);
	}
	rq_ctl->loaded = true;
}
