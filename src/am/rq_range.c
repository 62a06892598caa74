/*
 * rq_range.c
 *	  What a scan of a topic reads: stretches of its queues.
 */
#include "postgres.h"

#include "am/rq_range.h"
#include "am/rq_tid.h"
#include "queue/rq_resolve.h"
#include "topic/rq_topic.h"

Size
rq_range_size(uint64 nstretches)
{
	return MAXALIGN(offsetof(RqRange, stretch) + nstretches * sizeof(RqStretch));
}

/* Append entries [from, to) of "q", if there are any. */
static void
add_stretch(RqRange *r, const RqStretch *q, RqOff from, RqOff to)
{
	RqStretch  *new = &r->stretch[r->n];

	if (from >= to)
		return;
	*new = *q;
	new->from = from;
	new->to = to;
	new->row = r->nrows;
	r->nrows += to - from;
	r->n++;
}

void
rq_range_fill(RqRange *r, uint32 topic, uint32 nqueues)
{
	r->n = 0;
	r->nrows = 0;
	for (uint32 i = 0; i < nqueues; i++)
	{
		RqQueue    *q = rq_topic_queue(topic, i);
		RqStretch	s = {.queue_id = i};
		RqOff		from;

		rq_resolve_refresh(q);
		s.plain_below = pg_atomic_read_u64(&q->stable);
		from = pg_atomic_read_u64(&q->start);
		/* Neither offset ever falls: read in this order, start <= end. */
		pg_read_barrier();
		add_stretch(r, &s, from, pg_atomic_read_u64(&q->end));
	}

	/* Pairs with rq_queue_enqueue(): entries are written before "end". */
	pg_read_barrier();
}

uint32
rq_range_find(const RqRange *r, uint64 row)
{
	uint32		low = 0;
	uint32		high = r->n - 1;

	Assert(row < r->nrows);
	while (low < high)
	{
		uint32		middle = low + (high - low + 1) / 2;

		if (r->stretch[middle].row <= row)
			low = middle;
		else
			high = middle - 1;
	}
	return low;
}

/* ---- ranges of row identifiers ---- */

/* How many times the block numbers of a stretch wrap around, plus one. */
static uint64
cycles(const RqStretch *q)
{
	return (q->to - 1) / RQ_TID_BLOCKS - q->from / RQ_TID_BLOCKS + 1;
}

/* Add the entries of a stretch whose blocks are in [first, last), from each cycle. */
static void
add_blocks(RqRange *r, const RqStretch *q, uint64 first, uint64 last)
{
	RqOff		base = q->from - q->from % RQ_TID_BLOCKS;

	for (uint64 i = cycles(q); i > 0; i--)
	{
		add_stretch(r, q, Max(q->from, base + first), Min(q->to, base + last));
		base += RQ_TID_BLOCKS;
	}
}

RqRange *
rq_range_of_tids(const RqRange *all, ItemPointer min, ItemPointer max)
{
	uint64		most = 0;
	RqRange    *r;

	for (uint32 i = 0; i < all->n; i++)
		most += cycles(&all->stretch[i]);
	r = palloc0(rq_range_size(most));
	for (uint32 i = 0; i < all->n; i++)
	{
		const RqStretch *q = &all->stretch[i];
		OffsetNumber tid_off = q->queue_id + 1;
		uint64		first = ItemPointerGetBlockNumberNoCheck(min);
		uint64		last = ItemPointerGetBlockNumberNoCheck(max);

		if (tid_off < ItemPointerGetOffsetNumberNoCheck(min))
			first++;
		if (tid_off <= ItemPointerGetOffsetNumberNoCheck(max))
			last++;
		add_blocks(r, q, first, Min(last, RQ_TID_BLOCKS));
	}
	return r;
}
