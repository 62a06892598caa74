/*
 * rq_bits.c
 *	  Which slots of the tables somebody has to look at.
 */
#include "postgres.h"

#include "port/pg_bitutils.h"

#include "base/rq_guc.h"
#include "shmem/rq_bits.h"

RqBits		rq_changed[RQ_SLOT_KINDS];
RqBits		rq_unsettled[RQ_SLOT_KINDS];
RqBits		rq_open_offsets;

static uint32
slots_of(RqSlotKind kind)
{
	switch (kind)
	{
		case RQ_SLOT_TOPIC:
			return rq_max_topics;
		case RQ_SLOT_QUEUE:
			return rq_max_queues;
		case RQ_SLOT_GROUP:
			return rq_max_groups;
		case RQ_SLOT_OFFSET:
			return rq_max_consumer_slots;
		case RQ_SLOT_KINDS:
			break;
	}
	return 0;
}

static uint32
words_for(uint32 nslots)
{
	return (nslots + RQ_BITS_WORD - 1) / RQ_BITS_WORD;
}

static bool
can_be_unsettled(RqSlotKind kind)
{
	return kind == RQ_SLOT_QUEUE || kind == RQ_SLOT_OFFSET;
}

static uint64
all_words(void)
{
	uint64		n = words_for(slots_of(RQ_SLOT_OFFSET));

	for (RqSlotKind kind = 0; kind < RQ_SLOT_KINDS; kind++)
		n += words_for(slots_of(kind)) * (can_be_unsettled(kind) ? 2 : 1);
	return n;
}

static Size
bits_size(void)
{
	return rq_table_size(all_words(), sizeof(pg_atomic_uint64));
}

/* Returns where the words of the next one are. */
static pg_atomic_uint64 *
set_up(RqBits *bits, uint32 nslots, pg_atomic_uint64 *words)
{
	bits->nslots = nslots;
	bits->nwords = words_for(nslots);
	bits->words = words;
	return words + bits->nwords;
}

/* Zeros are an atomic integer of zero, so nothing is left to initialize. */
static void
bits_init(void)
{
	pg_atomic_uint64 *words;

	(void) rq_table_create("rocketq slot bits", all_words(),
						   sizeof(pg_atomic_uint64), (void **) &words);
	for (RqSlotKind kind = 0; kind < RQ_SLOT_KINDS; kind++)
	{
		words = set_up(&rq_changed[kind], slots_of(kind), words);
		words = set_up(&rq_unsettled[kind],
					   can_be_unsettled(kind) ? slots_of(kind) : 0, words);
	}
	(void) set_up(&rq_open_offsets, slots_of(RQ_SLOT_OFFSET), words);
}

const RqPart rq_bits_part = {
	.name = "slot bits",
	.shmem_size = bits_size,
	.shmem_init = bits_init
};

bool
rq_bits_next(const RqBits *bits, uint32 *slot)
{
	uint32		word = *slot / RQ_BITS_WORD;
	uint64		from = PG_UINT64_MAX << (*slot % RQ_BITS_WORD);

	for (; word < bits->nwords; word++, from = PG_UINT64_MAX)
	{
		uint64		set = pg_atomic_read_u64(&bits->words[word]) & from;

		if (set == 0)
			continue;
		*slot = word * RQ_BITS_WORD + pg_rightmost_one_pos64(set);
		return true;
	}
	return false;
}

/* Most words of a large table are clear, and stay in others' caches. */
uint64
rq_bits_take(const RqBits *bits, uint32 word)
{
	pg_atomic_uint64 *at = &bits->words[word];

	return pg_atomic_read_u64(at) == 0 ? 0 : pg_atomic_exchange_u64(at, 0);
}

void
rq_bits_restore(const RqBits *bits, uint32 word, uint64 set)
{
	if (set != 0)
		pg_atomic_fetch_or_u64(&bits->words[word], set);
}

void
rq_bits_clear_all(const RqBits *bits, uint32 end)
{
	for (uint32 i = 0; i * RQ_BITS_WORD < end; i++)
		pg_atomic_write_u64(&bits->words[i], 0);
}
