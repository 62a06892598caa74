/*
 * rq_retain.c
 *	  Which messages nobody needs any more.
 *
 * Given everybody who may still want a message, which segments of the log can
 * go now, and if none, who is it that keeps them?
 *
 * The log loses whole segments, the oldest first.  What must stay is found as
 * the lowest position that somebody needs; segments below it go.  Positions
 * are needed by
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
 * what lies further before it than rocketq.max_kept_size.  A group whose
 * messages go by that, or because it holds nothing, has lost them: that is
 * counted and logged (rq_trim.c).
 *
 * A queue's start moves over entries that point below the log's start.  One
 * that follows a younger entry is left where it is, and readers pass over it.
 *
 * A round costs next to nothing while the oldest segment is too young, or
 * while what held it the last time still does.  Otherwise all queues are
 * asked, each of whose entries has to be read only once for that
 * (rq_lowest.c).
 *
 * Nothing is locked between the search and the trim: what is produced in
 * between lies after the end that was read, and a reader that comes in between
 * is noticed by the trim itself.
 *
 * Messages of a topic with a retention time of its own also leave its queues
 * when that is over, before their segment can go: see expire_topics().
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/proc.h"
#include "utils/timestamp.h"

#include "base/rq_compat.h"
#include "base/rq_fault.h"
#include "base/rq_guc.h"
#include "base/rq_text.h"
#include "consume/rq_offset.h"
#include "consume/rq_unused.h"
#include "log/rq_disk.h"
#include "log/rq_log.h"
#include "queue/rq_queue.h"
#include "retain/rq_lowest.h"
#include "retain/rq_retain.h"
#include "retain/rq_trim.h"
#include "shmem/rq_workers.h"
#include "topic/rq_alter.h"
#include "topic/rq_group.h"
#include "topic/rq_topic.h"

/* Blocks of entries read under one hold of the meta lock, and in a round. */
#define LEARN_BLOCKS		64
#define LEARN_BLOCKS_ROUND	4096

/*
 * A topic's expired messages are left for another 1/EXPIRE_SHARE of its time,
 * or until there are EXPIRE_COUNT of them in a queue.
 */
#define EXPIRE_SHARE		16
#define EXPIRE_COUNT		2048

/*
 * The most that goes in one round: of the log, in megabytes, but at least a
 * segment; of topics with a time of their own, in entries of a queue and of
 * all.  The next round comes at once.
 */
#define TRIM_ROUND_MB		256
#define EXPIRE_QUEUE_MAX	65536
#define EXPIRE_ROUND		(1024 * 1024)

/* How often it is reported that a full disk can't be trimmed, and why not. */
#define TELL_STUCK_INTERVAL	(60 * USECS_PER_SEC)

typedef struct Round
{
	TimestampTz now;
	RqPos		start;			/* of the log */
	RqPos		first_end;		/* of its oldest segment */
	RqPos		young_floor;	/* 3 does not count below */
	const char *young_why;		/* says what */
	RqPos		held_floor;		/* 4 and 5 do not count below */
	RqKept		kept;			/* the lowest that must stay */
	RqPos		wanted;			/* the same without the floors */
	RqPos		given_way;		/* floor of the need that gave way to one */
	RqKeeps		gave_way;
	uint64		excess;			/* bytes to free on a disk that is too full */
	int			blocks;			/* may still be learnt about */
	int64		expire;			/* entries that may still expire */
	ErrorData  *error;			/* of a queue that cannot be read */
} Round;

/* ---- queues that cannot be read ---- */

typedef void (*QueueLook) (Round *r, uint32 topic, uint32 i, RqTrim *t);

/*
 * Look at the i-th queue of a topic.  One that cannot be read keeps no other
 * from its turn, nor the round from going on: false, and the first error is
 * thrown when all is done.
 */
static bool
look_at_queue(Round *r, QueueLook look, uint32 topic, uint32 i, RqTrim *t)
{
	MemoryContext cxt = CurrentMemoryContext;
	volatile bool ok = true;

	PG_TRY();
	{
		look(r, topic, i, t);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(cxt);
		LWLockReleaseAll();
		if (r->error == NULL)
			r->error = CopyErrorData();
		FlushErrorState();
		ok = false;
	}
	PG_END_TRY();
	return ok;
}

/* ---- what must stay ---- */

/*
 * Somebody needs what lies at "pos" and after it, but not below "floor".  The
 * rest of "who" is filled in by the caller.  A need that gives way to its
 * floor is remembered, for the log to say why messages went.
 */
static void
need(Round *r, const RqKept *who, RqPos pos, RqPos floor)
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

/* Is the oldest segment kept, whatever else there is? */
static bool
nothing_can_go(const Round *r)
{
	return r->kept.pos < r->first_end;
}

int
rq_retain_time(uint32 topic)
{
	int32		s = rq_topic_committed(topic)->retention_s;

	return s == RQ_RETENTION_DEFAULT ? rq_retention_time_s : s;
}

/* Messages enqueued before the result have had their time. */
static TimestampTz
expires_before(uint32 topic, TimestampTz now)
{
	int			s = rq_retain_time(topic);

	return s < 0 ? DT_NOBEGIN : now - (int64) s * USECS_PER_SEC;
}

/* The same for the topic that keeps its messages for the shortest time. */
static TimestampTz
first_expires_before(TimestampTz now)
{
	TimestampTz before = rq_retention_time_s < 0 ? DT_NOBEGIN :
	now - (int64) rq_retention_time_s * USECS_PER_SEC;

	LWLockAcquire(rq_meta_lock, LW_SHARED);
	for (int t = 0; t < rq_max_topics; t++)
		if (pg_atomic_read_u64(&rq_topics[t].key) != 0)
			before = Max(before, expires_before(t, now));
	LWLockRelease(rq_meta_lock);
	return before;
}

/* Was the first frame at or after "pos" that can be read stored before that? */
static bool
is_older(RqPos pos, TimestampTz than)
{
	RqPos		next;
	RqFrame		frame;
	const char *problem;

	while (rq_log_walk(&pos, rq_log_safe_end(), &frame, &next, &problem))
	{
		if (problem == NULL)
			return frame.stored_at < than;
		pos = next;
	}
	return false;
}

/* The group that holds most of a queue, RQ_NO_SLOT = none, "from" an offset. */
static uint32
find_holder(const RqQueue *q, RqOff *from)
{
	uint32		holder = RQ_NO_SLOT;

	RQ_ASSERT_META_LOCK(LW_SHARED);
	for (uint32 g = rq_topics[q->topic].first_group; g != RQ_NO_SLOT;
		 g = rq_groups[g].next)
	{
		RqOff		off;

		if (!rq_group_holds(g))
			continue;
		off = rq_offset_at_least(rq_group_offset(g, q->id));
		if (holder == RQ_NO_SLOT || off < *from)
		{
			holder = g;
			*from = off;
		}
	}
	return holder;
}

/*
 * What of a queue must stay: entries whose outcome is not logged, then by
 * time, then for groups.  Each is asked only for what is lower than all needs
 * found so far (r->kept.pos).
 */
static void
ask_entries(Round *r, RqQueue *q)
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
	from = rq_queue_offset_at(q, expires_before(q->topic, r->now));
	if (rq_topic_committed(q->topic)->retention_s == RQ_RETENTION_DEFAULT)
		who.key.db = who.key.rel = 0;
	need(r, &who, rq_lowest_below(q, from, resolved, r->kept.pos),
		 r->young_floor);

	who.key = rq_queue_key(q);
	holder = find_holder(q, &from);
	if (holder == RQ_NO_SLOT)
		return;
	who.what = RQ_KEEPS_GROUP;
	strlcpy(who.group, rq_groups[holder].name, sizeof(who.group));
	from = Max(from, pg_atomic_read_u64(&q->start));
	need(r, &who, rq_lowest_below(q, from, resolved, r->kept.pos),
		 r->held_floor);
}

/*
 * Ask the i-th queue of a topic.  Its entries are read first, LEARN_BLOCKS
 * under a hold of the meta lock, since there can be any number of them.  The
 * topic can lose the queue between two holds, or be dropped; so that is
 * checked each time.
 */
static void
ask_queue(Round *r, uint32 topic, uint32 i, RqTrim *unused)
{
	bool		done = false;

	while (!done && !nothing_can_go(r))
	{
		CHECK_FOR_INTERRUPTS();
		LWLockAcquire(rq_meta_lock, LW_SHARED);
		done = i >= rq_topic_nslots(topic) ||
			rq_lowest_learn(rq_topic_queue(topic, i), LEARN_BLOCKS);
		if (done && i < rq_topic_nslots(topic))
			ask_entries(r, rq_topic_queue(topic, i));
		LWLockRelease(rq_meta_lock);

		/* The rest is for the next round; until then all is kept. */
		if (!done && (r->blocks -= LEARN_BLOCKS) <= 0)
		{
			r->kept.what = RQ_KEEPS_UNKNOWN;
			r->kept.pos = r->start;
		}
	}
}

/* A queue that cannot be read may need anything, and keeps the whole log. */
static void
ask_or_keep(Round *r, uint32 topic, uint32 i)
{
	RqKept		who = {.what = RQ_KEEPS_UNREADABLE,
	.key = rq_topic_key(topic), .queue_id = i};

	if (!look_at_queue(r, ask_queue, topic, i, NULL))
		need(r, &who, r->start, 0);
}

/* The one that kept the oldest segment the last time comes first. */
static void
ask_queues(Round *r)
{
	static uint32 last_topic = 0;
	static uint32 last_queue = 0;

	if (last_topic < (uint32) rq_max_topics)
		ask_or_keep(r, last_topic, last_queue);
	for (int t = 0; t < rq_max_topics; t++)
		for (uint32 i = 0; i < rq_topic_nslots(t) && !nothing_can_go(r); i++)
		{
			ask_or_keep(r, t, i);
			last_topic = t;
			last_queue = i;
		}
}

/* Those without a need have RQ_INVALID_POS, the highest of all. */
static void
ask_backends(Round *r)
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

/* ---- the round ---- */

static RqPos
behind(RqPos end, int megabytes)
{
	uint64		bytes = (uint64) megabytes * 1024 * 1024;

	return megabytes < 0 || bytes > end ? 0 : end - bytes;
}

char *
rq_retain_kept_by(const RqKept *kept)
{
	switch (kept->what)
	{
		case RQ_KEEPS_UNKNOWN:
			break;
		case RQ_KEEPS_WRITING:
			return pstrdup("being written");
		case RQ_KEEPS_TIME:
			if (kept->key.rel == 0)
				return pstrdup("retention_time");
			return psprintf("retention_time of topic %u/%u",
							kept->key.db, kept->key.rel);
		case RQ_KEEPS_GROUP:
			return psprintf("group %s of %u/%u",
							rq_text_from(kept->key.db, kept->group),
							kept->key.db, kept->key.rel);
		case RQ_KEEPS_XACT:
			return psprintf("transaction of process %d", kept->pid);
		case RQ_KEEPS_READER:
			return psprintf("reader process %d", kept->pid);
		case RQ_KEEPS_UNRESOLVED:
			return psprintf("unresolved entries of %u/%u",
							kept->key.db, kept->key.rel);
		case RQ_KEEPS_UNREADABLE:
			return psprintf("unreadable queue %u of %u/%u",
							kept->queue_id, kept->key.db, kept->key.rel);
	}
	return pstrdup("not known yet");
}

/*
 * The disk is too full, and nothing may go: report who holds it, for each kind
 * at intervals of its own, since a group and its reader can take turns.
 */
static void
tell_stuck(const Round *r)
{
	static TimestampTz told_at[RQ_KEEPS_UNREADABLE + 1];

	if (r->excess == 0 || !nothing_can_go(r) || r->kept.what == RQ_KEEPS_UNKNOWN ||
		r->now - told_at[r->kept.what] < TELL_STUCK_INTERVAL)
		return;
	told_at[r->kept.what] = r->now;
	ereport(LOG,
			(errmsg("file system of the rocketq store is fuller than rocketq.disk_trim_percent, but nothing can be trimmed"),
			 errdetail("The oldest segment is kept by: %s.",
					   rq_retain_kept_by(&r->kept))));
}

/* If the disk is too full, young messages go as well, as much as is needed. */
static void
look_at_disk(Round *r)
{
	RqPos		floor;

	r->excess = rq_disk_excess();
	floor = r->start + r->excess + rq_log->segment_size - 1;
	if (r->excess == 0 || floor <= r->young_floor)
		return;
	r->young_floor = floor;
	r->young_why = "the file system is fuller than rocketq.disk_trim_percent";
}

/* The end is read first: what is appended from now on need not be asked for. */
static void
begin_round(Round *r)
{
	RqPos		end = rq_log_safe_end();

	memset(r, 0, sizeof(*r));
	r->now = GetCurrentTimestamp();
	r->start = pg_atomic_read_u64(&rq_log->start);
	r->first_end = rq_log_segment_start(rq_log_segno(r->start) + 1);
	r->young_floor = behind(end, rq_retention_size_mb);
	r->young_why = "the log is larger than rocketq.retention_size";
	r->held_floor = behind(end, rq_max_kept_size_mb);
	r->kept.what = RQ_KEEPS_WRITING;
	r->kept.pos = end > 0 ? end - 1 : 0;
	r->wanted = r->given_way = RQ_INVALID_POS;
	r->blocks = LEARN_BLOCKS_ROUND;
	r->expire = EXPIRE_ROUND;
	look_at_disk(r);
}

/*
 * Find what must stay.  Transactions are asked before the queues: one that
 * ends in between has its entries there, and one that begins appends after the
 * end we have read.  In the other order, a transaction that ends in between
 * would be found in neither place.
 */
static void
find_kept(Round *r)
{
	const RqKept young = {.what = RQ_KEEPS_TIME};

	if (nothing_can_go(r))
		return;

	/*
	 * The cheap test, for the most common case: the oldest segment ends with
	 * messages too young for any topic, and neither size nor disk wants it.
	 */
	if (r->young_floor < r->first_end &&
		!is_older(r->first_end, first_expires_before(r->now)))
	{
		need(r, &young, r->start, 0);
		return;
	}

	/*
	 * The end (begin_round()) is read before xact_pos.  A transaction that
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

/* ---- what keeps the log, for the views ---- */

/* The janitor's, under the meta lock. */
static RqKept *last_kept = NULL;

static Size
retain_size(void)
{
	return rq_table_size(1, sizeof(RqKept));
}

static void
retain_init(void)
{
	(void) rq_table_create("rocketq retention", 1, sizeof(RqKept),
						   (void **) &last_kept);
}

const RqPart rq_retain_part = {
	.name = "retention",
	.shmem_size = retain_size,
	.shmem_init = retain_init
};

RqKept
rq_retain_kept(void)
{
	RqKept		kept;

	LWLockAcquire(rq_meta_lock, LW_SHARED);
	kept = *last_kept;
	LWLockRelease(rq_meta_lock);
	return kept;
}

/* Written by the janitor alone, so it may compare without the lock. */
static void
publish_kept(const RqKept *kept)
{
	if (memcmp(last_kept, kept, sizeof(*kept)) == 0)
		return;
	LWLockAcquire(rq_meta_lock, LW_EXCLUSIVE);
	*last_kept = *kept;
	LWLockRelease(rq_meta_lock);
}

/* Where the queue begins when all that points below "cut" goes. */
static RqOff
start_above(RqQueue *q, RqPos cut)
{
	RqOff		start = pg_atomic_read_u64(&q->start);
	RqEntry		e;

	while (start < q->logged_stable && rq_queue_entry_or_lost(q, start, &e) &&
		   e.pos < cut)
		start++;
	return start;
}

static const char *
why(const Round *r, RqPos cut)
{
	if (r->wanted >= cut)
		return "they are no longer needed";
	if (r->gave_way == RQ_KEEPS_TIME)
		return r->young_why;
	return "consumer groups or readers held more than rocketq.max_kept_size";
}

static void
trim_queue(Round *r, uint32 topic, uint32 i, RqTrim *t)
{
	LWLockAcquire(rq_meta_lock, LW_SHARED);
	if (i < rq_topic_nslots(topic))
	{
		RqQueue    *q = rq_topic_queue(topic, i);

		rq_trim_queue(t, q, start_above(q, t->new_start));
	}
	LWLockRelease(rq_meta_lock);
}

/*
 * At most TRIM_ROUND_MB at a time.  Readers are not spared only if all that
 * goes lies below held_floor.
 */
static void
trim_log(Round *r)
{
	RqPos		may = rq_log_segment_start(rq_log_segno(r->kept.pos));
	RqPos		most = Max((RqPos) TRIM_ROUND_MB * 1024 * 1024,
						   rq_log->segment_size);
	RqPos		cut = Min(may, rq_log_segment_start(rq_log_segno(r->start + most)));
	RqTrim		t;

	if (cut <= r->start)
		return;
	rq_trim_prepare(&t, cut);
	for (int topic = 0; topic < rq_max_topics; topic++)
		for (uint32 i = 0; i < rq_topic_nslots(topic); i++)
			(void) look_at_queue(r, trim_queue, topic, i, &t);
	if (!rq_trim(&t, cut <= r->held_floor))
		return;
	if (cut < may)
		rq_worker_wake(RQ_JANITOR);
	if (rq_log_store)
		ereport(LOG,
				(errmsg("rocketq trimmed the commit log to position " UINT64_FORMAT,
						cut),
				 errdetail("Segments removed: %u, because %s.",
						   (uint32) (rq_log_segno(cut) - rq_log_segno(r->start)),
						   why(r, cut))));
}

/* ---- topics with a time of their own ---- */

/*
 * Where the queue begins when all that has expired and is held by no group
 * goes; where it begins now, if that is not worth a record.
 */
static RqOff
start_unexpired(const Round *r, RqQueue *q)
{
	TimestampTz before = expires_before(q->topic, r->now);
	int64		grain = (int64) Max(rq_retain_time(q->topic) / EXPIRE_SHARE, 1) *
	USECS_PER_SEC;
	RqOff		start = pg_atomic_read_u64(&q->start);
	RqOff		to = Min(rq_queue_offset_at(q, before), q->logged_stable);
	RqOff		from;
	RqEntry		e;

	if (find_holder(q, &from) != RQ_NO_SLOT)
		to = Min(to, from);
	if (to <= start || !rq_queue_entry_or_lost(q, start, &e))
		return start;
	to = Min(to, start + EXPIRE_QUEUE_MAX);
	return to - start >= EXPIRE_COUNT || e.enqueued_at < before - grain ?
		to : start;
}

static void
expire_queue(Round *r, uint32 topic, uint32 i, RqTrim *t)
{
	LWLockAcquire(rq_meta_lock, LW_SHARED);
	if (i < rq_topic_nslots(topic) && rq_topic_committed(topic)->retention_s >= 0)
	{
		RqQueue    *q = rq_topic_queue(topic, i);
		RqOff		start = start_unexpired(r, q);

		r->expire -= (int64) (start - pg_atomic_read_u64(&q->start));
		rq_trim_queue(t, q, start);
	}
	LWLockRelease(rq_meta_lock);
}

/*
 * Messages leave the queues of such a topic when their time is over and no
 * group holds them, although their segment stays.  Not one by one: when there
 * are many, or the oldest is over its time by a share of it.  Readers of the
 * topic go on with the next one.  The log's start stays, so
 * rq_trim() need not ask the readers.
 */
static void
expire_topics(Round *r)
{
	RqTrim		t;

	rq_trim_prepare(&t, pg_atomic_read_u64(&rq_log->start));
	for (int topic = 0; topic < rq_max_topics; topic++)
		for (uint32 i = 0; i < rq_topic_nslots(topic) && r->expire > 0; i++)
			(void) look_at_queue(r, expire_queue, topic, i, &t);
	if (rq_trim(&t, true) && r->expire < EXPIRE_ROUND - EXPIRE_COUNT)
		rq_worker_wake(RQ_JANITOR);
}

void
rq_retain_round(void)
{
	Round		r;

	begin_round(&r);
	rq_unused_note_idle(r.now);
	find_kept(&r);
	publish_kept(&r.kept);
	trim_log(&r);
	expire_topics(&r);
	tell_stuck(&r);
	rq_trim_tell_losses(r.now);
	if (r.error != NULL)
		ReThrowError(r.error);
}
