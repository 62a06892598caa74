/*
 * rq_saved.c
 *	  Places of groups after the restore of a dump.
 *
 * Given a group that had consumed some messages of a queue when it was dumped,
 * where does it go on in the restored queue?
 *
 * Offsets are new after a restore, so a dump records a group's place by
 * numbers of messages: how many the queue had (saved_total) and how many of
 * them the group had still to consume (saved_left).  Groups can be restored
 * before, after or at the same time as the messages of their topic.  So the
 * place is found later: as soon as the queue begins with as many copies of
 * messages as it had.  The place is after all but the last "saved_left" of
 * them; a message that is no copy is never passed over.
 *
 * The search ends when the group is used: if the messages are not there by then
 * they may never come, and others that do come, copies too, must not be passed
 * over.  Then the group begins at the first message.
 *
 * The janitor looks for those whose messages have come.  How many groups wait
 * for how many messages is up to users, so a round does little, and the next
 * one goes on after it.  It reads each copy in a queue once, whatever the
 * number of groups: it remembers how many there are before each block.  Others
 * who want to know a place search for it themselves, up to a limit of theirs.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "base/rq_compat.h"
#include "base/rq_fault.h"
#include "base/rq_guc.h"
#include "base/rq_text.h"
#include "consume/rq_offset.h"
#include "consume/rq_saved.h"
#include "queue/rq_entry.h"
#include "queue/rq_resolve.h"
#include "shmem/rq_workers.h"
#include "topic/rq_topic.h"

/* What the janitor does in a round, in entries read and alike. */
#define ROUND_BUDGET	(256 * 1024)

/* A visit to an offset costs locks. */
#define VISIT_COST		32

/* Entries in a block. */
#define PER_BLOCK		2048

/* ---- one place ---- */

RqSaved
rq_saved_of(RqOffset *o)
{
	LWLock	   *lock = rq_offset_lock(o);
	RqSaved		s;

	LWLockAcquire(lock, LW_SHARED);
	s.total = o->state == RQ_OFFSET_OPEN ? o->saved_total : 0;
	s.left = Min(o->state == RQ_OFFSET_OPEN ? o->saved_left : 0, s.total);
	LWLockRelease(lock);
	return s;
}

static bool
has_room_for(RqQueue *q, uint64 total)
{
	RqOff		start = pg_atomic_read_u64(&q->start);
	RqOff		stable = pg_atomic_read_u64(&q->stable);

	return stable > start && stable - start >= total;
}

typedef enum EntryKind
{
	NOTHING,					/* rolled back, or trimmed */
	A_COPY,
	ANOTHER
} EntryKind;

static EntryKind
kind_of(RqQueue *q, RqOff off, RqExtRun *run)
{
	RqEntry		e;

	if (!rq_queue_next_entry(q, off, run, &e) ||
		(e.len_flags & RQ_ENTRY_ABORTED) != 0)
		return NOTHING;
	return (e.len_flags & RQ_ENTRY_COPY) != 0 ? A_COPY : ANOTHER;
}

/*
 * Count copies from the queue's start on.  The place is where all but "left"
 * of the "total" have been passed, but holds only if all of them are there,
 * before any message that is no copy.  Entries that were rolled back, or
 * trimmed since, do not count.
 */
bool
rq_saved_find(RqQueue *q, RqSaved s, uint64 *budget, RqOff *place)
{
	RqOff		stable = pg_atomic_read_u64(&q->stable);
	RqOff		off = pg_atomic_read_u64(&q->start);
	RqExtRun	run = {0};
	uint64		count = 0;

	if (s.total == 0 || !has_room_for(q, s.total))
		return false;

	/*
	 * "stable" before the entries below it: pairs with the write barrier in
	 * resolve_chunk() (queue/rq_resolve.c).
	 */
	pg_read_barrier();
	*place = off;
	for (; off < stable && count < s.total && *budget > 0; off++)
	{
		EntryKind	kind = kind_of(q, off, &run);

		if (off % 1024 == 0)
		{
			CHECK_FOR_INTERRUPTS();
			RQ_FAULT("saved-search");
		}
		(*budget)--;
		if (kind == ANOTHER)
			return false;
		if (kind == A_COPY && ++count == s.total - s.left)
			*place = off + 1;
	}
	return count == s.total;
}

/*
 * A first check without the group's lock, for all the groups that were never
 * restored: an offset is open when the group is created, and then never again.
 */
RqOff
rq_saved_offset(RqQueue *q, RqOffset *o, uint64 *budget)
{
	RqOff		place;

	if (unlikely(o->state == RQ_OFFSET_OPEN) &&
		rq_saved_find(q, rq_saved_of(o), budget, &place))
		return place;
	return rq_offset_committed(o);
}

/*
 * The group is read under the meta lock, under which its id shows whether it is
 * still the same.  The search, which can be long, comes afterwards: the lock on
 * the relation keeps the queue.
 */
bool
rq_saved_peek(RqQueue *q, RqGroupRef group, RqOff *offset)
{
	uint64		budget = PG_UINT64_MAX;
	RqSaved		s = {0};
	RqOff		place;
	bool		there;

	LWLockAcquire(rq_meta_lock, LW_SHARED);
	there = rq_groups[group.slot].id == group.id;
	if (there)
	{
		RqOffset   *o = rq_group_offset(group.slot, q->id);

		s = rq_saved_of(o);
		*offset = rq_offset_committed(o);
	}
	LWLockRelease(rq_meta_lock);
	if (there && rq_saved_find(q, s, &budget, &place))
		*offset = place;
	return there;
}

/* A group whose messages are not there. */
typedef struct Loser
{
	char		name[RQ_GROUP_NAME_MAX + 1];
	RqKey		key;			/* of its topic */
	uint32		queue_id;
	uint64		consumed;		/* as the dump says; 0 = nothing to report */
	uint64		total;
} Loser;

/* The caller holds what keeps the group. */
static Loser
loser(const RqOffset *o, RqSaved s)
{
	const RqGroup *g = &rq_groups[o->group];
	Loser		l = {.key = rq_topic_key(g->topic), .queue_id = o->queue_id,
		.consumed = s.total - s.left,
	.total = s.total};

	strlcpy(l.name, g->name, sizeof(l.name));
	return l;
}

static void
tell(const Loser *l)
{
	if (l->consumed > 0)
		ereport(LOG,
				(errmsg("consumer group \"%s\" of rocketq topic %u/%u starts from the first message of queue %u",
						rq_text_from(l->key.db, l->name), l->key.db, l->key.rel, l->queue_id),
				 errdetail("It was restored from a dump as having consumed " UINT64_FORMAT " of " UINT64_FORMAT " messages, but the queue does not begin with those.",
						   l->consumed, l->total)));
}

/*
 * Search first, then enter the gate for the record, since the search can be
 * long.  The janitor may have placed the group by then; rq_offset_place()
 * checks that.
 */
void
rq_saved_place(const RqCursor *c)
{
	RqOffset   *o = c->offset;
	uint64		budget = PG_UINT64_MAX;
	RqSaved		s;
	RqOff		off;
	bool		found;

	Assert(rq_group_owner(c->group, c->q->id) == (int) RQ_MY_PROC_NUMBER);
	if (likely(o->state != RQ_OFFSET_OPEN))
		return;
	s = rq_saved_of(o);
	if (s.total == 0)
		return;
	rq_resolve_refresh(c->q);
	found = rq_saved_find(c->q, s, &budget, &off);
	if (!found)
		off = pg_atomic_read_u64(&c->q->start);
	rq_gate_enter();
	rq_offset_place(o, off);
	rq_gate_leave();
	if (!found)
	{
		Loser		l = loser(o, s);

		tell(&l);
	}
}

/* ---- what the janitor knows of queues ---- */

/*
 * The copies at the beginning of a queue: those among [first, upto).  "before"
 * has, for each block of these entries, how many copies come before it.
 */
typedef struct Known
{
	uint32		queue;			/* its slot */
	uint64		incarnation;	/* of its topic */
	RqOff		first;
	RqOff		upto;
	uint64		count;
	bool		ended;			/* another message follows them */
	uint64		max;
	uint64	   *before;
} Known;

static MemoryContext known_cxt = NULL;
static HTAB *known_queues = NULL;

/*
 * What is known of the queue.  Nothing yet if the slot is another topic's now,
 * or retention has moved the start: counts begin there.
 */
static Known *
copies_of(RqQueue *q)
{
	uint32		slot = (uint32) (q - rq_queues);
	RqOff		start = pg_atomic_read_u64(&q->start);
	bool		found;
	Known	   *k;

	RQ_ASSERT_META_LOCK(LW_SHARED);
	if (known_queues == NULL)
	{
		HASHCTL		info = {.keysize = sizeof(uint32),
		.entrysize = sizeof(Known)};

		if (known_cxt == NULL)
			known_cxt = AllocSetContextCreate(TopMemoryContext,
											  "rocketq restored groups",
											  ALLOCSET_DEFAULT_SIZES);
		info.hcxt = known_cxt;
		known_queues = hash_create("rocketq copies", 64, &info,
								   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	k = hash_search(known_queues, &slot, HASH_ENTER, &found);
	if (!found)
	{
		k->before = NULL;
		k->max = 0;
	}
	if (!found || k->incarnation != rq_queue_topic(q)->incarnation ||
		k->first != start)
	{
		k->incarnation = rq_queue_topic(q)->incarnation;
		k->first = k->upto = start;
		k->count = 0;
		k->ended = false;
	}
	return k;
}

static void
forget_all(void)
{
	known_queues = NULL;
	if (known_cxt != NULL)
		MemoryContextReset(known_cxt);
}

/* Another block begins: note how many copies come before it. */
static void
note_block(Known *k)
{
	uint64		block = (k->upto - k->first) / PER_BLOCK;

	if (block >= k->max)
	{
		uint64		more = Max(16, 2 * k->max);

		k->before = k->before == NULL ?
			MemoryContextAllocHuge(known_cxt, more * sizeof(uint64)) :
			repalloc_huge(k->before, more * sizeof(uint64));
		k->max = more;
	}
	k->before[block] = k->count;
}

/*
 * Read at most "most" further entries, until "total" copies are known; false if
 * there is more to read.
 */
static bool
learn(Known *k, RqQueue *q, uint64 total, int most)
{
	RqOff		stable = pg_atomic_read_u64(&q->stable);
	RqExtRun	run = {0};

	/* As in rq_saved_find(). */
	pg_read_barrier();
	while (!k->ended && k->count < total && k->upto < stable)
	{
		EntryKind	kind;

		if (most-- == 0)
			return false;
		if ((k->upto - k->first) % PER_BLOCK == 0)
			note_block(k);
		kind = kind_of(q, k->upto, &run);
		k->ended = kind == ANOTHER;
		if (kind == A_COPY)
			k->count++;
		if (!k->ended)
			k->upto++;
	}
	return true;
}

/*
 * The place after the first "n" copies; at least that many are known.  Find the
 * block by the counts, and read only that one.
 */
static RqOff
place_behind(const Known *k, RqQueue *q, uint64 n)
{
	uint64		low = 0;
	uint64		high = (k->upto - k->first + PER_BLOCK - 1) / PER_BLOCK;
	uint64		count;
	RqExtRun	run = {0};
	RqOff		off;

	if (n == 0)
		return k->first;

	/* The last block with fewer than n copies before it has the n-th one. */
	while (high - low > 1)
	{
		uint64		mid = low + (high - low) / 2;

		if (k->before[mid] < n)
			low = mid;
		else
			high = mid;
	}
	count = k->before[low];
	for (off = k->first + low * PER_BLOCK; count < n; off++)
		if (kind_of(q, off, &run) == A_COPY)
			count++;
	return off;
}

/* ---- the janitor's round ---- */

/*
 * Search for the place of one offset, for as much as one hold of the meta lock
 * is for; false if that is not finished.  Three ways to finish: all copies are
 * there; another message comes first, so they cannot come any more; or the
 * queue ends before that, and more may come.
 */
static bool
look_after(RqOffset *o, int *budget, Loser *l)
{
	uint32		topic = rq_groups[o->group].topic;
	RqQueue    *q = rq_topic_queue(topic, o->queue_id);
	RqSaved		s = rq_saved_of(o);
	Known	   *k;
	RqOff		before;
	bool		done;

	RQ_FAULT_OF("saved-look", rq_groups[o->group].id);
	RQ_ASSERT_META_LOCK(LW_SHARED);
	if (s.total == 0 || !has_room_for(q, s.total))
		return true;
	k = copies_of(q);
	before = k->upto;
	done = learn(k, q, s.total, RQ_META_HOLD_ENTRIES);
	*budget -= (int) (k->upto - before);
	if (k->count >= s.total)
		rq_offset_place(o, place_behind(k, q, s.total - s.left));
	else if (k->ended)
	{
		rq_offset_place(o, k->first);
		*l = loser(o, s);
	}
	else
		return done;
	*budget -= PER_BLOCK;
	return true;
}

/*
 * The same, as long as there is some of the budget left.  Between two holds of
 * the meta lock the slot can be freed or go to another group, so each begins
 * anew with what is there; what is known of the queue stays.
 */
static bool
visit(RqOffset *o, int *budget)
{
	Loser		l = {.consumed = 0};
	bool		done = false;

	while (!done && *budget > 0)
	{
		uint64		xid;

		CHECK_FOR_INTERRUPTS();
		*budget -= VISIT_COST;
		rq_gate_enter();
		LWLockAcquire(rq_meta_lock, LW_SHARED);
		done = o->group == RQ_NO_SLOT ||
			rq_group_state_locked(o->group, &xid) != RQ_GROUP_PRESENT ||
			look_after(o, budget, &l);
		LWLockRelease(rq_meta_lock);
		rq_gate_leave();
	}
	tell(&l);
	return done;
}

/* Where to go on, and whether an offset has been seen to wait in this pass. */
static uint32 next_open = 0;
static bool seen_open = false;

/*
 * Those from there on and before "to" that are open, until the budget is used up.
 * True if there is more to do at once.
 */
static bool
place_before(uint32 to, int *budget)
{
	bool		more = false;

	while (*budget > 0 && next_open < to &&
		   rq_bits_next(&rq_open_offsets, &next_open) && next_open < to)
	{
		int			before = *budget;

		/* The next round goes on after it, also if this one throws there. */
		RqOffset   *o = &rq_offsets[next_open++];

		seen_open = true;
		if (!visit(o, budget) ||
			(*budget <= 0 && before - *budget > VISIT_COST))
			more = true;
	}
	return more;
}

/*
 * Each visit to an offset and each entry take from the budget.  What an offset
 * still needs when that is used up it gets when its turn comes again, so that
 * none holds up the others.  The next round comes at once if this one has made
 * progress.
 */
void
rq_saved_place_round(void)
{
	uint32		begun = next_open;
	int			budget = ROUND_BUDGET;
	bool		more = place_before(rq_open_offsets.nslots, &budget);

	if (budget > 0)
	{
		/* The pass ends, and another one begins. */
		if (!seen_open)
			forget_all();
		next_open = 0;
		seen_open = false;
		more |= place_before(begun, &budget);
	}
	if (more)
		rq_worker_wake(RQ_JANITOR);
}
