/*
 * rq_extent.c
 *	  The extents of a queue: added, found, given back.
 *
 * A queue's extents are a chain, from "head", which has the entry at the queue's
 * start, to "tail", where its end is.  Almost everybody wants an entry near the
 * end: that is in the tail, which is found without looking at any header.  Who
 * wants another one goes back from there, by jumps.
 *
 * Readers take no lock, and the queue can be trimmed and its extents be others'
 * while they are on their way.  All that one passes lies behind the entry that
 * it wants, so if an extent was no longer the queue's, start has passed that
 * entry, too: the reader checks that in the end.  Until then it has to survive
 * whatever it finds: addresses are checked against the table of chunks, headers
 * against the queue and against the step before, and with each step "first"
 * falls, so that a walk ends.  The header that it ends at is checked against its
 * checksum, too.  So one that is damaged makes an error, and never a wrong entry.
 *
 *		who adds				who reads
 *		--------				---------
 *		header					end (or stable)
 *		write barrier			read barrier
 *		tail					tail
 *		write barrier			header
 *		end
 */
#include "postgres.h"

#include "access/xlogutils.h"

#include "base/rq_error.h"
#include "base/rq_fault.h"
#include "queue/rq_extent.h"
#include "extent/rq_extlist.h"
#include "extent/rq_extsupply.h"
#include "shmem/rq_shmem.h"
#include "topic/rq_topic.h"

RqExtOwner
rq_extent_owner(const RqQueue *q)
{
	return (RqExtOwner)
	{
		.key = rq_queue_key(q),
			.queue_id = q->id,
			.born = q->born
	};
}

static bool
is_owned_by(const RqExtentHeader *h, const RqExtOwner *owner)
{
	return h->magic == RQ_EXTENT_MAGIC && RQ_KEY_EQ(h->key, owner->key) &&
		h->queue_id == owner->queue_id && h->born == owner->born;
}

/*
 * Copy an extent's header; false if there is none, or it is not the queue's.  A
 * copy, since the next one that is mapped can unmap this one, and since what has
 * been checked must not change.
 */
static bool
read_header(RqExtAddr addr, const RqExtOwner *owner, RqMapMode mode,
			RqExtentHeader *copy)
{
	const RqExtentHeader *h = rq_ext_header(addr, mode);

	if (h == NULL)
		return false;
	*copy = *h;
	return is_owned_by(copy, owner);
}

/* Is "to" what an extent can have as its predecessor, or as its jump? */
static bool
comes_before(const RqExtentHeader *to, const RqExtentHeader *h)
{
	return to->first < h->first && to->depth < h->depth;
}

/* ---- find ---- */

/*
 * The run of an extent, which has "count" entries from "first" on; false if
 * "off" is none of them or the extent can't be mapped.
 */
static bool
set_run(RqExtAddr addr, int class, RqOff first, uint32 count, RqOff off,
		RqMapMode mode, RqExtRun *run)
{
	char	   *base;

	if (off - first >= count)
		return false;
	base = rq_area_chunk(RQ_EXT_CHUNK(addr), mode);
	if (base == NULL)
		return false;
	run->addr = addr;
	run->first = first;
	run->count = count;
	run->entries = rq_area_entries(base, class, RQ_EXT_PLACE(addr));
	run->mapped = rq_map_areas_gone;
	return true;
}

/*
 * The run of an extent, as this copy of its header says.  Its checksum is looked at
 * only here, and not at each step that leads to it: a header on the way that is
 * damaged leads to the right extent or to none, but where this one begins and ends
 * is all that says which entry is which.
 */
static bool
set_run_by_header(RqExtAddr addr, int class, const RqExtentHeader *h, RqOff off,
				  RqMapMode mode, RqExtRun *run)
{
	return rq_ext_problem(h, class, addr) == NULL &&
		set_run(addr, class, h->first, rq_ext_count(h, class), off, mode, run);
}

/*
 * The tail's word has the low half of "first" only.  The distance from there to
 * "off" is right if the queue's end, which is in the tail, is less than 2^31
 * entries away from "off".
 */
static bool
find_in_tail(RqQueue *q, uint64 tail, RqOff off, RqMapMode mode, RqExtRun *run)
{
	RqExtAddr	addr = RQ_EXT_TAIL_ADDR(tail);
	int			class = rq_ext_class(addr);
	uint32		in = (uint32) off - (uint32) tail;
	int64		to_end = (int64) (pg_atomic_read_u64(&q->end) - off);

	return class >= 0 && in < rq_ext_entries[class] &&
		to_end < PG_INT32_MAX && to_end > -PG_INT32_MAX &&
		set_run(addr, class, off - in, rq_ext_entries[class], off, mode, run);
}

/*
 * The extent after the one that was found before, if "off" is its first entry.
 * What the last extent's "next" says has no meaning, and so is checked like any
 * other.
 */
static bool
find_next(const RqExtOwner *owner, RqOff off, RqMapMode mode, RqExtRun *run)
{
	RqExtentHeader h;
	RqExtAddr	next;
	int			class;

	if (off != run->first + run->count ||
		!read_header(run->addr, owner, mode, &h))
		return false;
	next = h.next;
	class = rq_ext_class(next);
	return class >= 0 && read_header(next, owner, mode, &h) && h.first == off &&
		set_run_by_header(next, class, &h, off, mode, run);
}

/*
 * Where to go from an extent that begins after "off": as far as its jump, if
 * that is still the queue's and does not go too far, else one back.
 */
static RqExtAddr
step_back(const RqExtentHeader *h, const RqExtOwner *owner, RqOff off,
		  RqMapMode mode)
{
	RqExtentHeader to;
	int			class = rq_ext_class(h->jump);

	/* The class first: if the chunk gets another one, the header is gone. */
	if (class >= 0 && h->jump != h->prev &&
		read_header(h->jump, owner, mode, &to) && comes_before(&to, h) &&
		(to.first > off || off - to.first < rq_ext_count(&to, class)))
		return h->jump;
	return h->prev;
}

static bool
find_from(RqExtAddr addr, const RqExtOwner *owner, RqOff off, RqMapMode mode,
		  RqExtRun *run)
{
	RqExtentHeader h;
	RqOff		before = PG_UINT64_MAX;

	while (read_header(addr, owner, mode, &h) && h.first < before)
	{
		int			class = rq_ext_class(addr);

		if (class < 0)
			break;
		if (h.first <= off)
			return set_run_by_header(addr, class, &h, off, mode, run);
		before = h.first;
		addr = step_back(&h, owner, off, mode);
	}
	return false;
}

bool
rq_extent_find(RqQueue *q, const RqExtOwner *owner, RqOff off, RqMapMode mode,
			   RqExtRun *run)
{
	uint64		tail = pg_atomic_read_u64(&q->tail);
	RqExtOwner	own;

	if (tail == 0)
		return false;
	pg_read_barrier();
	if (find_in_tail(q, tail, off, mode, run))
		return true;
	if (owner == NULL)
	{
		own = rq_extent_owner(q);
		owner = &own;
	}
	return (run->addr != RQ_EXT_NONE && find_next(owner, off, mode, run)) ||
		find_from(RQ_EXT_TAIL_ADDR(tail), owner, off, mode, run);
}

void
rq_extent_fetch_end(RqQueue *q)
{
	uint64		tail = pg_atomic_read_u64(&q->tail);
	RqOff		end = pg_atomic_read_u64(&q->end);
	RqExtRun	run = {0};

	if (tail != 0 &&
		rq_area_is_mapped(RQ_EXT_CHUNK(RQ_EXT_TAIL_ADDR(tail)), RQ_MAP_PROBE_WRITE) &&
		find_in_tail(q, tail, end, RQ_MAP_PROBE_WRITE, &run))
		rq_prefetch(run.entries + (end - run.first));
}

/*
 * Is it one of the queue's extents?  Of those it has given back the last one's
 * "prev" still leads to others.
 */
bool
rq_extent_is_of(RqQueue *q, RqExtAddr addr, const RqExtentHeader *h)
{
	RqExtAddr	head = *(volatile RqExtAddr *) &q->head;
	const RqExtentHeader *of_head = rq_ext_header(head, RQ_MAP_PROBE);
	RqExtRun	run = {0};

	if (of_head == NULL)
		return false;
	if (addr == head || addr == RQ_EXT_TAIL_ADDR(pg_atomic_read_u64(&q->tail)))
		return true;
	return h->first >= of_head->first &&
		rq_extent_find(q, NULL, h->first, RQ_MAP_PROBE, &run) && run.addr == addr;
}

typedef struct Look
{
	RqQueue    *q;
	RqExtAddr	addr;
	const RqExtentHeader *h;
} Look;

static bool
is_not_of(void *arg)
{
	const Look *look = arg;

	return !rq_extent_is_of(look->q, look->addr, look->h);
}

/*
 * The startup process needs no lock to find a queue, and can hold a queue's when
 * it comes here; nobody else does.  What cannot be read may be needed.
 */
bool
rq_extent_is_needed(RqExtAddr addr, const RqExtentHeader *h)
{
	Look		look = {.addr = addr, .h = h};
	uint32		topic;
	bool		needed;

	if (!InRecovery)
		LWLockAcquire(rq_meta_lock, LW_SHARED);
	topic = rq_topic_index_find(h->key);
	if (topic != RQ_NO_SLOT)
		look.q = rq_queue_find(topic, h->queue_id);
	needed = look.q != NULL && look.q->born == h->born &&
		!rq_extent_try(is_not_of, &look);
	if (!InRecovery)
		LWLockRelease(rq_meta_lock);
	return needed;
}

/* ---- add ---- */

/*
 * The tail can begin beyond the end, if whoever has added it has not come to
 * using it.  Without the lock tail and end can be of different moments.
 */
uint64
rq_extent_room(const RqQueue *q)
{
	uint64		tail = pg_atomic_read_u64((pg_atomic_uint64 *) &q->tail);
	uint64		end = pg_atomic_read_u64((pg_atomic_uint64 *) &q->end);
	int			class = rq_ext_class(RQ_EXT_TAIL_ADDR(tail));
	int32		room;

	if (tail == 0 || class < 0)
		return 0;
	room = (int32) ((uint32) tail + rq_ext_entries[class] - (uint32) end);
	return Max(room, 0);
}

static void
report_lost_tail(const RqExtOwner *owner)
{
	rq_report_corruption(psprintf("queue %u of topic %u/%u", owner->queue_id,
								  owner->key.db, owner->key.rel),
						 "the header of its last extent is damaged");
}

/*
 * All of a new extent's header but "seq" and the checksum.  May throw.  Jumps that have been
 * trimmed are not the queue's any more; then this one goes one back only.
 */
static RqExtentHeader
plan_header(const RqExtOwner *owner, RqExtAddr prev, RqOff first)
{
	RqExtentHeader h = {.key = owner->key, .queue_id = owner->queue_id,
	.born = owner->born, .first = first, .prev = prev};
	RqExtentHeader p;
	RqExtentHeader pj;
	RqExtentHeader pjj;
	bool		has_pj;
	bool		has_pjj;

	if (prev == RQ_EXT_NONE)
		return h;
	if (!read_header(prev, owner, RQ_MAP_WRITE, &p))
		report_lost_tail(owner);
	has_pj = read_header(p.jump, owner, RQ_MAP_WRITE, &pj) &&
		comes_before(&pj, &p);
	has_pjj = has_pj && read_header(pj.jump, owner, RQ_MAP_WRITE, &pjj) &&
		comes_before(&pjj, &pj);
	h.depth = rq_ext_depth_after(p.depth);
	h.jump = rq_ext_jump(prev, &p, has_pj ? &pj : NULL, has_pjj ? &pjj : NULL);
	return h;
}

/* In small steps, since the queue's lock is held.  Returns 0 or an errno. */
static int
supply_in_redo(int class)
{
	uint64		want[RQ_EXT_CLASSES] = {0};
	int			err;

	want[class] = 1;
	(void) rq_extent_supply(want, RQ_CHUNK_SIZE, rq_extent_is_needed, &err);
	return rq_extents->nfree[class] == 0 ? err : 0;
}

/* An entry of zeros below a queue's end is one that was lost. */
static bool
pg_attribute_unused()
is_zero_extent(char *base, int class, uint32 place)
{
	const char *at = (const char *) rq_area_entries(base, class, place);
	Size		len = rq_ext_entries[class] * sizeof(RqEntry);

	return at[0] == 0 && memcmp(at, at + 1, len - 1) == 0;
}

/*
 * Take a free extent, with this header.  Everything is mapped before it is
 * taken, as that can throw; if the chunk has none left by then, another one is
 * looked for.  RQ_EXT_NONE if there is none; in recovery, "err" says why there
 * can be none.
 */
static RqExtAddr
take_extent(int class, RqExtentHeader *h, int *err)
{
	for (;;)
	{
		uint32		chunk = rq_free_chunk(class);
		RqExtentHeader *prev = NULL;
		char	   *base;
		RqExtAddr	addr;

		if (chunk == RQ_NO_CHUNK)
		{
			if (!InRecovery || (*err = supply_in_redo(class)) != 0)
				return RQ_EXT_NONE;
			continue;
		}
		if (h->prev != RQ_EXT_NONE)
			prev = rq_ext_header(h->prev, RQ_MAP_WRITE);
		base = rq_area_chunk(chunk, RQ_MAP_WRITE);
		addr = rq_free_take(chunk, class, base, h);
		if (addr == RQ_EXT_NONE)
			continue;
		Assert(is_zero_extent(base, class, RQ_EXT_PLACE(addr)));
		RQ_FAULT("extent-taken");
		if (prev != NULL)
			prev->next = addr;
		rq_area_mark(&rq_extents->marks, chunk);
		return addr;
	}
}

/*
 * An extent of that class; or, when the disk is full, a smaller one, for who needs
 * little.
 *
 * In recovery, whatever there is: extents here are not those that the primary had,
 * so what it had room for may find none of its class left.  Entries get more
 * extents than one then, or too large a one.
 */
static RqExtAddr
take_extent_or_other(int class, uint64 coming, RqExtentHeader *h)
{
	int			err = 0;
	RqExtAddr	addr = take_extent(class, h, &err);
	int			i;

	if (addr != RQ_EXT_NONE)
		return addr;
	if (pg_atomic_read_u32(&rq_extents->space.err) != 0)
	{
		for (i = class - 1; addr == RQ_EXT_NONE && i >= 0 &&
			 (InRecovery || coming <= rq_ext_entries[i]); i--)
			addr = take_extent(i, h, &err);
		for (i = class + 1; addr == RQ_EXT_NONE && i < RQ_EXT_CLASSES && InRecovery; i++)
			addr = take_extent(i, h, &err);
	}
	if (addr == RQ_EXT_NONE && InRecovery)
		rq_extent_report_lacking(err);
	return addr;
}

RqExtResult
rq_extent_add(RqQueue *q, RqOff first, uint64 coming)
{
	RqExtOwner	owner = rq_extent_owner(q);
	RqExtAddr	prev = RQ_EXT_TAIL_ADDR(pg_atomic_read_u64(&q->tail));
	RqExtentHeader h;
	RqExtAddr	addr;

	Assert(LWLockHeldByMeInMode(&q->lock, LW_EXCLUSIVE));
	Assert(first == pg_atomic_read_u64(&q->end) + rq_extent_room(q));
	h = plan_header(&owner, prev, first);
	addr = take_extent_or_other(rq_extent_next_class(q, first, coming), coming, &h);
	if (addr == RQ_EXT_NONE)
		return RQ_EXT_LACKING;
	pg_write_barrier();
	pg_atomic_write_u64(&q->tail, RQ_EXT_TAIL(addr, first));
	if (prev == RQ_EXT_NONE)
		q->head = addr;
	RQ_FAULT("extent-linked");
	return RQ_EXT_DONE;
}

/* ---- give back ---- */

static RqExtChain
whole_chain(const RqQueue *q)
{
	return (RqExtChain)
	{
		.head = q->head,
			.tail = RQ_EXT_TAIL_ADDR(pg_atomic_read_u64((pg_atomic_uint64 *) &q->tail))
	};
}

/*
 * Readers that have read "tail" before find out by "start", which has been
 * raised before.
 */
static void
forget_chain(RqQueue *q)
{
	pg_write_barrier();
	pg_atomic_write_u64(&q->tail, 0);
	q->head = RQ_EXT_NONE;
}

/*
 * A queue that has no messages keeps a small extent, or it would take one for
 * each message that is consumed at once.
 */
static bool
needs_nothing(const RqQueue *q, RqOff start, RqOff end)
{
	RqExtAddr	tail = whole_chain(q).tail;

	return start == end && (rq_ext_class(tail) > 0 || rq_extent_room(q) == 0);
}

/*
 * The extent before one of the queue's; RQ_EXT_NONE if it can't be mapped or is
 * not what it should be.  What comes of it is written to, so it is checked.
 */
static RqExtAddr
find_before(const RqQueue *q, const RqExtRun *run)
{
	RqExtOwner	owner = rq_extent_owner(q);
	RqExtentHeader h;
	RqExtAddr	prev;
	int			class;

	if (!read_header(run->addr, &owner, RQ_MAP_PROBE, &h))
		return RQ_EXT_NONE;
	prev = h.prev;
	class = rq_ext_class(prev);
	return class >= 0 && read_header(prev, &owner, RQ_MAP_PROBE, &h) &&
		h.first + rq_ext_count(&h, class) == run->first ? prev : RQ_EXT_NONE;
}

/* The chain that lies below the queue's start; false if there is none. */
typedef struct Cut
{
	RqQueue    *q;
	RqOff		start;
	RqExtChain	chain;			/* the queue's whole one, before */
	RqExtAddr	head;			/* of what is left */
} Cut;

static bool
find_cut(void *arg)
{
	Cut		   *cut = arg;
	RqExtRun	run = {0};

	if (!rq_extent_find(cut->q, NULL, cut->start, RQ_MAP_PROBE, &run) ||
		run.addr == cut->chain.head)
		return false;
	cut->chain.tail = find_before(cut->q, &run);
	cut->head = run.addr;
	return cut->chain.tail != RQ_EXT_NONE;
}

void
rq_extent_cut(RqQueue *q)
{
	Cut			cut = {.q = q, .start = pg_atomic_read_u64(&q->start),
	.chain = whole_chain(q)};

	Assert(LWLockHeldByMeInMode(&q->lock, LW_EXCLUSIVE));
	if (cut.chain.head == RQ_EXT_NONE)
		return;
	if (needs_nothing(q, cut.start, pg_atomic_read_u64(&q->end)))
	{
		uint64		tail = pg_atomic_read_u64(&q->tail);

		forget_chain(q);
		if (rq_chain_give_back(cut.chain))
			return;
		q->head = cut.chain.head;
		pg_atomic_write_u64(&q->tail, tail);
		return;
	}
	if (!rq_extent_try(find_cut, &cut))
		return;
	q->head = cut.head;
	if (!rq_chain_give_back(cut.chain))
		q->head = cut.chain.head;
}
