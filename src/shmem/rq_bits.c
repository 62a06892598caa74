/*
 * rq_bits.c
 *	  Which slots of the tables have changed since they were last copied to the
 *	  state file.
 *
 * One bit for each slot of a topic, queue, group or offset.
 */
#include "postgres.h"

#include "base/rq_guc.h"
#include "shmem/rq_bits.h"

RqBits		rq_changed[RQ_SLOT_KINDS];

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
words_of(RqSlotKind kind)
{
	return (slots_of(kind) + RQ_BITS_WORD - 1) / RQ_BITS_WORD;
}

static uint64
all_words(void)
{
	uint64		n = 0;

	for (int kind = 0; kind < RQ_SLOT_KINDS; kind++)
		n += words_of(kind);
	return n;
}

static Size
bits_size(void)
{
	return rq_table_size(all_words(), sizeof(pg_atomic_uint64));
}

/* Zeros are an atomic integer of zero, so nothing is left to initialize. */
static void
bits_init(void)
{
	pg_atomic_uint64 *words;

	(void) rq_table_create("rocketq changed slots", all_words(),
						   sizeof(pg_atomic_uint64), (void **) &words);
	for (int kind = 0; kind < RQ_SLOT_KINDS; kind++)
	{
		rq_changed[kind].nslots = slots_of(kind);
		rq_changed[kind].nwords = words_of(kind);
		rq_changed[kind].words = words;
		words += words_of(kind);
	}
}

const RqPart rq_bits_part = {
	.name = "changed slots",
	.shmem_size = bits_size,
	.shmem_init = bits_init
};

bool
rq_bits_get(RqSlotKind kind, uint32 slot)
{
	uint64		word = pg_atomic_read_u64(&rq_changed[kind].words[slot / RQ_BITS_WORD]);

	return (word >> (slot % RQ_BITS_WORD) & 1) != 0;
}

/* Most words of a large table are clear, and stay in others' caches. */
uint64
rq_bits_take(RqSlotKind kind, uint32 word)
{
	pg_atomic_uint64 *at = &rq_changed[kind].words[word];

	return pg_atomic_read_u64(at) == 0 ? 0 : pg_atomic_exchange_u64(at, 0);
}

void
rq_bits_restore(RqSlotKind kind, uint32 word, uint64 bits)
{
	if (bits != 0)
		pg_atomic_fetch_or_u64(&rq_changed[kind].words[word], bits);
}

void
rq_bits_set_all(RqSlotKind kind, uint32 end)
{
	const RqBits *b = &rq_changed[kind];

	Assert(end <= b->nslots);
	for (uint32 i = 0; i * RQ_BITS_WORD < end; i++)
	{
		uint32		n = Min(end - i * RQ_BITS_WORD, RQ_BITS_WORD);

		pg_atomic_fetch_or_u64(&b->words[i], PG_UINT64_MAX >> (RQ_BITS_WORD - n));
	}
}
