/*
 * rq_extload.c
 *	  Find the extents of all queues when the server starts.
 *
 * Nothing on disk says which extents a queue has, but their own headers, and
 * those can say more than is true: of extents that were given back and have not
 * been zeroed, or were taken after the last sync.  So a queue gets what it needs
 * for the entries that the state says it has, and of two extents that claim the
 * same entries the one that was taken later.
 *
 * Headers are read twice.  First all claims are collected, sorted, and followed
 * from the end of each queue to its start.  Then those that were chosen are
 * linked, and all others zeroed.  Nothing of that has to reach the disk: the
 * next start would come to the same.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "base/rq_guc.h"
#include "queue/rq_extload.h"
#include "extent/rq_extmem.h"
#include "topic/rq_topic.h"

/* An extent that says it has entries which a queue needs. */
typedef struct Claim
{
	RqQueue    *queue;
	RqOff		first;
	uint64		seq;
	RqExtAddr	addr;
	uint32		count;
	uint32		depth;
	RqExtAddr	prev;			/* as it has to be */
	RqExtAddr	next;
	bool		chosen;
} Claim;

typedef struct Load
{
	Claim	   *claims;			/* sorted by queue, later by address */
	uint64		n;
	uint64		room;
	uint64		at;				/* of the second reading: the next claim */
	RqExtMissing missing;
	void	   *arg;
} Load;

/* ---- collect ---- */

/* The queue that a header names, NULL if there is none or not any more. */
static RqQueue *
claimed_queue(const RqExtentHeader *h)
{
	uint32		topic = rq_topic_index_find(h->key);
	RqQueue    *q;

	if (topic == RQ_NO_SLOT)
		return NULL;
	q = rq_queue_find(topic, h->queue_id);
	return q != NULL && q->born == h->born ? q : NULL;
}

static void
add_claim(Load *load, RqQueue *q, const RqExtentHeader *h, RqExtAddr addr,
		  uint32 count)
{
	Claim	   *c;

	if (load->n == load->room)
	{
		load->room *= 2;
		load->claims = repalloc_huge(load->claims, load->room * sizeof(Claim));
	}
	c = &load->claims[load->n++];
	memset(c, 0, sizeof(*c));
	c->queue = q;
	c->first = h->first;
	c->seq = h->seq;
	c->addr = addr;
	c->count = count;
	c->depth = h->depth;
}

static void
collect_extent(Load *load, const RqExtentHeader *h, uint32 chunk, int class,
			   uint32 place)
{
	RqQueue    *q;

	if (rq_ext_is_free(h) || rq_ext_problem(h, class) != NULL)
		return;
	rq_extents->next_seq = Max(rq_extents->next_seq, h->seq + 1);
	q = claimed_queue(h);
	if (q != NULL && h->first < pg_atomic_read_u64(&q->end) &&
		h->first + rq_ext_count(h, class) > pg_atomic_read_u64(&q->start))
		add_claim(load, q, h, RQ_EXT_ADDR(chunk, place), rq_ext_count(h, class));
}

/* A chunk beyond those that the table has room for has nothing for anybody. */
static bool
collect_chunk(uint32 chunk, int class, RqExtentHeader *headers, uint32 n,
			  void *arg)
{
	if (chunk >= RQ_CHUNKS)
		return false;
	rq_chunks[chunk].kind = class + 1;
	rq_extents->nchunks = Max(rq_extents->nchunks, chunk + 1);
	for (uint32 i = 0; i < n; i++)
		collect_extent(arg, &headers[i], chunk, class, i + 1);
	return false;
}

/* ---- choose ---- */

/* By queue, and the last entries first. */
static int
compare_claims(const void *a, const void *b)
{
	const Claim *x = a;
	const Claim *y = b;

	if (x->queue != y->queue)
		return x->queue < y->queue ? -1 : 1;
	if (x->first != y->first)
		return x->first > y->first ? -1 : 1;
	return x->seq > y->seq ? -1 : x->seq < y->seq;
}

static int
compare_addresses(const void *a, const void *b)
{
	const Claim *x = a;
	const Claim *y = b;

	return x->addr < y->addr ? -1 : x->addr > y->addr;
}

/*
 * Of the claims [at, end) of one queue, which are sorted, the one for an entry
 * that was taken last; NULL if there is none.
 */
static Claim *
choose_claim(Claim *at, Claim *end, RqOff entry)
{
	Claim	   *best = NULL;

	/*
	 * Those that begin a whole extent of the largest class before can't
	 * reach.
	 */
	for (; at < end && at->first + rq_ext_entries[RQ_EXT_CLASSES - 1] > entry; at++)
		if (at->first <= entry && at->first + at->count > entry &&
			(best == NULL || at->seq > best->seq))
			best = at;
	return best;
}

/* If there is none: where the last one before it ends, or the queue starts. */
static RqOff
gap_start(const Claim *at, const Claim *end, RqOff start, RqOff entry)
{
	RqOff		from = start;

	for (; at < end; at++)
		if (at->first + at->count <= entry)
			from = Max(from, at->first + at->count);
	return from;
}

/* Put the extent in front of the queue's head, which "after" is. */
static void
link_claim(RqQueue *q, Claim *c, Claim *after)
{
	c->chosen = true;
	q->head = c->addr;
	if (after == NULL)
		pg_atomic_write_u64(&q->tail, RQ_EXT_TAIL(c->addr, c->first));
	else
	{
		c->next = after->addr;
		after->prev = c->addr;
	}
}

/*
 * From the end to the start.  Once there was a gap nothing is linked any more,
 * but what else is missing is still told.
 */
static void
choose_for_queue(const Load *load, RqQueue *q, Claim *at, Claim *end)
{
	RqOff		start = pg_atomic_read_u64(&q->start);
	RqOff		upto = pg_atomic_read_u64(&q->end);
	Claim	   *after = NULL;
	bool		gap = false;

	while (upto > start)
	{
		Claim	   *c = choose_claim(at, end, upto - 1);

		if (c == NULL)
		{
			RqOff		from = gap_start(at, end, start, upto - 1);

			load->missing(q, from, upto, load->arg);
			gap = true;
			upto = from;
			continue;
		}
		if (!gap)
			link_claim(q, c, after);
		after = c;
		at = c;
		upto = c->first;
	}
}

/* Each extent of a queue is one deeper than the one before, which jumps rely on. */
static void
set_depths(Claim *at, Claim *end)
{
	const Claim *before = NULL;

	for (Claim *c = end - 1; c >= at; c--)
		if (c->chosen)
		{
			if (before != NULL)
				c->depth = before->depth + 1;
			before = c;
		}
}

/* Slots of queues are in the order of their addresses, as the claims are. */
static void
choose_all(Load *load)
{
	Claim	   *at = load->claims;
	Claim	   *all_end = load->claims + load->n;

	qsort(load->claims, load->n, sizeof(Claim), compare_claims);
	for (RqQueue *q = rq_queues; q < rq_queues + rq_max_queues; q++)
	{
		Claim	   *end = at;

		while (end < all_end && end->queue == q)
			end++;
		if (q->topic != RQ_NO_SLOT)
		{
			choose_for_queue(load, q, at, end);
			set_depths(at, end);
		}
		at = end;
	}
	qsort(load->claims, load->n, sizeof(Claim), compare_addresses);
}

/* ---- link ---- */

/*
 * The head's predecessor has been given back: what its header says of that is
 * left alone.  Where another extent's predecessor is not the one that it names,
 * it jumps no further.  True if the header has changed.
 */
static bool
relink(const Claim *c, RqExtentHeader *h)
{
	bool		changed = h->next != c->next;

	h->next = c->next;
	if (c->prev != RQ_EXT_NONE && (h->prev != c->prev || h->depth != c->depth))
	{
		h->prev = c->prev;
		h->jump = c->prev;
		h->depth = c->depth;
		rq_ext_seal(h);
		changed = true;
	}
	return changed;
}

/* The claim to this address, if it was chosen.  Addresses rise from call to call. */
static const Claim *
chosen_at(Load *load, RqExtAddr addr)
{
	const Claim *c;

	while (load->at < load->n && load->claims[load->at].addr < addr)
		load->at++;
	c = &load->claims[load->at];
	return load->at < load->n && c->addr == addr && c->chosen ? c : NULL;
}

/* What nobody owns gets a header of zeros; its entries are swept later. */
static bool
link_chunk_headers(uint32 chunk, int class, RqExtentHeader *headers, uint32 n,
				   void *arg)
{
	static const RqExtentHeader zeros;
	bool		changed = false;
	uint32		owned = 0;

	if (chunk >= RQ_CHUNKS || class < 0)
		return false;
	for (uint32 i = 0; i < n; i++)
	{
		const Claim *c = chosen_at(arg, RQ_EXT_ADDR(chunk, i + 1));

		if (c != NULL)
		{
			owned++;
			changed |= relink(c, &headers[i]);
		}
		else if (memcmp(&headers[i], &zeros, sizeof(zeros)) != 0)
		{
			headers[i] = zeros;
			changed = true;
		}
	}
	rq_extents->nowned[class] += owned;
	rq_chunks[chunk].fresh = n + 1;
	rq_chunks[chunk].unswept = owned < n;
	rq_extents->nunswept[class] += owned < n;
	if (changed)
		rq_area_mark(&rq_extents->marks, chunk);
	return changed;
}

void
rq_extent_load(RqExtMissing missing, void *arg)
{
	Load		load = {.room = 1024, .missing = missing, .arg = arg};

	rq_area_cut();
	load.claims = palloc(load.room * sizeof(Claim));
	rq_area_visit(collect_chunk, &load);
	for (uint32 i = 0; i < rq_extents->nchunks; i++)
		if (rq_chunks[i].kind == 0)
			rq_extents->nraw++;
	choose_all(&load);
	rq_area_visit(link_chunk_headers, &load);
	pfree(load.claims);
}
