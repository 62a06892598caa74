/*
 * rq_state.c
 *	  Bring the store to disk: a sync.
 *
 * Given a redo pointer, what must be on disk in our files before PostgreSQL
 * may forget the WAL below it, and in which order does it get there?
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
#include "extent/rq_extlist.h"
#include "extent/rq_extmem.h"
#include "log/rq_log.h"
#include "shmem/rq_shmem.h"
#include "shmem/rq_stats.h"
#include "store/rq_durable.h"
#include "topic/rq_tables.h"
#include "wal/rq_state.h"
#include "wal/rq_statecopy.h"
#include "wal/rq_stateimage.h"

RqStore    *rq_store = NULL;

static uint64 synced_bytes = 0;
static RqStateBatch synced_numbers; /* of this process's last sync */
static uint32 synced_gaps;
static bool has_synced = false; /* this process */

/* ---- shared memory ---- */

const RqPart rq_store_part = {
	.name = "store",
	.item_size = sizeof(RqStore),
	.table = (void **) &rq_store
};

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
			(errmsg("%s: " UINT64_FORMAT " log segments, " UINT64_FORMAT " queue files, state of " UINT64_FORMAT " bytes; "
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
 * With a reservation in flight, now or at the last sync, the answer is always
 * yes: its bytes may have been stored and logged since, with nothing else in
 * the state to show it.  It is also yes when redo has written anything, since that may have
 * been bytes of frames and entries only, and at this process's first sync.
 */
static bool
state_differs(const RqStateCopy *c)
{
	return !has_synced || rq_store->redo_changed ||
		c->ngaps > 0 || synced_gaps > 0 ||
		rq_state_write_count(c->w) > 0 ||
		c->numbers.log_start != synced_numbers.log_start ||
		c->numbers.log_end != synced_numbers.log_end ||
		c->numbers.next_group_id != synced_numbers.next_group_id;
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
 *		3. state	the batch that makes the copy count
 *
 * A crash before 3 leaves the old state, and recovery starts at a redo pointer
 * that it fits: whoever calls this keeps the new checkpoint or restartpoint
 * from completing until it returns.  After an error the next call does what is
 * left.
 *
 * If nothing has changed, no file is synced.  The batch is written all the
 * same, to say that: a state file that ends before the redo pointer has lost its
 * end.
 */
static void
bring_to_disk(RqStateCopy *c, XLogRecPtr wal_upto, bool changed)
{
	Detail		d = {0};

	INSTR_TIME_SET_CURRENT(d.begun);
	memset(&rq_fsyncs, 0, sizeof(rq_fsyncs));

	/* 1. In archive recovery this moves the minimum recovery point. */
	XLogFlush(wal_upto == InvalidXLogRecPtr ? wal_end() : wal_upto);
	INSTR_TIME_SET_CURRENT(d.flushed);

	/* 2. */
	synced_bytes = 0;
	if (changed)
	{
		RqPos		settled = sync_log();

		d.log_files = rq_fsyncs.files;
		d.queue_files = rq_area_sync(&rq_extents->marks);
		rq_store->synced_log = settled;
	}
	INSTR_TIME_SET_CURRENT(d.fsynced);
	RQ_FAULT("keeper-fsynced");

	/* 3. */
	rq_state_write_gaps(c->w, c->gaps, c->ngaps);
	d.state_bytes = rq_state_write_finish(c->w, &c->numbers);
	synced_bytes += d.state_bytes;
	synced_numbers = c->numbers;
	synced_gaps = c->ngaps;
	rq_store->redo_changed = false;
	has_synced = true;
	if (!changed)
		return;
	rq_count(RQ_STAT_SYNCS, 1);
	tell_sync(&d, wal_upto == InvalidXLogRecPtr ? GetRedoRecPtr() : wal_upto);
}

static RqStateHeader
header_of_file(void)
{
	return (RqStateHeader)
	{
		.segment_mb = rq_log->segment_mb, .store = rq_extents->store,
			.flags = rq_store->made_by_upgrade ? RQ_STATE_UPGRADE : 0
	};
}

void
rq_state_image_round(void)
{
	RqStateHeader header = header_of_file();

	rq_state_image_go_on(&rq_store->file, &header);
}

/*
 * Must the file be replaced, even if that takes long?  In recovery nobody waits
 * for a sync but recovery itself, and there is nobody who could write an image
 * between syncs.
 *
 * A final sync is to be the last of its file: if the file lost what comes after
 * it, that would not be missed.  A quick sync comes after one all the same, and
 * the image is written soon.
 */
static bool
must_be_replaced(const RqStateFile *f, bool recovery, RqSyncKind kind)
{
	return rq_state_file_is_gone(f) ||
		(recovery && rq_state_file_is_long(f)) ||
		(f->has_final && kind != RQ_SYNC_QUICK);
}

/*
 * On a disk that is full there may be no room for another file, but for some bytes
 * more of this one; and a server that can start is worth more than that the loss
 * of a file's end is noticed.
 */
static void
replace_file(RqStateFile *f, const RqStateHeader *header)
{
	MemoryContext cxt = CurrentMemoryContext;

	PG_TRY();
	{
		rq_state_image_complete(f, header);
	}
	PG_CATCH();
	{
		if (geterrcode() != ERRCODE_DISK_FULL || rq_state_file_is_gone(f))
			PG_RE_THROW();
		MemoryContextSwitchTo(cxt);
		FlushErrorState();
	}
	PG_END_TRY();
}

bool
rq_state_image_comes_first(void)
{
	const RqStateFile *f = &rq_store->file;

	return (f->length == 0 || f->has_final) && !rq_state_image_is_complete() &&
		rq_state_image_may_begin();
}

/* Add to the file, or finish an image that is complete, or to be completed now. */
static void
choose_file(RqStateCopy *c, bool recovery, RqSyncKind kind)
{
	RqStateHeader header = header_of_file();

	if (must_be_replaced(&rq_store->file, recovery, kind) &&
		(!rq_state_image_lacks_room() || rq_state_file_is_gone(&rq_store->file)))
		replace_file(&rq_store->file, &header);
	c->image = rq_state_image_is_complete();
	c->w = c->image ? rq_state_image_take() :
		rq_state_write_begin(&rq_store->file, false, &header);
}

static void
give_back_file(const RqStateCopy *c)
{
	if (c->image)
		rq_state_image_give_up();
	else
		rq_state_write_close(c->w);
}

/*
 * All but the memory and the file, which the caller takes and gives back.
 *
 * The disk works on area files while the state is copied: with many queues both
 * take long, and most of what the files have is there already.
 *
 * What queues have given back before anything is copied, the copy does not name
 * any more, and so can be taken again once that is on disk.
 */
static bool
sync_with(RqStateCopy *c, XLogRecPtr wal_upto)
{
	bool		changed;

	rq_extent_sync_begin();
	rq_area_flush(&rq_extents->marks);
	rq_state_copy(c, wal_upto);
	RQ_FAULT("keeper-copied");
	changed = state_differs(c);
	bring_to_disk(c, wal_upto, changed);
	rq_extent_sync_done();
	return changed;
}

bool
rq_state_sync(XLogRecPtr wal_upto, RqSyncKind kind)
{
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext,
											  "rocketq sync",
											  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(cxt);
	RqStateCopy c = {.numbers = {.flags = kind == RQ_SYNC_FINAL ? RQ_STATE_FINAL : 0}};
	volatile bool done = false;
	volatile bool changed = false;

	rq_state_copy_begin(&c);
	choose_file(&c, wal_upto != InvalidXLogRecPtr, kind);
	PG_TRY();
	{
		changed = sync_with(&c, wal_upto);
		done = true;
	}
	PG_FINALLY();
	{
		if (!done)
			rq_state_copy_undo(&c);
		give_back_file(&c);
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
}
