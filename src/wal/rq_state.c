/*
 * rq_state.c
 *	  Copy the store's state to the state file, and bring files to disk.
 *
 * Given a redo pointer, what must be on disk in our files before PostgreSQL
 * may forget the WAL below it, and in which order does it get there?
 *
 * The copy is taken slot by slot, each under the lock that its changes and
 * their WAL records are made under.  So a copy taken after the redo pointer
 * moved holds every change logged below it.  It may hold later ones as well:
 * each slot carries the LSN of its last record, and redo skips what a slot
 * has.  Since a copy can hold changes whose WAL is not on disk yet, it may
 * replace the state file only after that WAL has been flushed.
 *
 * The meta lock is held during the whole copy, so that it knows every topic
 * and group up to one LSN.  A state that is larger than the writer's buffer
 * (some ten thousand queues) passes through the file system under that lock;
 * for that long topics and groups cannot be created or dropped.
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
#include "format/rq_statefmt.h"
#include "log/rq_log.h"
#include "queue/rq_queuesync.h"
#include "shmem/rq_stats.h"
#include "store/rq_durable.h"
#include "store/rq_stream.h"
#include "topic/rq_tables.h"
#include "wal/rq_state.h"

RqStore    *rq_store = NULL;

static uint64 synced_bytes = 0;
static bool has_synced = false; /* this process */

/* ---- shared memory ---- */

const RqPart rq_store_part = {
	.name = "store",
	.item_size = sizeof(RqStore),
	.table = (void **) &rq_store
};

/* ---- copy ---- */

/*
 * Add all sections to the writer, and fill in the header.
 *
 * The log's end is read first and the reservations in flight last.  One that
 * was made before the end was read either is still seen, and becomes a gap, or
 * has been logged by then, and bring_to_disk() flushes its record.  One that
 * was made later begins at or after that end, and copy_inflight() leaves it
 * out.
 */
static void
copy_state(RqWriter *w, RqStateHeader *h, XLogRecPtr wal_upto)
{
	memset(h, 0, sizeof(*h));
	h->segment_mb = rq_log->segment_mb;
	h->flags = rq_store->made_by_upgrade ? RQ_STATE_UPGRADE : 0;
	h->log_end = pg_atomic_read_u64(&rq_log->end);

	/*
	 * The end is read before the reservations.  Pairs with the second write
	 * barrier of take_place() in log/rq_reserve.c, where the reservation is
	 * written before the end: whatever is reserved below this end is seen
	 * when the gaps are copied.
	 */
	pg_read_barrier();

	/*
	 * Topics and groups are created, dropped and logged under this lock held
	 * exclusively, so at the insert position read here the copy knows all of
	 * them.  Early in recovery the state that was loaded can know of more
	 * than has been replayed.
	 */
	LWLockAcquire(rq_meta_lock, LW_SHARED);
	h->meta_lsn = Max(rq_tables->meta_lsn, wal_upto != InvalidXLogRecPtr ?
					  wal_upto : GetXLogInsertRecPtr());
	h->log_start = pg_atomic_read_u64(&rq_log->start);
	h->next_group_id = rq_tables->next_group_id;
	rq_parts_copy(w, h);
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

/* Report a sync that has just ended if log_checkpoints is on or it was slow. */
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

/*
 * fsync what the log has gained since the last sync, and whatever redo has
 * written again.  Returns how far it is complete on disk.
 *
 * That must be determined before the fsync: what is stored after it, below the
 * log's end but in a reservation still in flight, has to be synced again.
 */
static RqPos
sync_log(void)
{
	RqPos		settled = rq_log_complete_end();
	RqPos		from = Max(Min(rq_store->synced_log, rq_log->redo_dirty),
						   pg_atomic_read_u64(&rq_log->start));
	RqPos		to = pg_atomic_read_u64(&rq_log->end);

	Assert(settled <= to);
	rq_log_sync(from, to);
	synced_bytes += to - Min(from, to);
	rq_log->redo_dirty = RQ_INVALID_POS;
	return settled;
}

/*
 * Does the state differ from the one on disk?  If it does not, nothing has
 * been logged since then, so no file holds anything that needs a sync either.
 *
 * With a reservation in flight the answer is always yes: its bytes may have
 * been stored and logged since the last sync, and the state lists the same
 * gap.  It is also yes when redo has written anything, since that may have
 * been bytes of frames and entries only, and at this process's first sync.
 */
static bool
state_differs(RqWriter *w, const RqStateHeader *h)
{
	RqStateHeader old;

	if (!has_synced || rq_store->redo_changed || rq_state_count(h, RQ_STATE_GAPS) > 0 ||
		!rq_writer_same(w, &old))
		return true;

	/* The LSN moves with anybody's WAL, and the checksum with it. */
	old.crc = h->crc;
	old.meta_lsn = h->meta_lsn;
	return memcmp(&old, h, sizeof(old)) != 0;
}

/*
 * The end of WAL so far, as a position that can be flushed.  When the last
 * record ends exactly at a page boundary, the insert position is already past
 * the header of the next page, and XLogFlush() would complain that nothing has
 * been written up to there.
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

/*
 * Bring to disk what the copy relies on, and then the copy:
 *
 *		1. WAL		the copy may hold changes of records not yet flushed;
 *					after a crash the state must not be ahead of WAL
 *		2. files	the ends in the copy promise frames and entries, and redo
 *					from the new redo pointer on does not write them again
 *		3. state	replaces the old one atomically
 *
 * A crash before 3 leaves the old state, and recovery starts at a redo pointer
 * that it fits: whoever calls this keeps the new checkpoint or restartpoint
 * from completing until it returns.  After an error the next call does what is
 * left.
 */
static void
bring_to_disk(RqWriter *w, const RqStateHeader *h, XLogRecPtr wal_upto)
{
	Detail		d = {.state_bytes = h->length};
	RqPos		settled;

	INSTR_TIME_SET_CURRENT(d.begun);
	memset(&rq_fsyncs, 0, sizeof(rq_fsyncs));

	/* 1. In archive recovery this moves the minimum recovery point. */
	XLogFlush(wal_upto == InvalidXLogRecPtr ? wal_end() : wal_upto);
	INSTR_TIME_SET_CURRENT(d.flushed);
	synced_bytes = h->length;

	/* 2. */
	settled = sync_log();
	d.log_files = rq_fsyncs.files;
	synced_bytes += rq_queue_sync_noted();
	d.queue_files = rq_fsyncs.files - d.log_files;
	INSTR_TIME_SET_CURRENT(d.fsynced);
	RQ_FAULT("keeper-fsynced");

	/* 3. */
	rq_writer_replace(w, h);
	rq_store->synced_log = settled;
	rq_store->redo_changed = false;
	has_synced = true;
	rq_count(RQ_STAT_SYNCS, 1);
	tell_sync(&d, wal_upto == InvalidXLogRecPtr ? GetRedoRecPtr() : wal_upto);
}

/*
 * Copying a queue notes which of its files have to be synced, under the
 * queue's lock, so what is synced later includes all that the copy says is
 * there.
 */
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

	rq_queue_sync_begin();
	w = rq_writer_begin(RQ_STATE_FILE, sizeof(h));
	PG_TRY();
	{
		copy_state(w, &h, wal_upto);
		RQ_FAULT("keeper-copied");
		changed = state_differs(w, &h);
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

/*
 * Bring the log to disk up to "end", which was complete a while ago: begin to
 * write back all of it, and wait only for segments that are full, since they
 * will not change any more.
 */
static void
sync_log_early(RqPos end)
{
	static RqPos flushed = 0;	/* writing back has begun below this */
	RqPos		full = rq_log_segment_start(rq_log_segno(end));
	RqPos		from = Max(rq_store->synced_log, pg_atomic_read_u64(&rq_log->start));

	Assert(end <= pg_atomic_read_u64(&rq_log->end));

	/* Producers still write to the page that it ends in. */
	end -= end % BLCKSZ;
	rq_log_flush(Max(flushed, from), end);
	flushed = Max(flushed, end);
	rq_log_sync(from, full);
	rq_store->synced_log = Max(rq_store->synced_log, full);
}

/*
 * Each round handles what was complete at the previous one, so nothing is
 * written back before it has been there for rocketq.flush_delay.
 */
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
	seen = rq_log_complete_end();
	seen_at = now;
}

uint64
rq_state_synced_bytes(void)
{
	return synced_bytes;
}

/*
 * What a keeper's successor finds in synced_log is what the earlier one noted;
 * statements may have written to the log after that one's last sync (see
 * rq_gate_enter_again()), so the end of the log would be too much.
 */
void
rq_state_assume_synced(void)
{
	if (!rq_store->tidied)
		rq_store->synced_log = rq_log_complete_end();
	rq_queue_sync_assume();
}
