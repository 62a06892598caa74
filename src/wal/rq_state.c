/*
 * rq_state.c
 *	  Copy what has changed of the store's state, and bring files to disk.
 *
 * Given a redo pointer, what must be on disk in our files before PostgreSQL
 * may forget the WAL below it, and in which order does it get there?
 *
 * The copy is taken slot by slot, each under the lock that its changes and
 * their WAL records are made under.  So a copy taken after the redo pointer
 * moved holds every change logged below it.  It may hold later ones as well:
 * each slot carries the LSN of its last record, and redo skips what a slot
 * has.  Since a copy can hold changes whose WAL is not on disk yet, it may
 * count only after that WAL has been flushed.
 *
 * Only slots that have changed are copied (shmem/rq_bits.h), most of them while
 * others go on: topics and groups may come and go then.  What they have changed
 * meanwhile is copied again, in the end under one hold of the meta lock, so that
 * the copy knows every topic and group up to one LSN.
 *
 * Two processes call rq_state_sync(), never at the same time: the startup
 * process during recovery, the keeper after it.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "miscadmin.h"
#include "port/pg_bitutils.h"
#include "port/pg_crc32c.h"
#include "portability/instr_time.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/rq_fault.h"
#include "base/rq_guc.h"
#include "extent/rq_extlist.h"
#include "extent/rq_extmem.h"
#include "log/rq_log.h"
#include "queue/rq_tablestate.h"
#include "shmem/rq_bits.h"
#include "shmem/rq_shmem.h"
#include "shmem/rq_stats.h"
#include "store/rq_durable.h"
#include "topic/rq_tables.h"
#include "wal/rq_state.h"
#include "wal/rq_stateimage.h"

RqStore    *rq_store = NULL;

/* So many slots are few enough to be copied under one hold of the meta lock. */
#define REST			512

#define PASSES_MAX		5

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

/* ---- check that changes are marked ---- */

#ifdef USE_ASSERT_CHECKING

/* Checksums of slots as they were copied by this process, 0 = not yet. */
static uint32 *copied[RQ_SLOT_KINDS];

static uint32
sum_of(RqSlotKind kind, uint32 slot)
{
	RqStateSlot copy;
	pg_crc32c	crc;

	if (!rq_table_copy(kind, slot, &copy))
		return 1;
	INIT_CRC32C(crc);
	COMP_CRC32C(crc, &copy, rq_state_slot_size(kind));
	FIN_CRC32C(crc);
	return Max(crc, 2);
}

/* What is noted can be a little later than what was copied. */
static void
note_copied(RqSlotKind kind, uint32 slot)
{
	if (copied[kind] != NULL)
		copied[kind][slot] = 0;
}

/*
 * Whatever has no bit is still what was copied last: else whoever changed it
 * has not set the bit.  Looking at the bit comes last, since it is set before
 * the slot's lock is released.
 */
static void
check_others(void)
{
	for (RqSlotKind kind = 0; kind < RQ_SLOT_KINDS; kind++)
	{
		if (copied[kind] == NULL)
			copied[kind] = MemoryContextAllocExtended(TopMemoryContext,
													  (rq_changed[kind].nslots + 1) * sizeof(uint32),
													  MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
		for (uint32 i = 0; i < rq_table_begun(kind); i++)
		{
			uint32		sum = sum_of(kind, i);

			if (rq_bits_get(&rq_changed[kind], i))
				copied[kind][i] = 0;
			else if (copied[kind][i] == 0)
				copied[kind][i] = sum;
			else if (copied[kind][i] != sum && !rq_bits_get(&rq_changed[kind], i))
				elog(PANIC, "slot %u of kind %d has changed unnoticed", i, kind);
		}
	}
}
#else
static inline void
note_copied(RqSlotKind kind, uint32 slot)
{
}

static inline void
check_others(void)
{
}
#endif

/* ---- what a sync takes ---- */

typedef struct Sync
{
	RqStateWriter *w;
	bool		image;
	uint64	   *taken[RQ_SLOT_KINDS];	/* bits, to be set again if it fails */
	RqStateGap *gaps;
	uint32		ngaps;
	RqStateBatch numbers;
} Sync;

static void
take_memory(Sync *s)
{
	for (int kind = 0; kind < RQ_SLOT_KINDS; kind++)
		s->taken[kind] = palloc_extended((rq_changed[kind].nwords + 1) * sizeof(uint64),
										 MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	s->gaps = palloc(rq_log_gaps_max() * sizeof(RqStateGap));
}

static void
give_back_bits(const Sync *s)
{
	for (int kind = 0; kind < RQ_SLOT_KINDS; kind++)
		for (uint32 i = 0; i < rq_changed[kind].nwords; i++)
			rq_bits_restore(&rq_changed[kind], i, s->taken[kind][i]);
}

/* ---- copy ---- */

static void
copy_slot(Sync *s, RqSlotKind kind, uint32 slot)
{
	RqStateSlot copy;
	bool		used = rq_table_copy(kind, slot, &copy);

	rq_state_write_add(s->w, kind, slot, used ? &copy : NULL);
	note_copied(kind, slot);
}

/* The meta lock is held, and there is room for all slots of a word. */
static void
copy_word(Sync *s, RqSlotKind kind, uint32 word)
{
	uint64		bits = rq_bits_take(&rq_changed[kind], word);

	s->taken[kind][word] |= bits;
	if (!s->image)
		rq_state_image_miss(kind, word, bits);
	for (; bits != 0; bits &= bits - 1)
		copy_slot(s, kind, word * RQ_BITS_WORD + pg_rightmost_one_pos64(bits));
}

/*
 * Copy what has changed, under many short holds of the meta lock: topics and
 * groups can come and go meanwhile.
 */
static void
copy_in_parts(Sync *s)
{
	for (RqSlotKind kind = 0; kind < RQ_SLOT_KINDS; kind++)
		for (uint32 i = 0; i < rq_changed[kind].nwords; i++)
		{
			if (pg_atomic_read_u64(&rq_changed[kind].words[i]) == 0)
				continue;
			rq_state_write_room(s->w, RQ_BITS_WORD);
			rq_meta_lock_again();
			copy_word(s, kind, i);
			LWLockRelease(rq_meta_lock);
		}
}

/*
 * Copy what has changed, and again what has changed meanwhile, until one hold of the lock will do for the rest: that is what
 * others change during the last pass, however large the store is.  Passes become
 * shorter, unless others change as much as we copy, and then there are enough.
 */
static void
copy_most(Sync *s)
{
	uint64		before = 0;

	for (int pass = 0; pass < PASSES_MAX; pass++)
	{
		copy_in_parts(s);
		if (rq_state_write_count(s->w) - before <= REST)
			break;
		before = rq_state_write_count(s->w);
	}
}

/*
 * Copy the rest under one hold.  There is room for it, so as a rule nothing is
 * written to the file meanwhile.
 */
static void
copy_rest(Sync *s)
{
	RQ_ASSERT_META_LOCK(LW_SHARED);
	for (RqSlotKind kind = 0; kind < RQ_SLOT_KINDS; kind++)
		for (uint32 i = 0; i < rq_changed[kind].nwords; i++)
		{
			if (pg_atomic_read_u64(&rq_changed[kind].words[i]) == 0)
				continue;
			rq_state_write_room(s->w, RQ_BITS_WORD);
			copy_word(s, kind, i);
		}
	check_others();
}

/*
 * The log's end is read first and the reservations in flight last.  One that
 * was made before the end was read either is still seen, and becomes a gap, or
 * has been logged by then, and bring_to_disk() flushes its record.  One that
 * was made later begins at or after that end, and copy_inflight() leaves it
 * out.
 */
static void
copy_state(Sync *s, XLogRecPtr wal_upto)
{
	RqStateBatch *n = &s->numbers;

	copy_most(s);
	RQ_FAULT("keeper-copying");
	rq_state_write_room(s->w, REST);
	n->log_end = pg_atomic_read_u64(&rq_log->end);

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
	n->upto = wal_upto != InvalidXLogRecPtr ? wal_upto : GetXLogInsertRecPtr();
	n->meta_lsn = Max(rq_tables->meta_lsn, n->upto);
	n->log_start = pg_atomic_read_u64(&rq_log->start);
	n->next_group_id = rq_tables->next_group_id;
	copy_rest(s);
	rq_extents_numbers(&n->extent_seq, &n->extent_chunks);
	s->ngaps = rq_log_gaps_copy(s->gaps, n->log_end);
	LWLockRelease(rq_meta_lock);
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
state_differs(const Sync *s)
{
	return !has_synced || rq_store->redo_changed ||
		s->ngaps > 0 || synced_gaps > 0 ||
		rq_state_write_count(s->w) > 0 ||
		s->numbers.log_start != synced_numbers.log_start ||
		s->numbers.log_end != synced_numbers.log_end ||
		s->numbers.next_group_id != synced_numbers.next_group_id;
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
bring_to_disk(Sync *s, XLogRecPtr wal_upto, bool changed)
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
	rq_state_write_gaps(s->w, s->gaps, s->ngaps);
	d.state_bytes = rq_state_write_finish(s->w, &s->numbers);
	synced_bytes += d.state_bytes;
	synced_numbers = s->numbers;
	synced_gaps = s->ngaps;
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
 * Add to the file, or finish an image that is complete.  Without a file, complete
 * one now.  In recovery nobody waits for a sync but recovery itself, and there is
 * nobody who could write an image between syncs.
 */
static void
choose_file(Sync *s, bool recovery)
{
	RqStateHeader header = header_of_file();

	if (rq_state_file_is_gone(&rq_store->file) ||
		(recovery && rq_state_file_is_long(&rq_store->file)))
		rq_state_image_complete(&rq_store->file, &header);
	s->image = rq_state_image_is_complete();
	s->w = s->image ? rq_state_image_take() :
		rq_state_write_begin(&rq_store->file, false, &header);
}

static void
give_back_file(const Sync *s)
{
	if (s->image)
		rq_state_image_give_up();
	else
		rq_state_write_close(s->w);
}

/*
 * All but the memory and the file, which the caller takes and gives back.
 *
 * What queues have given back before anything is copied, the copy does not name
 * any more, and so can be taken again once that is on disk.
 */
static bool
sync_with(Sync *s, XLogRecPtr wal_upto)
{
	bool		changed;

	rq_extent_sync_begin();
	copy_state(s, wal_upto);
	RQ_FAULT("keeper-copied");
	changed = state_differs(s);
	bring_to_disk(s, wal_upto, changed);
	rq_extent_sync_done();
	return changed;
}

bool
rq_state_sync(XLogRecPtr wal_upto, bool final)
{
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext,
											  "rocketq sync",
											  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(cxt);
	Sync		s = {.numbers = {.flags = final ? RQ_STATE_FINAL : 0}};
	volatile bool done = false;
	volatile bool changed = false;

	take_memory(&s);
	choose_file(&s, wal_upto != InvalidXLogRecPtr);
	PG_TRY();
	{
		changed = sync_with(&s, wal_upto);
		done = true;
	}
	PG_FINALLY();
	{
		if (!done)
			give_back_bits(&s);
		give_back_file(&s);
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
