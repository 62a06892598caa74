/*
 * rq_owner.c
 *	  Which transaction reads a queue for a group, or has the whole group.
 *
 * Heavyweight locks decide.  A transaction that reads or moves a group in one
 * queue takes the lock on the group in share mode, then that on (group, queue)
 * exclusively.  One that is about to do something with all queues takes that on
 * the group exclusively, and then needs none on any of its queues, however many
 * there are.  Such locks last until the transaction ends, or the subtransaction
 * that took them is rolled back; they take part in deadlock detection, and show
 * in pg_locks.
 *
 * The slots of the offset and of the group show others who owns them: those
 * who wake waiters, and the views.  These marks decide nothing.  They follow
 * the lock: a mark is set after the lock has been taken and cleared after it
 * has been released, unless the next owner has set its own by then.
 *
 * While the locks are held the group is in use (rq_unused.c).  That it was is
 * noted before they are released: there must be no moment at which it looks
 * unused.
 *
 * Whoever gives up a queue offers what is left in it to a waiter.  That must
 * come after the release of the lock, or the waiter would fail to get it and
 * sleep again; hence the resource owner's callback and not the transaction's.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"

#include "base/rq_compat.h"
#include "consume/rq_offer.h"
#include "consume/rq_owner.h"
#include "topic/rq_topic.h"
#include "topic/rq_waiters.h"
#include "txn/rq_txn.h"

typedef struct Owned
{
	LOCKTAG		tag;
	uint32		topic;
	RqGroupRef	group;
	uint32		queue_id;		/* RQ_ALL_QUEUES = the whole group */
	RqOffset   *offset;			/* of the queue */
} Owned;

/* What the current transaction owns. */
static Owned *owned = NULL;
static int	nowned = 0;
static int	max_owned = 0;

static void
make_room_for_owned(void)
{
	if (nowned < max_owned)
		return;
	if (owned == NULL)
		owned = MemoryContextAlloc(TopMemoryContext, 16 * sizeof(Owned));
	else
		owned = repalloc_huge(owned, 2 * max_owned * sizeof(Owned));
	max_owned = Max(16, 2 * max_owned);
}

/*
 * All heavyweight locks are in one table of a fixed size.  This many queues a
 * transaction takes at most, apart from those that it is asked for by number.
 */
static int
max_share(void)
{
	return (int) Min((int64) max_locks_per_xact * MaxBackends / 4, INT_MAX);
}

static LOCKTAG
lock_tag(Oid db, RqGroupRef group, uint32 queue_id)
{
	LOCKTAG		tag;

	if (queue_id == RQ_ALL_QUEUES)
		SET_LOCKTAG_ADVISORY(tag, db, group.id, 0, RQ_LOCK_GROUP);
	else
		SET_LOCKTAG_ADVISORY(tag, db, group.id, queue_id, RQ_LOCK_QUEUE);
	return tag;
}

static bool
is_present(RqGroupRef group)
{
	uint64		xid;

	return rq_group_state(group, &xid) == RQ_GROUP_PRESENT;
}

/* Needs no lock: nobody else writes our number, and we are not writing it. */
static bool
is_mine(const pg_atomic_uint32 *owner)
{
	return pg_atomic_read_u32(unconstify(pg_atomic_uint32 *, owner)) ==
		RQ_MY_PROC_NUMBER + 1;
}

static bool
owns_group(RqGroupRef group)
{
	const RqGroup *g = &rq_groups[group.slot];

	return g->id == group.id && is_mine(&g->owner);
}

/*
 * What keeps the group is held by now, so its offset stays in its slot; false
 * if the group had gone before.
 */
static bool
find_offset(RqCursor *c)
{
	if (!is_present(c->group))
		return false;
	c->offset = rq_group_offset(c->group.slot, c->q->id);
	return true;
}

static LockAcquireResult
take_lock(const LOCKTAG *tag, LOCKMODE mode, bool wait)
{
	RQ_ASSERT_NO_LOCKS();
	return wait ? LockAcquire(tag, mode, false, false) :
		rq_lock_try(tag, mode);
}

/*
 *		1. Make room, so that noting what we own cannot fail.
 *		2. Take the locks, that on the group first, as everybody does.
 *		3. Check the group: until now nothing has kept it.  From here on the
 *		   lock does, since whoever drops it takes that exclusively.
 *		4. Note what we own, so that it is offered when the transaction ends.
 *
 * The locks stay when the group turns out to be gone.  They are in nobody's
 * way, as ids of groups are never reused.
 */
bool
rq_owner_take(RqCursor *c, bool wait)
{
	Oid			db = rq_queue_key(c->q).db;
	Owned		o = {.topic = c->q->topic, .group = c->group, .queue_id = c->q->id,
	.tag = lock_tag(db, c->group, c->q->id)};
	LOCKTAG		whole = lock_tag(db, c->group, RQ_ALL_QUEUES);
	LockAcquireResult result;

	if (owns_group(c->group))
		return find_offset(c);
	make_room_for_owned();
	if (take_lock(&whole, ShareLock, wait) == LOCKACQUIRE_NOT_AVAIL)
		return false;
	if (!wait && nowned >= max_share() &&
		!rq_lock_held_by_me(&o.tag, ExclusiveLock))
		result = LOCKACQUIRE_NOT_AVAIL;
	else
		result = take_lock(&o.tag, ExclusiveLock, wait);
	if (result == LOCKACQUIRE_NOT_AVAIL)
	{
		/* Having got nothing, do not keep others from the whole group. */
		LockRelease(&whole, ShareLock, false);
		return false;
	}
	if (!find_offset(c))
		return false;
	/* Else the transaction owned it before, and has noted that. */
	if (result == LOCKACQUIRE_OK)
	{
		rq_group_used(c->group);
		o.offset = c->offset;
		o.offset->owner_since = GetCurrentTimestamp();

		/*
		 * The time before the mark: who sees the mark finds its time.  Pairs
		 * with put_owner() in api/rq_views_sql.c.
		 */
		pg_write_barrier();
		pg_atomic_write_u32(&o.offset->owner, RQ_MY_PROC_NUMBER + 1);
		owned[nowned++] = o;
	}
	return true;
}

/* The steps of rq_owner_take(). */
bool
rq_owner_take_group(uint32 topic, RqGroupRef group)
{
	Owned		o = {.topic = topic, .group = group, .queue_id = RQ_ALL_QUEUES};
	RqGroup    *g = &rq_groups[group.slot];
	LockAcquireResult result;

	make_room_for_owned();
	o.tag = lock_tag(rq_topic_key(topic).db, group, RQ_ALL_QUEUES);
	result = take_lock(&o.tag, ExclusiveLock, true);
	if (!is_present(group))
		return false;
	if (result == LOCKACQUIRE_OK)
	{
		rq_group_used(group);
		g->owner_since = GetCurrentTimestamp();
		/* As in rq_owner_take(). */
		pg_write_barrier();
		pg_atomic_write_u32(&g->owner, RQ_MY_PROC_NUMBER + 1);
		owned[nowned++] = o;
	}
	return true;
}

/* A session lock, since a worker has no transaction that would release it. */
bool
rq_owner_hold_group(Oid db, RqGroupRef group)
{
	LOCKTAG		tag = lock_tag(db, group, RQ_ALL_QUEUES);

	return LockAcquire(&tag, ExclusiveLock, true, true) != LOCKACQUIRE_NOT_AVAIL;
}

void
rq_owner_free_group(Oid db, RqGroupRef group)
{
	LOCKTAG		tag = lock_tag(db, group, RQ_ALL_QUEUES);

	LockRelease(&tag, ExclusiveLock, true);
}

/*
 * The lock has been released: 1. clear the mark, 2. offer what is left.
 *
 * In this order, since an offer picks no waiter for a queue that has an owner
 * (can_take() in topic/rq_wake.c).  The exchange fails if the next owner has
 * set its own mark by now; then it is for that one to offer what it leaves.
 */
static void
give_up(const Owned *o)
{
	uint32		me = RQ_MY_PROC_NUMBER + 1;

	if (o->queue_id == RQ_ALL_QUEUES)
	{
		pg_atomic_compare_exchange_u32(&rq_groups[o->group.slot].owner, &me, 0);
		rq_offer_all(o->topic, o->group);
		return;
	}
	pg_atomic_compare_exchange_u32(&o->offset->owner, &me, 0);
	rq_offer(o->topic, o->group, o->queue_id);
}

/* They were used until now, however long ago the transaction last called us. */
static void
note_use(void)
{
	for (int i = 0; i < nowned; i++)
		if (i == 0 || owned[i].group.id != owned[i - 1].group.id)
			rq_group_used(owned[i].group);
}

/*
 * The callback of resource owners, called for each of them in each phase;
 * nothing may fail in here.
 *
 * If a subtransaction has failed, what was locked before it is still ours:
 * those locks are held even after the release.
 */
static void
end_of_locks(ResourceReleasePhase phase, bool is_commit, bool is_top,
			 void *arg)
{
	int			kept = 0;

	/* A subtransaction that commits hands its locks on. */
	if (nowned == 0 || (is_commit && !is_top))
		return;
	if (phase == RESOURCE_RELEASE_BEFORE_LOCKS)
		note_use();
	if (phase != RESOURCE_RELEASE_AFTER_LOCKS)
		return;
	for (int i = 0; i < nowned; i++)
	{
		if (!is_top && rq_lock_held_by_me(&owned[i].tag, ExclusiveLock))
			owned[kept++] = owned[i];
		else
			give_up(&owned[i]);
	}
	nowned = kept;
}

static const char *
why_unpreparable(void)
{
	return nowned == 0 ? NULL :
		gettext_noop("cannot PREPARE a transaction that has locked a queue for a consumer group");
}

void
rq_owner_init(void)
{
	static const RqParticipant owner = {.unpreparable = why_unpreparable};

	RegisterResourceReleaseCallback(end_of_locks, NULL);
	rq_txn_register(&owner);
}
