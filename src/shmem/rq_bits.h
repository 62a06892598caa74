/*
 * rq_bits.h
 *	  Which slots of the tables have changed since they were last copied to the
 *	  state file.
 *
 * A sync that copies a store of a million queues goes by these bits.  Setting
 * one that is set costs a read, so that it may be done with every change.
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

extern const RqPart rq_bits_part;

/*
 * The slot has changed in something that its copy has, or that must be on disk
 * with it, or is about to.  The caller holds the slot's lock; if the change is
 * logged, that has not been done yet.
 */
static inline void
rq_bits_set(RqSlotKind kind, uint32 slot)
{
	pg_atomic_uint64 *word = &rq_changed[kind].words[slot / RQ_BITS_WORD];
	uint64		mask = UINT64CONST(1) << (slot % RQ_BITS_WORD);

	Assert(slot < rq_changed[kind].nslots);
	if ((pg_atomic_read_u64(word) & mask) == 0)
		pg_atomic_fetch_or_u64(word, mask);
}

/* Is it set?  Exact for who holds the slot's lock. */
extern bool rq_bits_get(RqSlotKind kind, uint32 slot);

/* Take the bits of a word, which are clear then. */
extern uint64 rq_bits_take(RqSlotKind kind, uint32 word);

/* Set bits of a word again: what they stand for could not be written. */
extern void rq_bits_restore(RqSlotKind kind, uint32 word, uint64 bits);

/* Count all slots before "end" as changed. */
extern void rq_bits_set_all(RqSlotKind kind, uint32 end);

#endif							/* RQ_BITS_H */
