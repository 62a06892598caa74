/*
 * rq_chaincheck.c
 *	  Check the extents of a queue while others use it.
 *
 * First without a lock.  What seems to be wrong then can be because the queue was
 * trimmed, so it is looked at again under the queue's lock.
 */
#include "postgres.h"

#include "extent/rq_extlist.h"
#include "queue/rq_chaincheck.h"

/* An extent of a queue after the one before, with that one's address and class. */
static const char *
link_problem(const RqExtentHeader *h, RqExtAddr before, int class_before,
			 const RqExtentHeader *b)
{
	const RqExtentHeader *jump;

	if (h->prev != before || h->depth != rq_ext_depth_after(b->depth))
		return "an extent does not name the one before it";
	if (h->first != b->first + rq_ext_count(b, class_before))
		return "there is a gap between its extents";
	if (h->jump == h->prev)
		return NULL;
	/* What it jumps to can be no longer the queue's, but not be behind it. */
	jump = rq_ext_header(h->jump, RQ_MAP_PROBE);
	if (jump != NULL && jump->born == h->born && jump->queue_id == h->queue_id &&
		RQ_KEY_EQ(jump->key, h->key) && jump->first >= h->first)
		return "an extent jumps forward";
	return NULL;
}

static const char *
header_problem(RqExtAddr addr, int class, const RqExtentHeader *h,
			   const RqExtOwner *owner)
{
	const char *problem = rq_ext_problem(h, class, addr);

	if (problem == NULL &&
		(!RQ_KEY_EQ(h->key, owner->key) || h->queue_id != owner->queue_id ||
		 h->born != owner->born))
		return "an extent is another queue's";
	return problem;
}

static const char *
tail_problem(const RqExtentHeader *h, int class, uint64 tail, RqOff end)
{
	if (rq_ext_count(h, class) != rq_ext_entries[class] ||
		(uint32) h->first != (uint32) tail)
		return "its last extent does not begin or end where it should";
	return h->first + rq_ext_entries[class] < end ? "its last extent ends before its last entry" : NULL;
}

/*
 * Ends, since "first" rises from each extent to the next.  An extent's class is
 * asked for once, before its header is read: if the chunk gets another class then,
 * the header is gone.
 */
static const char *
chain_problem(RqQueue *q, const RqExtOwner *owner)
{
	uint64		tail = pg_atomic_read_u64(&q->tail);
	RqExtAddr	addr = *(volatile RqExtAddr *) &q->head;
	RqExtAddr	before = RQ_EXT_NONE;
	int			class_before = -1;
	RqOff		start = pg_atomic_read_u64(&q->start);
	RqOff		end = pg_atomic_read_u64(&q->end);
	RqExtentHeader b = {0};
	RqExtentHeader h;

	if ((tail == 0) != (addr == RQ_EXT_NONE))
		return "only one end of its extents is known";
	if (tail == 0)
		return start == end ? NULL : "it has messages, but no extents";
	for (;;)
	{
		int			class = rq_ext_class(addr);
		const RqExtentHeader *at = rq_ext_header(addr, RQ_MAP_READ);
		const char *problem;

		if (class < 0 || at == NULL)
			return "the address of an extent is wrong";
		h = *at;
		problem = header_problem(addr, class, &h, owner);
		if (problem == NULL && before != RQ_EXT_NONE)
			problem = link_problem(&h, before, class_before, &b);
		else if (problem == NULL && h.first > start)
			problem = "its first extent begins after its first entry";
		if (problem != NULL)
			return problem;
		if (addr == RQ_EXT_TAIL_ADDR(tail))
			return tail_problem(&h, class, tail, end);
		b = h;
		before = addr;
		class_before = class;
		addr = h.next;
	}
}

/*
 * A page that cannot be read is an error while the lock is held, which a caller
 * that catches it would keep.
 */
const char *
rq_chaincheck(RqQueue *q, const RqExtOwner *owner)
{
	const char *problem = chain_problem(q, owner);

	if (problem == NULL)
		return NULL;
	LWLockAcquire(&q->lock, LW_SHARED);
	PG_TRY();
	{
		problem = chain_problem(q, owner);
	}
	PG_CATCH();
	{
		LWLockReleaseAll();
		PG_RE_THROW();
	}
	PG_END_TRY();
	LWLockRelease(&q->lock);
	return problem;
}
