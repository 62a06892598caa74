/*
 * rq_needs.c
 *	  The lowest position that somebody needs.
 *
 * What must stay is found as the lowest position that somebody needs; segments
 * below it can go.  Positions are needed by
 *
 *		1. a running transaction, for the frames it has appended;
 *		2. entries that are not resolved, or not logged as such;
 *		3. messages younger than the retention time of their topic;
 *		4. consumer groups, for what they have not consumed, if
 *		   rocketq.keep_unconsumed is on and the group was used within
 *		   rocketq.group_idle_timeout;
 *		5. processes that read (log/rq_reader.c);
 *		6. queues of which a file cannot be read: nobody knows what for.
 *
 * 3 does not count for what lies further before the log's end than
 * rocketq.retention_size, nor when the disk is too full; 4 and 5 do not for
 * what lies further before it than rocketq.max_kept_size.
 *
 * This costs next to nothing while the oldest segment is too young, or while
 * what held it the last time still does.  Otherwise those queues are asked that
 * have entries in it (rq_floor.c), each of which has to be read only once for
 * that (rq_lowest.c); and if nobody needs the segment, those with entries in the
 * next one, up to what may go in a round.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/proc.h"

#include "base/rq_compat.h"
#include "base/rq_fault.h"
#include "base/rq_guc.h"
#include "consume/rq_offset.h"
#include "consume/rq_unused.h"
#include "log/rq_log.h"
#include "queue/rq_entry.h"
#include "retain/rq_expire.h"
#include "retain/rq_floor.h"
#include "retain/rq_lowest.h"
#include "retain/rq_needs.h"
#include "shmem/rq_stats.h"
#include "topic/rq_topic.h"

/* Blocks of entries read in a round. */
#define LEARN_BLOCKS_ROUND	4096

/* How many slots without a queue are passed under a hold of the meta lock. */
#define PASS_HOLD			1024

/*
 * Somebody needs what lies at "pos" and after it, but not below "floor".  The
 * rest of "who" is filled in by the caller.  A need that gives way to its
 * floor is remembered, for the log to say why messages went.
 */
static void
need(RqRound *r, const RqKept *who, RqPos pos, RqPos floor)
{
	if (pos >= r->kept.pos)
		return;
	r->wanted = Min(r->wanted, pos);
	if (pos < floor && floor < r->given_way)
	{
		r->given_way = floor;
		r->gave_way = who->what;
	}
	if (Max(pos, floor) < r->kept.pos)
	{
		r->kept = *who;
		r->kept.pos = Max(pos, floor);
	}
}

/* Was the first frame at or after "pos" that can be read stored before that? */
static bool
is_older(RqPos pos, TimestampTz than)
{
	RqPos		next;
	RqFrame		frame;
	const char *problem;

	while (rq_log_walk(&pos, rq_log_written_end(), &frame, &next, &problem))
	{
		if (problem == NULL)
			return frame.stored_at < than;
		pos = next;
	}
	return false;
}

/*
 * What of a queue must stay: entries whose outcome is not logged, then by
 * time, then for groups.  Each is asked only for what is lower than all needs
 * found so far (r->kept.pos).
 */
static void
ask_entries(RqRound *r, RqQueue *q, RqOff end)
{
	RqKept		who = {.what = RQ_KEEPS_UNRESOLVED,
	.key = rq_queue_key(q), .queue_id = q->id};
	RqOff		resolved = Min(q->logged_stable, end);
	RqOff		from;
	uint32		holder;

	RQ_ASSERT_META_LOCK(LW_SHARED);
	need(r, &who, rq_lowest_below(q, resolved, end, r->kept.pos), 0);

	who.what = RQ_KEEPS_TIME;
	from = rq_queue_offset_at(q, rq_expire_before(q->topic, r->now));
	if (rq_topic_committed(q->topic)->retention_s == RQ_RETENTION_DEFAULT)
		who.key.db = who.key.rel = 0;
	need(r, &who, rq_lowest_below(q, from, resolved, r->kept.pos),
		 r->young_floor);

	who.key = rq_queue_key(q);
	holder = rq_group_holding(q, &from);
	if (holder == RQ_NO_SLOT)
		return;
	who.what = RQ_KEEPS_GROUP;
	strlcpy(who.group, rq_groups[holder].name, sizeof(who.group));
	from = Max(from, pg_atomic_read_u64(&q->start));
	need(r, &who, rq_lowest_below(q, from, resolved, r->kept.pos),
		 r->held_floor);
}

/*
 * The lowest position of the queue's entries, RQ_INVALID_POS if it has none.
 * The first one counts even if it was aborted, so that it goes with its segment.
 */
static RqPos
floor_of(const RqRound *r, RqQueue *q, RqOff end)
{
	RqOff		start = pg_atomic_read_u64(&q->start);
	RqPos		floor = rq_round_last_segment(r);
	RqExtRun	run = {0};
	RqEntry		e;

	RQ_ASSERT_META_LOCK(LW_SHARED);
	if (start == end)
		return RQ_INVALID_POS;
	if (rq_queue_entry_or_lost(q, start, &run, &e))
		floor = Min(floor, e.pos);
	return rq_lowest_between(q, start, end, r->start, floor);
}

/* All that a queue has to say, once what can be learnt of it is. */
static void
ask_learnt(RqRound *r, RqQueue *q)
{
	RqOff		end = pg_atomic_read_u64(&q->end);

	/*
	 * The end is read before the entries below it.  Pairs with the write
	 * barrier of rq_queue_enqueue(), which has written them before it raises
	 * the end.
	 */
	pg_read_barrier();
	ask_entries(r, q, end);
	rq_floor_set((uint32) (q - rq_queues), floor_of(r, q, end));
	rq_count(RQ_STAT_QUEUES_ASKED, 1);
}

/*
 * Ask the i-th queue of a topic.  Its entries are read first, a block under a
 * hold of the meta lock, since there can be any number of them.  The topic can
 * lose the queue between two holds, or be dropped; so that is checked each
 * time.
 */
static void
ask_queue(RqRound *r, uint32 topic, uint32 i, RqTrim *unused)
{
	bool		done = false;

	while (!done && !rq_round_keeps_all(r))
	{
		CHECK_FOR_INTERRUPTS();
		LWLockAcquire(rq_meta_lock, LW_SHARED);
		done = i >= rq_topic_nslots(topic) ||
			rq_lowest_learn(rq_topic_queue(topic, i));
		if (done && i < rq_topic_nslots(topic))
			ask_learnt(r, rq_topic_queue(topic, i));
		LWLockRelease(rq_meta_lock);

		/* The rest is for the next round; until then all is kept. */
		if (!done && --r->blocks <= 0)
		{
			r->kept.what = RQ_KEEPS_UNKNOWN;
			r->kept.pos = r->start;
		}
	}
}

/* A queue that cannot be read may need anything, and keeps the whole log. */
static void
ask_or_keep(RqRound *r, uint32 topic, uint32 i)
{
	RqKept		who = {.what = RQ_KEEPS_UNREADABLE,
	.key = rq_topic_key(topic), .queue_id = i};

	if (!rq_round_look(r, ask_queue, topic, i, NULL))
		need(r, &who, r->start, 0);
}

/*
 * Ask the queue in a slot.  If it has none, it is as if that were empty, and so
 * are the slots after it that have none.
 */
static void
ask_slot(RqRound *r, uint32 slot)
{
	uint32		topic;
	uint32		i;

	LWLockAcquire(rq_meta_lock, LW_SHARED);
	topic = rq_queues[slot].topic;
	i = rq_queues[slot].id;
	for (uint32 n = 0; n < PASS_HOLD && topic == RQ_NO_SLOT &&
		 slot + n < rq_slots_begun(rq_queue_pool) &&
		 rq_queues[slot + n].topic == RQ_NO_SLOT; n++)
		rq_floor_set(slot + n, RQ_INVALID_POS);
	LWLockRelease(rq_meta_lock);
	if (topic != RQ_NO_SLOT)
		ask_or_keep(r, topic, i);
}

/*
 * Ask those with entries in [from, below) of the log, until one needs something
 * there; the one that did so the last time comes first.  Returns the lowest
 * floor of those that were not asked, for none of which there is anything to be
 * asked further down.
 */
static RqPos
ask_between(RqRound *r, RqPos from, RqPos below)
{
	static uint32 last = 0;
	RqPos		least = r->limit;
	uint32		first = RQ_NO_SLOT;

	if (rq_floor_is_between(last, from, below))
	{
		first = last;
		ask_slot(r, first);
	}
	for (uint32 slot = rq_floor_next(0, from, below, &least);
		 slot != RQ_NO_SLOT && r->kept.pos >= below;
		 slot = rq_floor_next(slot + 1, from, below, &least))
		if (slot != first)
		{
			last = slot;
			ask_slot(r, slot);
		}
	return least;
}

/*
 * A segment after the other, and only the first time also those whose entries
 * nobody has looked at.  Who has been asked has told all that it needs, also
 * further up.
 */
static void
ask_queues(RqRound *r)
{
	RqPos		from = 0;
	RqPos		below = r->first_end;

	rq_floor_begin();
	while (below <= r->limit && below <= r->kept.pos)
	{
		RqPos		least = ask_between(r, from, below);

		if (r->kept.pos < below)
			return;
		r->asked = from = rq_log_segment_start(rq_log_segno(least));
		below = from + rq_log->segment_size;
	}
}

/* Those without a need have RQ_INVALID_POS, the highest of all. */
static void
ask_backends(RqRound *r)
{
	for (int i = 0; i < rq_max_backends(); i++)
	{
		RqKept		who = {.what = RQ_KEEPS_XACT};

		if (i < (int) ProcGlobal->allProcCount)
			who.pid = GetPGProcByNumber(i)->pid;
		need(r, &who, pg_atomic_read_u64(&rq_backends[i].xact_pos), 0);
		who.what = RQ_KEEPS_READER;
		need(r, &who, pg_atomic_read_u64(&rq_backends[i].read_pos),
			 r->held_floor);
	}
}

/*
 * Find what must stay.  Transactions are asked before the queues: one that
 * ends in between has its entries there, and one that begins appends after the
 * end we have read.  In the other order, a transaction that ends in between
 * would be found in neither place.
 */
void
rq_needs_find(RqRound *r)
{
	const RqKept young = {.what = RQ_KEEPS_TIME};

	if (rq_round_keeps_all(r))
		return;
	r->blocks = LEARN_BLOCKS_ROUND;

	/*
	 * The cheap test, for the most common case: the oldest segment ends with
	 * messages too young for any topic, and neither size nor disk wants it.
	 */
	if (r->young_floor < r->first_end &&
		!is_older(r->first_end, rq_expire_first_before(r->now)))
	{
		need(r, &young, r->start, 0);
		return;
	}

	/*
	 * The end (rq_round_begin()) is read before xact_pos.  A transaction that
	 * has appended below that end has noted its xact_pos before it ended its
	 * reservation: pairs with rq_log_reserve() and rq_log_published(), with
	 * the locks of a WAL insertion in between.
	 */
	pg_memory_barrier();
	ask_backends(r);
	RQ_FAULT("retain-asked");

	/*
	 * xact_pos of all is read before any queue.  A transaction that no longer
	 * has one has enqueued its entries: pairs with the release of the queues'
	 * locks at pre-commit, after which rq_txn.c forgets xact_pos.
	 */
	pg_memory_barrier();
	ask_queues(r);
}
