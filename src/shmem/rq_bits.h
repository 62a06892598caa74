/*
 * rq_bits.h
 *	  Which slots of the tables somebody has to look at.
 *
 * Workers do not walk tables of a million slots but go by these bits.  Setting
 * one that is set costs a read, so that it may be done with every change.
 *
 * Changed: since the slot was last copied to the state file.
 *
 *		who changes a slot				who copies it
 *		------------------				-------------
 *		takes the slot's lock			reads the redo pointer
 *		sets the bit					takes a word of bits (exchange with 0)
 *		inserts the WAL record			takes each slot's lock, and copies it
 *		changes the slot
 *		releases the lock
 *
 * The bit comes before the record.  So if the record lies below the redo
 * pointer, whoever has read that finds the bit, and waits for the lock until the
 * change is complete.  If the bit came after the record, the copier could pass
 * over a slot that is being changed, and its checkpoint would leave the change
 * behind.  A change that is not logged may set the bit at any time under the lock.
 *
 * The slot's lock is the meta lock held exclusively for topics and groups, and for
 * whom a queue or an offset belongs to; there the bit may come after the record,
 * since the copier looks at the bits once more with that lock held shared.
 *
 * Unsettled: something about a queue or an offset is still to be logged (see
 * rq_queue_unsettled() and rq_offset_unsettled() in topic/rq_tables.h).  These
 * are set and cleared under the slot's lock held exclusively, or while nobody
 * can use the slot; so under that lock they are exact.  Whoever sees one without
 * it looks again.
 *
 * Open: an offset is RQ_OFFSET_OPEN.  The same holds (rq_offset_becomes()).
 */
#ifndef RQ_BITS_H
#define RQ_BITS_H

#include "port/atomics.h"

#include "format/rq_statefmt.h"
#include "shmem/rq_parts.h"

#define RQ_BITS_WORD	64		/* slots in a word */

typedef struct RqBits
{
	uint32		nslots;
	uint32		nwords;
	pg_atomic_uint64 *words;
} RqBits;

/* By kind of slot; the same addresses in every process. */
extern RqBits rq_changed[RQ_SLOT_KINDS];

/* For queues and offsets only. */
extern RqBits rq_unsettled[RQ_SLOT_KINDS];

/* Of offsets. */
extern RqBits rq_open_offsets;

extern const RqPart rq_bits_part;

static inline pg_atomic_uint64 *
rq_bits_word(const RqBits *bits, uint32 slot, uint64 *mask)
{
	Assert(slot < bits->nslots);
	*mask = UINT64CONST(1) << (slot % RQ_BITS_WORD);
	return &bits->words[slot / RQ_BITS_WORD];
}

/* The caller holds the slot's lock. */
static inline void
rq_bits_set(const RqBits *bits, uint32 slot)
{
	uint64		mask;
	pg_atomic_uint64 *word = rq_bits_word(bits, slot, &mask);

	if ((pg_atomic_read_u64(word) & mask) == 0)
		pg_atomic_fetch_or_u64(word, mask);
}

static inline void
rq_bits_clear(const RqBits *bits, uint32 slot)
{
	uint64		mask;
	pg_atomic_uint64 *word = rq_bits_word(bits, slot, &mask);

	if ((pg_atomic_read_u64(word) & mask) != 0)
		pg_atomic_fetch_and_u64(word, ~mask);
}

/* Is it set?  Exact for who holds the slot's lock. */
static inline bool
rq_bits_get(const RqBits *bits, uint32 slot)
{
	uint64		mask;

	return (pg_atomic_read_u64(rq_bits_word(bits, slot, &mask)) & mask) != 0;
}

/* The first slot at or after "*slot" whose bit is set; false if none is. */
extern bool rq_bits_next(const RqBits *bits, uint32 *slot);

/* Take the bits of a word, which are clear then. */
extern uint64 rq_bits_take(const RqBits *bits, uint32 word);

/* Set bits of a word again: what they stand for could not be done. */
extern void rq_bits_restore(const RqBits *bits, uint32 word, uint64 set);

/* Clear those of all slots before "end". */
extern void rq_bits_clear_all(const RqBits *bits, uint32 end);

#endif							/* RQ_BITS_H */
