/*
 * rq_unused.c
 *	  Consumer groups that nobody uses: they hold no messages any more, and are
 *	  dropped if that is wanted.
 *
 * Which groups has nobody used for so long that messages need not be kept for
 * them, or that they can go?
 *
 * To use a group is to consume or wait for it, to commit an offset or to move
 * it, until the transaction that does so has ended.  When that was last is not
 * kept over a restart, nor on a standby, so the time begins anew then.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/timestamp.h"

#include "base/rq_fault.h"
#include "base/rq_guc.h"
#include "base/rq_text.h"
#include "consume/rq_offset.h"
#include "consume/rq_owner.h"
#include "consume/rq_unused.h"
#include "topic/rq_group_drop.h"
#include "topic/rq_topic.h"
#include "topic/rq_waiters.h"

/* Groups dropped in one round of the janitor. */
#define EXPIRE_ROUND	64

/*
 * Groups not used since the server started, or was promoted, count as used
 * then.  0 until the janitor's first round; written by it alone.
 */
static TimestampTz *holds_since = NULL;

const RqPart rq_unused_part = {
	.name = "unused groups",
	.item_size = sizeof(TimestampTz),
	.table = (void **) &holds_since
};

static TimestampTz
used_last(const RqGroup *g)
{
	return Max(Max((TimestampTz) pg_atomic_read_u64((pg_atomic_uint64 *) &g->used_at),
				   g->created_at), *holds_since);
}

/*
 * Has it not been used for more than this many seconds (-1: never true)?
 * "since" gets when it was used last, by as much as RQ_USED_STEP too early.
 */
static bool
is_unused(const RqGroup *g, TimestampTz now, int seconds, TimestampTz *since)
{
	*since = used_last(g);
	return seconds >= 0 &&
		now - *since > (int64) seconds * USECS_PER_SEC + RQ_USED_STEP;
}

/* A check without the wait lock will do: it is repeated. */
static bool
somebody_waits(uint32 group)
{
	for (int i = 0; i < rq_max_backends(); i++)
		if (rq_waiters[i].topic != RQ_NO_SLOT &&
			rq_waiters[i].group_slot == group &&
			rq_waiters[i].group_id == rq_groups[group].id)
			return true;
	return false;
}

/* Does a transaction own it, or one of its queues?  Without a lock, too. */
static bool
is_owned(RqGroupRef group)
{
	const RqGroup *g = &rq_groups[group.slot];

	for (uint32 i = 0; i < g->offsets.n; i++)
		if (rq_group_owner(group, i) >= 0)
			return true;
	return false;
}

/* ---- idle groups ---- */

bool
rq_group_holds(uint32 group)
{
	return rq_keep_unconsumed && !rq_groups[group].idle;
}

uint32
rq_group_holding(const RqQueue *q, RqOff *from)
{
	uint32		holder = RQ_NO_SLOT;

	RQ_ASSERT_META_LOCK(LW_SHARED);
	for (uint32 g = rq_queue_topic(q)->first_group; g != RQ_NO_SLOT;
		 g = rq_groups[g].next)
	{
		RqOff		off;

		if (!rq_group_holds(g))
			continue;
		off = rq_offset_at_least(g, rq_group_offset(g, q->id));
		if (holder == RQ_NO_SLOT || off < *from)
		{
			holder = g;
			*from = off;
		}
	}
	return holder;
}

static void
tell_idle(const RqGroup *g, TimestampTz since)
{
	RqKey		key = rq_topic_key(g->topic);

	if (g->idle)
		ereport(LOG,
				(errmsg("consumer group \"%s\" of rocketq topic %u/%u no longer holds messages",
						rq_text_from(key.db, g->name), key.db, key.rel),
				 errdetail("It has not been used since %s, for longer than rocketq.group_idle_timeout.",
						   timestamptz_to_str(since)),
				 errhint("It will hold messages again when it is used.  Drop it if it is no longer needed.")));
	else
		ereport(LOG,
				(errmsg("consumer group \"%s\" of rocketq topic %u/%u holds messages again",
						rq_text_from(key.db, g->name), key.db, key.rel)));
}

/*
 * Each group is checked without a lock first, since hardly any changes; waiters
 * and owners, whom it takes long to find, only if it is about to become idle.
 *
 * The meta lock held shared is enough to change "idle": it keeps the slot, and
 * nobody else writes that field.
 */
void
rq_unused_note_idle(TimestampTz now)
{
	if (*holds_since == 0)
		*holds_since = now;
	for (uint32 i = 0; i < rq_groups_begun(); i++)
	{
		RqGroup    *g = &rq_groups[i];
		RqGroupRef	ref = {.slot = i, .id = g->id};
		TimestampTz since;
		RqGroup		copy;
		bool		changed = false;

		if (g->id == 0 ||
			is_unused(g, now, rq_group_idle_timeout_s, &since) == g->idle)
			continue;
		if (!g->idle && (somebody_waits(i) || is_owned(ref)))
		{
			rq_group_used(ref);
			continue;
		}

		/*
		 * Another group can have got the slot since, or somebody can have
		 * used this one: check again.
		 */
		LWLockAcquire(rq_meta_lock, LW_SHARED);
		if (g->id != 0 &&
			is_unused(g, now, rq_group_idle_timeout_s, &since) != g->idle)
		{
			g->idle = !g->idle;
			changed = rq_keep_unconsumed;
			copy = *g;
		}
		LWLockRelease(rq_meta_lock);
		if (changed)
			tell_idle(&copy, since);
	}
}

/* ---- expired groups ---- */

static bool
is_expired(uint32 group)
{
	TimestampTz since;

	return rq_groups[group].id != 0 &&
		is_unused(&rq_groups[group], GetCurrentTimestamp(),
				  rq_group_expire_time_s, &since);
}

/* Is no transaction's outcome awaited for one of its offsets? */
static bool
offsets_are_settled(uint32 group)
{
	RQ_ASSERT_META_LOCK(LW_SHARED);
	for (uint32 i = 0; i < rq_groups[group].offsets.n; i++)
		if (rq_group_offset(group, i)->state == RQ_OFFSET_PENDING)
			return false;
	return true;
}

/*
 * The group is kept from all who would own it.  But somebody can have used it
 * since it was found to be expired.
 */
static bool
may_drop(uint32 group)
{
	RQ_ASSERT_META_LOCK(LW_EXCLUSIVE);
	return is_expired(group) && !somebody_waits(group) && offsets_are_settled(group);
}

/*
 * Drop a group, unless somebody owns or uses it.
 *
 * First take the heavyweight lock on the group, without waiting: from here on
 * nobody comes to own it or a queue of it.  Then check again, under the meta
 * lock held exclusively, whether it is expired: a transaction that has owned it
 * since noted its use before it released its locks.  Log the end and free the
 * slots under the same hold.
 */
static bool
drop_expired(uint32 group)
{
	RqGroup		copy;
	RqGroupRef	ref = {.slot = group};
	RqKey		key;
	volatile bool dropped = false;

	LWLockAcquire(rq_meta_lock, LW_SHARED);
	copy = rq_groups[group];
	key = rq_topic_key(copy.topic);
	LWLockRelease(rq_meta_lock);
	ref.id = copy.id;
	if (copy.id == 0 || !rq_owner_hold_group(key.db, ref))
		return false;
	PG_TRY();
	{
		RQ_FAULT("group-expire");
		dropped = rq_group_drop_if(ref, may_drop);
	}
	PG_FINALLY();
	{
		rq_owner_free_group(key.db, ref);
	}
	PG_END_TRY();
	if (dropped)
		ereport(LOG,
				(errmsg("consumer group \"%s\" of rocketq topic %u/%u was dropped",
						rq_text_from(key.db, copy.name), key.db, key.rel),
				 errdetail("It had not been used since %s, for longer than rocketq.group_expire_time.",
						   timestamptz_to_str(used_last(&copy)))));
	return dropped;
}

/* The next round goes on where this one ends. */
void
rq_unused_drop_expired(void)
{
	static uint32 next = 0;
	uint32		ngroups = rq_groups_begun();
	int			left = EXPIRE_ROUND;

	if (rq_group_expire_time_s < 0)
		return;
	for (uint32 n = 0; n < ngroups && left > 0; n++)
	{
		uint32		i = next;

		next = (next + 1) % ngroups;
		if (is_expired(i) && !somebody_waits(i) && drop_expired(i))
			left--;
	}
}
