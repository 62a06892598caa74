/*
 * rq_statecopy.c
 *	  Copy what has changed of the store's state.
 *
 * Given a store that others are using, how is its state copied as of one LSN,
 * without anybody waiting for long?
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
 */
#include "postgres.h"

#include "access/xlog.h"
#include "port/pg_bitutils.h"
#include "port/pg_crc32c.h"
#include "utils/memutils.h"

#include "base/rq_fault.h"
#include "extent/rq_extmem.h"
#include "log/rq_log.h"
#include "queue/rq_tablestate.h"
#include "shmem/rq_bits.h"
#include "shmem/rq_shmem.h"
#include "topic/rq_tables.h"
#include "wal/rq_statecopy.h"
#include "wal/rq_stateimage.h"

/* So many slots are few enough to be copied under one hold of the meta lock. */
#define REST			512

#define PASSES_MAX		5

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

void
rq_state_copy_begin(RqStateCopy *c)
{
	for (int kind = 0; kind < RQ_SLOT_KINDS; kind++)
		c->taken[kind] = palloc_extended((rq_changed[kind].nwords + 1) * sizeof(uint64),
										 MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	c->gaps = palloc(rq_log_gaps_max() * sizeof(RqStateGap));
}

void
rq_state_copy_undo(const RqStateCopy *c)
{
	for (int kind = 0; kind < RQ_SLOT_KINDS; kind++)
		for (uint32 i = 0; i < rq_changed[kind].nwords; i++)
			rq_bits_restore(&rq_changed[kind], i, c->taken[kind][i]);
}

/* ---- copy ---- */

static void
copy_slot(RqStateCopy *c, RqSlotKind kind, uint32 slot)
{
	RqStateSlot copy;
	bool		used = rq_table_copy(kind, slot, &copy);

	rq_state_write_add(c->w, kind, slot, used ? &copy : NULL);
	note_copied(kind, slot);
}

/*
 * The meta lock is held, and there is room for all slots of a word.  Returns how
 * many it had.
 */
static uint32
copy_word(RqStateCopy *c, RqSlotKind kind, uint32 word)
{
	uint64		taken = rq_bits_take(&rq_changed[kind], word);

	c->taken[kind][word] |= taken;
	if (!c->image)
		rq_state_image_miss(kind, word, taken);
	for (uint64 bits = taken; bits != 0; bits &= bits - 1)
		copy_slot(c, kind, word * RQ_BITS_WORD + pg_rightmost_one_pos64(bits));
	return (uint32) pg_popcount64(taken);
}

/*
 * Copy from this word on as much as one hold of the meta lock is for; returns
 * the word to go on with.
 */
static uint32
copy_hold(RqStateCopy *c, RqSlotKind kind, uint32 word)
{
	uint32		left = RQ_STATE_HOLD_SLOTS;

	rq_state_write_room(c->w, RQ_STATE_HOLD_SLOTS);
	rq_meta_lock_again();
	for (; word < rq_changed[kind].nwords && left >= RQ_BITS_WORD; word++)
		left -= copy_word(c, kind, word);
	LWLockRelease(rq_meta_lock);
	RQ_FAULT("state-copy-hold");
	return word;
}

/*
 * Copy what has changed, under many short holds of the meta lock: topics and
 * groups can come and go meanwhile.
 */
static void
copy_in_parts(RqStateCopy *c)
{
	for (RqSlotKind kind = 0; kind < RQ_SLOT_KINDS; kind++)
		for (uint32 i = 0; i < rq_changed[kind].nwords;)
			if (pg_atomic_read_u64(&rq_changed[kind].words[i]) == 0)
				i++;
			else
				i = copy_hold(c, kind, i);
}

/*
 * Copy what has changed, and again what has changed meanwhile, until one hold of
 * the lock will do for the rest: that is what others change during the last pass,
 * however large the store is.  Passes become shorter, unless others change as
 * much as we copy, and then there are enough.
 */
static void
copy_most(RqStateCopy *c)
{
	uint64		before = 0;

	for (int pass = 0; pass < PASSES_MAX; pass++)
	{
		copy_in_parts(c);
		if (rq_state_write_count(c->w) - before <= REST)
			break;
		before = rq_state_write_count(c->w);
	}
}

/*
 * Copy the rest under one hold.  There is room for it, so as a rule nothing is
 * written to the file meanwhile.
 */
static void
copy_rest(RqStateCopy *c)
{
	RQ_ASSERT_META_LOCK(LW_SHARED);
	for (RqSlotKind kind = 0; kind < RQ_SLOT_KINDS; kind++)
		for (uint32 i = 0; i < rq_changed[kind].nwords; i++)
		{
			if (pg_atomic_read_u64(&rq_changed[kind].words[i]) == 0)
				continue;
			rq_state_write_room(c->w, RQ_BITS_WORD);
			(void) copy_word(c, kind, i);
		}
	check_others();
}

/*
 * The log's end is read first and the reservations in flight last.  One that
 * was made before the end was read either is still seen, and becomes a gap, or
 * has been logged by then, and the sync flushes its record.  One that
 * was made later begins at or after that end, and copy_inflight() leaves it
 * out.
 */
void
rq_state_copy(RqStateCopy *c, XLogRecPtr wal_upto)
{
	RqStateBatch *n = &c->numbers;

	copy_most(c);
	RQ_FAULT("keeper-copying");
	rq_state_write_room(c->w, REST);
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
	copy_rest(c);
	rq_extents_numbers(&n->extent_seq, &n->extent_chunks);
	c->ngaps = rq_log_gaps_copy(c->gaps, n->log_end);
	LWLockRelease(rq_meta_lock);
}
