/*
 * rq_exthole.c
 *	  Entries of queues that are missing when the server starts.
 *
 * Given a queue whose entries are in no extent, because a file is missing or
 * damaged, or because this is a base backup that has copied the state before the
 * extent was given back and the extent after another queue had taken it: what has
 * redo to go on with?  The queue gets extents of zeros for them, whose headers say
 * so (RqExtentHeader.hole), for this start and all to come.  WAL writes to them
 * what it has, or removes them.  So an entry of zeros in such an extent, below its
 * queue's end, is one that is missing.
 *
 * If the file is put back before the server starts without it, the entries
 * are copied from there: others can have been replayed meanwhile, which only the
 * new extents have.
 */
#include "postgres.h"

#include "queue/rq_exthole.h"
#include "store/rq_area.h"

typedef struct Heal
{
	RqExtMissing missing;		/* NULL: write what has come back */
	void	   *arg;
	RqEntry    *entries;		/* of the extent that is looked at */
	RqEntry    *others;
} Heal;

/* False if they can't be read. */
static bool
read_entries(const RqClaim *c, RqEntry *entries, uint32 n)
{
	if (c->addr != RQ_EXT_NONE)
		return rq_area_read_entries(RQ_EXT_CHUNK(c->addr), c->class,
									RQ_EXT_PLACE(c->addr), entries, n);
	memset(entries, 0, n * sizeof(RqEntry));
	return true;
}

/*
 * Of the queue's other extents that have some of these entries, the one taken
 * last, before "seq"; NULL if there is none.
 */
static const RqClaim *
next_donor(const RqClaim *c, const RqClaim *at, const RqClaim *end, uint64 seq)
{
	const RqClaim *best = NULL;

	for (; at < end; at++)
		if (at != c && at->addr != RQ_EXT_NONE && at->seq < seq &&
			at->first < c->first + c->count && at->first + at->has > c->first &&
			(best == NULL || at->seq > best->seq))
			best = at;
	return best;
}

/* Take from the other extent those that are missing; true if there were any. */
static bool
take_entries(Heal *heal, const RqClaim *c, const RqClaim *other)
{
	RqOff		from = Max(c->first, other->first);
	RqOff		to = Min(c->first + c->count, other->first + other->has);
	bool		taken = false;

	if (!read_entries(other, heal->others, other->has))
		return false;
	for (RqOff off = from; off < to; off++)
	{
		RqEntry    *mine = &heal->entries[off - c->first];
		const RqEntry *its = &heal->others[off - other->first];

		if (!rq_ext_entry_is_missing(mine) || rq_ext_entry_is_missing(its))
			continue;
		*mine = *its;
		taken = true;
	}
	return taken;
}

static void
tell_missing(const Heal *heal, const RqClaim *c)
{
	RqOff		off = Max(c->first, pg_atomic_read_u64(&c->queue->start));
	RqOff		end = Min(c->first + c->count, pg_atomic_read_u64(&c->queue->end));
	RqOff		from = off;

	for (; off < end; off++)
	{
		if (rq_ext_entry_is_missing(&heal->entries[off - c->first]))
			continue;
		if (from < off)
			heal->missing(c->queue, from, off, heal->arg);
		from = off + 1;
	}
	if (from < end)
		heal->missing(c->queue, from, end, heal->arg);
}

static bool
is_any_on_disk(const RqClaim *at, const RqClaim *end)
{
	for (; at < end; at++)
		if (at->addr != RQ_EXT_NONE)
			return true;
	return false;
}

/* Of a queue of which nothing is there: its extents need not be looked into. */
static void
tell_all_missing(const Heal *heal, const RqClaim *at, const RqClaim *end)
{
	for (; heal->missing != NULL && at < end; at++)
		if (at->chosen && at->hole)
			heal->missing(at->queue,
						  Max(at->first, pg_atomic_read_u64(&at->queue->start)),
						  Min(at->first + at->count,
							  pg_atomic_read_u64(&at->queue->end)), heal->arg);
}

static void
heal_queue(RqClaim *at, RqClaim *end, void *arg)
{
	Heal	   *heal = arg;

	if (!is_any_on_disk(at, end))
	{
		tell_all_missing(heal, at, end);
		return;
	}
	for (RqClaim *c = at; c < end; c++)
	{
		uint64		seq = PG_UINT64_MAX;
		bool		taken = false;
		const RqClaim *other;

		if (!c->chosen || !c->hole)
			continue;
		/* As with any extent, whoever needs an entry of it gets an error. */
		if (!read_entries(c, heal->entries, c->count))
			continue;
		while ((other = next_donor(c, at, end, seq)) != NULL)
		{
			taken |= take_entries(heal, c, other);
			seq = other->seq;
		}
		if (heal->missing != NULL)
			tell_missing(heal, c);
		else if (taken)
			rq_area_write_entries(RQ_EXT_CHUNK(c->addr), c->class,
								  RQ_EXT_PLACE(c->addr), heal->entries, c->count);
	}
}

static void
look_at_holes(RqClaims *claims, RqExtMissing missing, void *arg)
{
	const Size	most = rq_ext_entries[RQ_EXT_CLASSES - 1] * sizeof(RqEntry);
	Heal		heal = {.missing = missing, .arg = arg,
	.entries = palloc(most), .others = palloc(most)};

	rq_claims_visit(claims, heal_queue, &heal);
	pfree(heal.entries);
	pfree(heal.others);
}

void
rq_holes_tell(RqClaims *claims, RqExtMissing missing, void *arg)
{
	look_at_holes(claims, missing, arg);
}

void
rq_holes_heal(RqClaims *claims)
{
	look_at_holes(claims, NULL, NULL);
}
