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
 * what held it the last time still does.  Otherwise all queues are asked, each
 * of whose entries has to be read only once for that (rq_lowest.c).
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
#include "retain/rq_lowest.h"
#include "retain/rq_needs.h"
#include "topic/rq_topic.h"

/* Blocks of entries read in a round. */
#define LEARN_BLOCKS_ROUND	4096

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
ask_entries(RqRound *r, RqQueue *q)
{
	RqKept		who = {.what = RQ_KEEPS_UNRESOLVED,
	.key = rq_queue_key(q), .queue_id = q->id};
	RqOff		end = pg_atomic_read_u64(&q->end);
	RqOff		resolved;
	RqOff		from;
	uint32		holder;

	RQ_ASSERT_META_LOCK(LW_SHARED);

	/*
	 * The end is read before the entries below it.  Pairs with the write
	 * barrier of rq_queue_enqueue(), which has written them before it raises
	 * the end.
	 */
	pg_read_barrier();
	resolved = Min(q->logged_stable, end);
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
			ask_entries(r, rq_topic_queue(topic, i));
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

/* The one that kept the oldest segment the last time comes first. */
static void
ask_queues(RqRound *r)
{
	static uint32 last_topic = 0;
	static uint32 last_queue = 0;

	if (last_topic < rq_topics_begun())
		ask_or_keep(r, last_topic, last_queue);
	for (uint32 t = 0; t < rq_topics_begun(); t++)
		for (uint32 i = 0; i < rq_topic_nslots(t) && !rq_round_keeps_all(r); i++)
		{
			ask_or_keep(r, t, i);
			last_topic = t;
			last_queue = i;
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
