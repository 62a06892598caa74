/*
 * rq_extclaim.c
 *	  Which extents a queue has, of all that say that they are its own.
 *
 * Headers can say more than is true: of extents that were given back and have not
 * been zeroed, or were taken after the last sync.  So a queue gets what it needs
 * for the entries that the state says it has, and of two extents that claim the
 * same entries the one that was taken later.
 *
 * A queue's claims are followed from its end to its start.
 */
#include "postgres.h"

#include "base/rq_guc.h"
#include "extent/rq_extmem.h"
#include "queue/rq_extclaim.h"

void
rq_claims_init(RqClaims *claims)
{
	claims->n = 0;
	claims->room = 1024;
	claims->all = palloc(claims->room * sizeof(RqClaim));
}

void
rq_claims_add(RqClaims *claims, const RqClaim *c)
{
	if (claims->n == claims->room)
	{
		claims->room *= 2;
		claims->all = repalloc_huge(claims->all, claims->room * sizeof(RqClaim));
	}
	claims->all[claims->n++] = *c;
}

/* ---- sort ---- */

/* By queue, and the last entries first. */
static int
compare_claims(const void *a, const void *b)
{
	const RqClaim *x = a;
	const RqClaim *y = b;

	if (x->queue != y->queue)
		return x->queue < y->queue ? -1 : 1;
	if (x->first != y->first)
		return x->first > y->first ? -1 : 1;
	return x->seq > y->seq ? -1 : x->seq < y->seq;
}

static int
compare_addresses(const void *a, const void *b)
{
	const RqClaim *x = a;
	const RqClaim *y = b;

	return x->addr < y->addr ? -1 : x->addr > y->addr;
}

static void
sort_by_queue(RqClaims *claims)
{
	qsort(claims->all, claims->n, sizeof(RqClaim), compare_claims);
}

void
rq_claims_visit(RqClaims *claims, RqClaimsVisit visit, void *arg)
{
	RqClaim    *all_end = claims->all + claims->n;
	RqClaim    *end;

	for (RqClaim *at = claims->all; at < all_end; at = end)
	{
		for (end = at + 1; end < all_end && end->queue == at->queue; end++)
			;
		visit(at, end, arg);
	}
}

/* ---- choose ---- */

/*
 * Of the claims [at, end) of one queue, which are sorted, the one for an entry
 * that was taken last; NULL if there is none.
 */
static RqClaim *
choose_claim(RqClaim *at, RqClaim *end, RqOff entry)
{
	RqClaim    *best = NULL;

	/*
	 * Those that begin a whole extent of the largest class before can't
	 * reach.
	 */
	for (; at < end && at->first + rq_ext_entries[RQ_EXT_CLASSES - 1] > entry; at++)
		if (at->first <= entry && at->first + at->has > entry &&
			(best == NULL || at->seq > best->seq))
			best = at;
	return best;
}

/* If there is none: where the last one before it ends, or the queue starts. */
static RqOff
gap_start(const RqClaim *at, const RqClaim *end, RqOff start, RqOff entry)
{
	RqOff		from = start;

	for (; at < end; at++)
		if (at->first + at->has <= entry)
			from = Max(from, at->first + at->has);
	return from;
}

/*
 * Extents for entries [from, to) of a queue.  The queue's last one has all of its
 * entries, as any last one: whoever has its address and where it begins needs to
 * know nothing else.
 */
static void
add_missing_claims(RqClaims *gaps, RqQueue *q, RqOff from, RqOff to)
{
	const uint64 most = (uint64) RQ_CHUNKS * rq_ext_places[RQ_EXT_CLASSES - 1] *
	rq_ext_entries[RQ_EXT_CLASSES - 1];

	if (to - from > most)
		ereport(FATAL,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("a queue has more messages than there can be")));
	while (from < to)
	{
		RqClaim		c = {.queue = q, .first = from, .hole = true, .chosen = true};

		c.class = rq_ext_class_for(to - from, 0);
		c.has = Min(to - from, rq_ext_entries[c.class]);
		from += c.has;
		if (from == pg_atomic_read_u64(&q->end))
			c.has = rq_ext_entries[c.class];
		c.count = c.has;
		rq_claims_add(gaps, &c);
	}
}

/* From the end to the start.  [at, end) are the queue's claims. */
static void
choose_for_queue(RqQueue *q, RqClaim *at, RqClaim *end, RqClaims *gaps)
{
	RqOff		start = pg_atomic_read_u64(&q->start);
	RqOff		upto = pg_atomic_read_u64(&q->end);

	while (upto > start)
	{
		RqClaim    *c = choose_claim(at, end, upto - 1);

		if (c == NULL)
		{
			RqOff		from = gap_start(at, end, start, upto - 1);

			add_missing_claims(gaps, q, from, upto);
			upto = from;
			continue;
		}
		c->chosen = true;
		if (upto < pg_atomic_read_u64(&q->end))
			c->count = upto - c->first;
		at = c;
		upto = c->first;
	}
}

void
rq_claims_choose(RqClaims *claims)
{
	RqClaim    *at;
	RqClaim    *all_end;
	RqClaims	gaps;

	rq_claims_init(&gaps);
	sort_by_queue(claims);
	at = claims->all;
	all_end = claims->all + claims->n;
	for (RqQueue *q = rq_queues; q < rq_queues + rq_slots_begun(rq_queue_pool); q++)
	{
		RqClaim    *end = at;

		while (end < all_end && end->queue == q)
			end++;
		if (q->topic != RQ_NO_SLOT)
			choose_for_queue(q, at, end, &gaps);
		at = end;
	}
	for (uint64 i = 0; i < gaps.n; i++)
		rq_claims_add(claims, &gaps.all[i]);
	if (gaps.n > 0)
		sort_by_queue(claims);
	pfree(gaps.all);
}

/* ---- link ---- */

/*
 * Each extent of a queue has the depth after that of the one before, which jumps
 * rely on.
 * Sorted as they are, the last claim has the first entries.
 */
static void
link_queue(RqClaim *at, RqClaim *end, void *unused)
{
	RqQueue    *q = at->queue;
	RqClaim    *before = NULL;

	for (RqClaim *c = end - 1; c >= at; c--)
	{
		if (!c->chosen)
			continue;
		if (before == NULL)
			q->head = c->addr;
		else
		{
			before->next = c->addr;
			c->prev = before->addr;
			c->depth = rq_ext_depth_after(before->depth);
		}
		before = c;
	}
	if (before != NULL)
		pg_atomic_write_u64(&q->tail, RQ_EXT_TAIL(before->addr, before->first));
}

void
rq_claims_link(RqClaims *claims)
{
	rq_claims_visit(claims, link_queue, NULL);
	qsort(claims->all, claims->n, sizeof(RqClaim), compare_addresses);
}
