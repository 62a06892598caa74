/*
 * rq_lowest.c
 *	  The lowest position that entries of a queue point to.  Janitor only.
 *
 * Given a range of a queue's entries that somebody still needs, which is the
 * lowest position of the log that must stay for them?
 *
 * Positions do not rise with offsets in a queue: a long transaction enqueues
 * old frames late.  So to answer that, all entries of the range count, and a
 * queue can have millions.  The janitor reads each of them once, and remembers
 * the lowest position of each block of them: 8 bytes for 2048 entries.  What
 * it knows is in its own memory, and is learnt anew when it is restarted.  Of
 * queues without a whole block, which most are where there are very many, it
 * remembers nothing.
 *
 * Only blocks below "logged_stable", about which RESOLVE records have been
 * written, are remembered: entries in them change no more.
 */
#include "postgres.h"

#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "format/rq_queuefmt.h"
#include "queue/rq_entry.h"
#include "retain/rq_lowest.h"

/* Entries in a block. */
#define PER_BLOCK	RQ_META_HOLD_ENTRIES

/* What is known of one queue: blocks [first, first + n). */
typedef struct Known
{
	uint32		slot;			/* the queue's */
	XLogRecPtr	born;			/* of the queue */
	uint64		first;
	uint64		n;
	uint64		max;
	RqPos	   *lowest;			/* RQ_INVALID_POS = all are aborted */
} Known;

/* By slot. */
static HTAB *known = NULL;

/* So many may be known before those of queues that are gone are forgotten. */
#define FORGET_MIN		64

static long forget_at = FORGET_MIN;

/*
 * The lowest position in [start, bound) of entries in [from, to), or "bound".
 * Throws if an entry cannot be read.
 */
static RqPos
scan(RqQueue *q, RqOff from, RqOff to, RqPos start, RqPos bound)
{
	RqExtRun	run = {0};
	RqEntry		e;

	for (RqOff off = from; off < to; off++)
		if (rq_queue_entry_or_lost(q, off, &run, &e) && e.pos < bound &&
			e.pos >= start && (e.len_flags & RQ_ENTRY_ABORTED) == 0)
			bound = e.pos;
	return bound;
}

/* A slot may have another queue by now, or none. */
static bool
is_of(const Known *k, const RqQueue *q)
{
	return q->topic != RQ_NO_SLOT && k->born == q->born;
}

/* Forget queues that are gone, when there are twice as many as after the last time. */
static void
forget_gone(void)
{
	HASH_SEQ_STATUS seq;
	Known	   *k;

	RQ_ASSERT_META_LOCK(LW_SHARED);
	if (hash_get_num_entries(known) < forget_at)
		return;
	hash_seq_init(&seq, known);
	while ((k = hash_seq_search(&seq)) != NULL)
		if (!is_of(k, &rq_queues[k->slot]))
		{
			if (k->lowest != NULL)
				pfree(k->lowest);
			(void) hash_search(known, &k->slot, HASH_REMOVE, NULL);
		}
	forget_at = Max(FORGET_MIN, 2 * hash_get_num_entries(known));
}

/* Begin to remember the queue, from its first block that is kept. */
static Known *
remember(RqQueue *q)
{
	uint32		slot = (uint32) (q - rq_queues);
	HASHCTL		info = {.keysize = sizeof(uint32), .entrysize = sizeof(Known)};
	Known	   *k;
	bool		found;

	if (known == NULL)
		known = hash_create("rocketq lowest positions", FORGET_MIN, &info,
							HASH_ELEM | HASH_BLOBS);
	forget_gone();
	k = hash_search(known, &slot, HASH_ENTER, &found);
	if (!found)
	{
		k->max = 0;
		k->lowest = NULL;
	}
	k->born = q->born;
	k->first = pg_atomic_read_u64(&q->start) / PER_BLOCK;
	k->n = 0;
	return k;
}

/*
 * What is known of the queue, without blocks that have been trimmed; NULL if
 * that is nothing.
 */
static Known *
blocks_of(RqQueue *q)
{
	uint32		slot = (uint32) (q - rq_queues);
	uint64		first = pg_atomic_read_u64(&q->start) / PER_BLOCK;
	Known	   *k = known == NULL ? NULL :
	hash_search(known, &slot, HASH_FIND, NULL);

	if (k == NULL || !is_of(k, q) || k->first + k->n < first)
		return NULL;
	if (k->first < first)
	{
		k->n -= first - k->first;
		memmove(k->lowest, k->lowest + (first - k->first),
				k->n * sizeof(RqPos));
		k->first = first;
	}
	return k;
}

static void
append(Known *k, RqPos lowest)
{
	if (k->n == k->max)
	{
		k->max = Max(16, k->max * 2);
		k->lowest = k->lowest == NULL ?
			MemoryContextAllocHuge(TopMemoryContext, k->max * sizeof(RqPos)) :
			repalloc_huge(k->lowest, k->max * sizeof(RqPos));
	}
	k->lowest[k->n++] = lowest;
}

/*
 * A block is added when it has been read to its end.  So if an entry cannot be
 * read, what was learnt before stays, and the block is tried again next time.
 */
bool
rq_lowest_learn(RqQueue *q)
{
	Known	   *k = blocks_of(q);
	uint64		next = k ? k->first + k->n :
	pg_atomic_read_u64(&q->start) / PER_BLOCK;
	uint64		end = q->logged_stable / PER_BLOCK;

	RQ_ASSERT_META_LOCK(LW_SHARED);
	if (next < end)
	{
		RqPos		lowest = scan(q, next * PER_BLOCK, (next + 1) * PER_BLOCK, 0,
								  RQ_INVALID_POS);

		append(k ? k : remember(q), lowest);
		next++;
	}
	return next >= end;
}

/*
 * The lowest of a part of a block can be higher than that of the block.  A block
 * whose lowest position lies below "start" is read again, and for the last time.
 */
static RqPos
lowest_of_block(RqQueue *q, RqPos *lowest, RqOff from, RqOff to, RqPos start,
				RqPos bound)
{
	RqOff		first = from - from % PER_BLOCK;

	if (*lowest < start)
		*lowest = scan(q, first, first + PER_BLOCK, start, RQ_INVALID_POS);
	if (*lowest >= bound)
		return bound;
	return to - from == PER_BLOCK ? *lowest : scan(q, from, to, start, bound);
}

/*
 * Block by block.  Entries are read where nothing is known: at the end of the
 * queue, and in a block that the range cuts and whose lowest position is below
 * "bound", since that can be of an entry outside the range.
 */
RqPos
rq_lowest_between(RqQueue *q, RqOff from, RqOff to, RqPos start, RqPos bound)
{
	Known	   *k = blocks_of(q);

	RQ_ASSERT_META_LOCK(LW_SHARED);
	while (from < to)
	{
		uint64		block = from / PER_BLOCK;
		RqOff		end = Min(to, (block + 1) * PER_BLOCK);

		if (k != NULL && block >= k->first && block < k->first + k->n)
			bound = lowest_of_block(q, &k->lowest[block - k->first], from, end,
									start, bound);
		else
			bound = scan(q, from, end, start, bound);
		from = end;
	}
	return bound;
}

RqPos
rq_lowest_below(RqQueue *q, RqOff from, RqOff to, RqPos bound)
{
	return rq_lowest_between(q, from, to, 0, bound);
}
