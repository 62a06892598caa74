/*
 * rq_extlist.c
 *	  Extents that queues have given back, and what a sync makes of them.
 *
 * When may an extent that a queue has given back be another's?  As long as a
 * state on disk says that it is the first one's, a crash brings that state back,
 * and with it the need for the entries.  So they stay as they are until a sync
 * is done that began to copy the queues after the extent was given back: that is
 * what the lists "freed" and "waiting" tell apart.
 *
 * Chains are put in front of lists, whole: that writes to the last header of the
 * chain only, which whoever does it has mapped before it takes the lock, and
 * never to a list's, which others may have changed meanwhile.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/timestamp.h"

#include "base/rq_fault.h"
#include "extent/rq_extlist.h"

/* So many bytes of extents may wait for the sync of the next checkpoint. */
#define FREED_MAX	(256 * 1024 * 1024)

RqExtentHeader *
rq_ext_header(RqExtAddr addr, RqMapMode mode)
{
	char	   *base;

	if (rq_ext_class(addr) < 0)
		return NULL;
	base = rq_area_chunk(RQ_EXT_CHUNK(addr), mode);
	return base == NULL ? NULL : rq_area_header(base, RQ_EXT_PLACE(addr));
}

/*
 * From the first entry of the first to the end of the last: the extents in
 * between are not looked at.  Nothing but when to sync depends on it.
 */
static uint64
bytes_of_chain(const RqExtentHeader *first, const RqExtentHeader *last,
			   RqExtAddr last_addr)
{
	int			class = rq_ext_class(last_addr);

	if (class < 0 || last->first < first->first)
		return 0;
	return (last->first - first->first + rq_ext_count(last, class)) *
		sizeof(RqEntry);
}

/* What is wrong is told once in a while: it can be so for any number of queues. */
static void
tell_error(const ErrorData *e)
{
	static TimestampTz told_at = 0;
	TimestampTz now = GetCurrentTimestamp();

	if (now - told_at < USECS_PER_SEC)
		return;
	told_at = now;
	ereport(LOG,
			(errcode(e->sqlerrcode),
			 errmsg("rocketq left space of queues for later: %s", e->message)));
}

/*
 * Raising an error resets the count of held-off interrupts, which the locks of
 * the caller need.
 */
bool
rq_extent_try(RqExtTouch touch, void *arg)
{
	uint32		holdoff = InterruptHoldoffCount;
	MemoryContext cxt = CurrentMemoryContext;
	volatile bool done = false;

	Assert(CritSectionCount == 0);
	PG_TRY();
	{
		done = touch(arg);
	}
	PG_CATCH();
	{
		ErrorData  *e;

		InterruptHoldoffCount = holdoff;
		if (LWLockHeldByMe(rq_extents_lock))
		{
			HOLD_INTERRUPTS();
			LWLockRelease(rq_extents_lock);
		}
		MemoryContextSwitchTo(cxt);
		e = CopyErrorData();
		FlushErrorState();
		tell_error(e);
		FreeErrorData(e);
		done = false;
	}
	PG_END_TRY();
	return done;
}

/* The first store, if that fails, leaves all as it was. */
static bool
splice_chain(void *arg)
{
	RqExtChain *chain = arg;
	RqExtentHeader *h = rq_ext_header(chain->head, RQ_MAP_PROBE_WRITE);
	RqExtentHeader first;
	RqExtentHeader *last;

	if (h == NULL)
		return false;
	first = *h;
	last = rq_ext_header(chain->tail, RQ_MAP_PROBE_WRITE);
	if (last == NULL)
		return false;
	chain->bytes = bytes_of_chain(&first, last, chain->tail);
	rq_ext_touch(last);
	LWLockAcquire(rq_extents_lock, LW_EXCLUSIVE);
	rq_chain_prepend(&rq_extents->freed, chain, last);
	LWLockRelease(rq_extents_lock);
	return true;
}

bool
rq_chain_give_back(RqExtChain chain)
{
	if (!rq_extent_try(splice_chain, &chain))
		return false;
	RQ_FAULT("extents-freed");
	return true;
}

void
rq_chains_begin(RqExtChains *c, uint32 most)
{
	c->n = 0;
	c->most = most;
	c->chains = palloc(Max(most, 1) * sizeof(RqExtChain));
	pg_atomic_fetch_add_u32(&rq_extents->nadrift, 1);
}

void
rq_chains_add(RqExtChains *c, RqExtChain chain)
{
	Assert(c->n < c->most);
	if (chain.head != RQ_EXT_NONE)
		c->chains[c->n++] = chain;
}

void
rq_chains_give_back(RqExtChains *c)
{
	uint32		failed = 0;

	for (uint32 i = 0; i < c->n; i++)
		failed += !rq_chain_give_back(c->chains[i]);
	if (failed > 0)
		ereport(LOG,
				(errmsg("rocketq could not give back the space of %u queues", failed),
				 errdetail("It is not used before the server is restarted.")));
	if (c->chains != NULL)
	{
		pfree(c->chains);
		pg_atomic_fetch_sub_u32(&rq_extents->nadrift, 1);
	}
	memset(c, 0, sizeof(*c));
}

/*
 * Put one list in front of another and leave it empty.  Its tail stays the same
 * while it is not empty, since others only put something in front; and who takes
 * from the front is whoever calls this, or takes from the other list only.
 */
static void
move_list(RqExtChain *from, RqExtChain *to)
{
	RqExtAddr	tail;
	RqExtentHeader *last;

	LWLockAcquire(rq_extents_lock, LW_SHARED);
	tail = from->head == RQ_EXT_NONE ? RQ_EXT_NONE : from->tail;
	LWLockRelease(rq_extents_lock);
	if (tail == RQ_EXT_NONE)
		return;
	last = rq_ext_header(tail, RQ_MAP_PROBE_WRITE);

	/* It stays where it is, until the next sync is done. */
	if (last == NULL)
		return;
	rq_ext_touch(last);
	LWLockAcquire(rq_extents_lock, LW_EXCLUSIVE);
	Assert(from->tail == tail);
	rq_chain_prepend(to, from, last);
	memset(from, 0, sizeof(*from));
	LWLockRelease(rq_extents_lock);
}

void
rq_extent_sync_begin(void)
{
	move_list(&rq_extents->freed, &rq_extents->waiting);
	RQ_FAULT("extents-waiting");
}

void
rq_extent_sync_done(void)
{
	move_list(&rq_extents->waiting, &rq_extents->released);
	RQ_FAULT("extents-released");
}

bool
rq_extent_wants_sync(bool others_lack_room)
{
	uint64		bytes;

	LWLockAcquire(rq_extents_lock, LW_SHARED);
	bytes = rq_extents->freed.bytes + rq_extents->waiting.bytes;
	LWLockRelease(rq_extents_lock);
	return bytes > FREED_MAX ||
		(bytes > 0 && (others_lack_room ||
					   pg_atomic_read_u32(&rq_extents->space.err) != 0));
}

bool
rq_extent_awaits_sync(void)
{
	bool		awaits;

	LWLockAcquire(rq_extents_lock, LW_SHARED);
	awaits = rq_extents->freed.head != RQ_EXT_NONE ||
		rq_extents->waiting.head != RQ_EXT_NONE;
	LWLockRelease(rq_extents_lock);
	return awaits;
}
