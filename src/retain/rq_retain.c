/*
 * rq_retain.c
 *	  Remove messages that nobody needs any more.
 *
 * Given the lowest position that somebody needs (rq_needs.c), which segments
 * of the log go now, and if none, who is it that keeps them?
 *
 * The log loses whole segments, the oldest first.  A group whose messages go
 * because the log is too large, or because it holds nothing, has lost them:
 * that is counted and logged (rq_trim.c).
 *
 * A queue's start moves over entries that point below the log's start.  One
 * that follows a younger entry is left where it is, and readers pass over it.
 *
 * Nothing is locked between the search and the trim: what is produced in
 * between lies after the end that was read, and a reader that comes in between
 * is noticed by the trim itself.
 *
 * Messages of a topic with a retention time of its own also leave its queues
 * when that is over, before their segment can go: see rq_expire.c.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/timestamp.h"

#include "base/rq_guc.h"
#include "consume/rq_losses.h"
#include "consume/rq_unused.h"
#include "log/rq_log.h"
#include "queue/rq_entry.h"
#include "retain/rq_expire.h"
#include "retain/rq_floor.h"
#include "retain/rq_needs.h"
#include "retain/rq_retain.h"
#include "retain/rq_round.h"
#include "retain/rq_trim.h"
#include "shmem/rq_workers.h"
#include "topic/rq_topic.h"

/* How often it is reported that a full disk can't be trimmed, and why not. */
#define TELL_STUCK_INTERVAL	(60 * USECS_PER_SEC)

/*
 * The disk is too full, and nothing may go: report who holds it, for each kind
 * at intervals of its own, since a group and its reader can take turns.
 */
static void
tell_stuck(const RqRound *r)
{
	static TimestampTz told_at[RQ_KEEPS_UNREADABLE + 1];

	if (r->excess == 0 || !rq_round_keeps_all(r) || r->kept.what == RQ_KEEPS_UNKNOWN ||
		r->now - told_at[r->kept.what] < TELL_STUCK_INTERVAL)
		return;
	told_at[r->kept.what] = r->now;
	ereport(LOG,
			(errmsg("file system of the rocketq store is fuller than rocketq.disk_trim_percent, but nothing can be trimmed"),
			 errdetail("The oldest segment is kept by: %s.",
					   rq_kept_by(&r->kept))));
}

/*
 * Where the queue begins when all that points below "cut" goes: at the first
 * entry that points elsewhere, even if others after it point below.  Looks at
 * one more than rq_trim_queue() takes, from which it sees that there is more.
 */
static RqOff
start_above(RqQueue *q, RqOff from, RqPos cut)
{
	RqOff		most = Min(q->logged_stable, from + RQ_META_HOLD_ENTRIES + 1);
	RqOff		start = from;
	RqExtRun	run = {0};
	RqEntry		e;

	RQ_ASSERT_META_LOCK(LW_SHARED);
	while (start < most && rq_queue_entry_or_lost(q, start, &run, &e) && e.pos < cut)
		start++;
	return start;
}

/* The lowest need counts as it was before any gave way to a floor. */
static const char *
why(const RqRound *r, RqPos cut)
{
	if (r->wanted >= cut)
		return "they are no longer needed";
	if (r->gave_way == RQ_KEEPS_TIME)
		return r->young_why;
	return "consumer groups or readers held more than rocketq.max_kept_size";
}

static void
trim_queue(RqRound *r, uint32 topic, uint32 i, RqTrim *t)
{
	t->more = false;
	LWLockAcquire(rq_meta_lock, LW_SHARED);
	if (i < rq_topic_nslots(topic))
	{
		RqQueue    *q = rq_topic_queue(topic, i);

		(void) rq_trim_queue(t, q, start_above(q, rq_trim_start(t, q),
											   t->new_start));
	}
	LWLockRelease(rq_meta_lock);
}

/*
 * Trim the queue in a slot, in parts.  False if it cannot be read, or a reader
 * has come: then the log stays.
 */
static bool
trim_slot(RqRound *r, uint32 slot, RqTrim *t)
{
	uint32		topic;
	uint32		i;

	LWLockAcquire(rq_meta_lock, LW_SHARED);
	topic = rq_queues[slot].topic;
	i = rq_queues[slot].id;
	LWLockRelease(rq_meta_lock);
	if (topic == RQ_NO_SLOT)
		return true;
	do
	{
		CHECK_FOR_INTERRUPTS();
		if (!rq_round_look(r, trim_queue, topic, i, t) || !rq_trim_part(t))
			return false;
	} while (t->more);
	return true;
}

/*
 * Only queues that have been asked what they need have entries that go.  A queue
 * can have been asked without reading all that is read here; so one can turn out
 * to be unreadable only now, and keeps the log as in ask_or_keep().
 */
static bool
trim_to_cut(RqRound *r, RqPos cut)
{
	RqPos		least = RQ_INVALID_POS;
	bool		may = true;
	RqTrim		t;

	rq_trim_prepare(&t, cut, cut <= r->held_floor);
	for (uint32 slot = rq_floor_next(0, 0, cut, &least); slot != RQ_NO_SLOT;
		 slot = rq_floor_next(slot + 1, 0, cut, &least))
		may &= trim_slot(r, slot, &t);
	return may && rq_trim_finish(&t);
}

/*
 * At most as far as the queues have been asked.  Readers are not spared only if
 * all that goes lies below held_floor.
 */
static void
trim_log(RqRound *r)
{
	RqPos		may = rq_log_segment_start(rq_log_segno(r->kept.pos));
	RqPos		cut = Min(may, r->asked);

	if (cut <= r->start || !trim_to_cut(r, cut))
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

/*
 * The log is trimmed before messages expire, so that entries leave with their
 * segment if that can go, and not in a record of their own before.  An error of
 * a queue that could not be read is thrown when everything else has been done.
 */
void
rq_retain_round(void)
{
	RqRound		r;

	rq_round_begin(&r);
	rq_unused_note_idle(r.now);
	rq_needs_find(&r);
	rq_kept_publish(&r.kept);
	trim_log(&r);
	rq_expire_topics(&r);
	tell_stuck(&r);
	rq_losses_tell(r.now);
	if (r.error != NULL)
		ReThrowError(r.error);
}
