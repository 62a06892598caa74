/*
 * rq_owner.c
 *	  Which transaction reads a queue for a group, or has the whole group.
 *
 * A transaction that reads or moves a group in one queue takes the lock on the
 * group in share mode, and sets its mark in the slot of the offset (rq_mark.c).
 * One that is about to do something with all queues takes the lock exclusively,
 * and then needs no marks.  So however many queues it owns, it has one lock for
 * a group.  Both last until the transaction ends, or the subtransaction that
 * took them is rolled back.  Marks are cleared before locks are released.
 *
 * That lock is taken from the lock manager, as are those by which one waits for
 * a queue: they take part in deadlock detection, and show in pg_locks.
 *
 *		(group)			owning queues of it (share), or all of it
 *		a transaction	owning queues; waiting for one (share)
 *		a savepoint		owning queues taken since; waiting for one (share)
 *		(group, queue)	being the first of those who wait for the queue
 *
 * The lock of a savepoint is taken with the first queue since that savepoint.
 * When the savepoint is released its queues go to the one before, or to the
 * transaction, and the lock goes, too.  Without its lock no queue is taken:
 * after a rollback to it, who waits for the queue would go on waiting for the
 * transaction, which may then wait for the queue itself.
 *
 * While a group is owned it is in use (rq_unused.c).  That it was is noted
 * before the locks are released: there must be no moment at which it looks
 * unused.
 *
 * Whoever gives up a queue offers what is left in it to a waiter.  That must
 * come after the release of all locks, or the waiter would fail to get what it
 * needs and sleep again; hence the resource owner's callback and not the
 * transaction's.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"

#include "base/rq_compat.h"
#include "base/rq_text.h"
#include "consume/rq_mark.h"
#include "consume/rq_offer.h"
#include "consume/rq_owner.h"
#include "consume/rq_savepoint.h"
#include "consume/rq_whole.h"
#include "topic/rq_topic.h"
#include "topic/rq_waiters.h"
#include "txn/rq_index.h"
#include "txn/rq_txn.h"

/* Room that is kept for the next transaction. */
#define KEPT_ROOM			1024

typedef struct Queue
{
	uint32		topic;
	RqGroupRef	group;
	uint32		queue_id;
	RqOffset   *offset;
} Queue;

typedef struct Group
{
	uint32		topic;
	RqGroupRef	group;
	bool		whole;			/* locked exclusively */
} Group;

/*
 * What the current transaction owns, in the order in which it took it.  After
 * the first "n" stands what it has given up and not yet offered.
 */
static struct
{
	Queue	   *list;
	int			n;
	int			given;			/* "n" and those given up */
	int			max;
}			queues;

static struct
{
	Group	   *list;
	int			n;
	int			given;
	int			max;
}			groups;

/* The newest action that notes a take; see below. */
static int	taken_noted = -1;

/* The queue that we wait for, and one that we wanted; offset NULL = none. */
static Queue wanted;
static Queue waited_in_vain;

/* ---- locks ---- */

static LOCKTAG
group_lock(Oid db, RqGroupRef group)
{
	LOCKTAG		lock;

	SET_LOCKTAG_ADVISORY(lock, db, group.id, 0, RQ_LOCK_GROUP);
	return lock;
}

/* ---- giving up ---- */

/*
 * Give up what was taken after the first so many.  The groups were used until
 * now, however long ago the transaction last called us.
 */
static void
give_up(int nqueues, int ngroups)
{
	for (int i = nqueues; i < queues.n; i++)
		if (i == nqueues ||
			queues.list[i].group.id != queues.list[i - 1].group.id)
			rq_group_used(queues.list[i].group);
	for (int i = nqueues; i < queues.n; i++)
		rq_mark_clear(queues.list[i].offset);
	queues.n = nqueues;
	for (int i = ngroups; i < groups.n; i++)
		if (groups.list[i].whole)
		{
			RqGroupRef	group = groups.list[i].group;
			uint32		me = RQ_MY_PROC_NUMBER + 1;

			/*
			 * Not ours any more if we have dropped a group of our own: then
			 * another one can have got the slot.
			 */
			rq_group_used(group);
			pg_atomic_compare_exchange_u32(&rq_groups[group.slot].owner, &me, 0);
		}
	groups.n = ngroups;
}

/* An error has ended our wait: others may have left the queue to us. */
static void
stop_waiting(void)
{
	rq_mark_unwant(wanted.offset);
	waited_in_vain = wanted;
	wanted.offset = NULL;
}

/*
 * All locks have been released, and marks cleared before that: an offer picks
 * no waiter for a queue that has an owner (can_take() in topic/rq_wake.c).
 */
static void
offer_given(void)
{
	for (int i = queues.n; i < queues.given; i++)
		rq_offer(queues.list[i].topic, queues.list[i].group,
				 queues.list[i].queue_id);
	queues.given = queues.n;
	if (waited_in_vain.offset != NULL)
		rq_offer(waited_in_vain.topic, waited_in_vain.group,
				 waited_in_vain.queue_id);
	waited_in_vain.offset = NULL;
	for (int i = groups.n; i < groups.given; i++)
		if (groups.list[i].whole)
			rq_offer_all(groups.list[i].topic, groups.list[i].group);
	groups.given = groups.n;
}

static void
free_room(void)
{
	if (queues.max > KEPT_ROOM)
	{
		pfree(queues.list);
		queues.list = NULL;
		queues.max = 0;
	}
	if (groups.max > KEPT_ROOM)
	{
		pfree(groups.list);
		groups.list = NULL;
		groups.max = 0;
	}
}

/*
 * The callback of resource owners, called for each of them in each phase;
 * nothing may fail in here.  If a subtransaction has failed, the journal has
 * been undone before.
 */
static void
end_of_locks(ResourceReleasePhase phase, bool is_commit, bool is_top,
			 void *arg)
{
	if (phase == RESOURCE_RELEASE_BEFORE_LOCKS)
	{
		if (wanted.offset != NULL && (is_top || !is_commit))
			stop_waiting();
		if (is_top || !is_commit)
			rq_whole_stop();
		if (is_top)
			give_up(0, 0);
	}
	/* A subtransaction that commits hands its locks on. */
	if (phase == RESOURCE_RELEASE_AFTER_LOCKS && (is_top || !is_commit))
	{
		offer_given();
		rq_whole_offer();
		if (is_top)
			free_room();
	}
}

/* ---- savepoints ---- */

/* The first take after a savepoint: what there was before. */
typedef struct Taken
{
	int			nqueues;
	int			ngroups;
	int			noted;
} Taken;

RQ_ACTION_FITS(Taken);

/* The lock itself goes with the subtransaction. */
static void
undo_taken(const void *action)
{
	const Taken *before = action;

	give_up(before->nqueues, before->ngroups);
	rq_savepoint_undone(GetCurrentTransactionNestLevel());
	taken_noted = before->noted;
}

/* The innermost savepoint is released.  Marks first: who wakes looks at them. */
static void
hand_on_taken(const void *action, int at, int since)
{
	uint32		number;
	int			first = rq_savepoint_released(&number);

	if (first < 0)
		return;
	for (int i = first; i < queues.n; i++)
		rq_mark_change(queues.list[i].offset, number);
	rq_savepoint_unlock();
}

static const RqActionOps queues_taken = {
	.size = sizeof(Taken),
	.undo = undo_taken,
	.released = hand_on_taken,
};

/* All of a take that can throw for want of memory. */
static void
make_room(void)
{
	Taken		before = {queues.n, groups.n, taken_noted};

	RQ_GROW(TopMemoryContext, queues.list, queues.n, queues.max);
	RQ_GROW(TopMemoryContext, groups.list, groups.n, groups.max);
	rq_savepoint_make_room();
	if (GetCurrentTransactionNestLevel() > 1 &&
		taken_noted < rq_txn_savepoint())
		taken_noted = rq_txn_note(&queues_taken, &before);
}

/* ---- taking ---- */

static bool
is_present(RqGroupRef group)
{
	uint64		xid;

	return rq_group_state(group, &xid) == RQ_GROUP_PRESENT;
}

/* Needs no lock: nobody else writes our number, and we are not writing it. */
static bool
owns_group(RqGroupRef group)
{
	RqGroup    *g = &rq_groups[group.slot];

	return g->id == group.id &&
		pg_atomic_read_u32(&g->owner) == RQ_MY_PROC_NUMBER + 1;
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

/*
 * Take the lock on the group, unless we have it.  "first" says that we did not
 * have it yet, and that it can be released again.
 */
static bool
share_group(const RqCursor *c, Oid db, bool wait, bool *first)
{
	LOCKTAG		lock = group_lock(db, c->group);
	LockAcquireResult result;

	*first = false;
	if (groups.n > 0 && groups.list[groups.n - 1].group.id == c->group.id)
		return true;
	result = rq_owner_lock(&lock, ShareLock, wait);
	if (result == LOCKACQUIRE_OK)
	{
		*first = true;
		groups.list[groups.n++] = (Group)
		{
			.topic = c->q->topic, .group = c->group
		};
		groups.given = groups.n;
	}
	return result != LOCKACQUIRE_NOT_AVAIL;
}

/* Having got nothing, do not keep others from the whole group. */
static void
unshare_group(const RqCursor *c, Oid db)
{
	LOCKTAG		lock = group_lock(db, c->group);

	groups.given = --groups.n;
	rq_owner_unlock(&lock, ShareLock);
}

/*
 * Is there any use in trying?  Without a lock, so the slot can be another
 * group's by now; then it makes no difference, as the group is gone.
 */
static bool
could_take(const RqCursor *c, Oid db)
{
	RqOffset   *o = rq_offset_find(c->group.slot, c->q->id);
	LOCKTAG		lock = group_lock(db, c->group);

	if ((pg_atomic_read_u32(&rq_groups[c->group.slot].owner) != 0 ||
		 rq_whole_is_wanted(c->group)) &&
		!rq_lock_held_by_me(&lock, ShareLock))
		return false;
	return o == NULL || rq_mark_is_mine(o) || rq_mark_is_free(o);
}

/*
 * Our first queue is about to be taken.  The time before the mark, which is a
 * full barrier: who sees the mark finds its time.  Pairs with put_owner() in
 * api/rq_group_views_sql.c.
 */
static void
note_first_take(void)
{
	if (queues.n == 0)
		RQ_MY_BACKEND->owner_since = GetCurrentTimestamp();
}

/* The mark has been set.  There is room.  Can't throw. */
static void
note_taken(const RqCursor *c)
{
	rq_group_used(c->group);
	queues.list[queues.n++] = (Queue)
	{
		.topic = c->q->topic, .group = c->group, .queue_id = c->q->id,
			.offset = c->offset
	};
	queues.given = queues.n;
}

static void
say_for_what_we_wait(void *arg)
{
	errcontext("while waiting for queue %u of consumer group \"%s\"",
			   wanted.queue_id, (const char *) arg);
}

/*
 * Wait for the queue: for our turn first, so that those who wait get it in the
 * order in which they came.
 */
static void
take_in_turn(const RqCursor *c, Oid db, uint32 savepoint)
{
	ErrorContextCallback context = {.previous = error_context_stack,
		.callback = say_for_what_we_wait,
	.arg = rq_text_from(db, rq_groups[c->group.slot].name)};
	LOCKTAG		turn;

	SET_LOCKTAG_ADVISORY(turn, db, c->group.id, c->q->id, RQ_LOCK_QUEUE);
	error_context_stack = &context;
	wanted = (Queue)
	{
		.topic = c->q->topic, .group = c->group, .queue_id = c->q->id,
			.offset = c->offset
	};
	rq_mark_want(c->offset);
	rq_owner_lock(&turn, ExclusiveLock, true);
	note_first_take();
	while (!rq_mark_take_wanted(c->offset, savepoint))
	{
		rq_mark_wait(c->offset, db);
		note_first_take();
	}
	wanted.offset = NULL;
	note_taken(c);
	error_context_stack = context.previous;
	rq_owner_unlock(&turn, ExclusiveLock);
}

/*
 * Own the queue whose group we have locked; false if it is another one's, and
 * we do not wait.
 */
static bool
take_queue(const RqCursor *c, Oid db, bool wait)
{
	uint32		savepoint;

	if (rq_mark_is_mine(c->offset))
		return true;
	savepoint = rq_savepoint_lock(db, queues.n, wait);
	note_first_take();
	if (rq_mark_take(c->offset, savepoint))
		note_taken(c);
	else if (wait)
		take_in_turn(c, db, savepoint);
	else
		return false;
	return true;
}

/*
 *		1. Make room, so that noting what we own cannot fail.
 *		2. Take the lock on the group.
 *		3. Check the group: until now nothing has kept it.  From here on the
 *		   lock does, since whoever drops it takes that exclusively.
 *		4. Set the mark, and note that we own the queue.
 */
bool
rq_owner_take(RqCursor *c, bool wait)
{
	Oid			db = rq_queue_key(c->q).db;
	bool		first;

	if (owns_group(c->group))
		return find_offset(c);
	if (!wait && !could_take(c, db))
		return false;
	make_room();
	if (!share_group(c, db, wait, &first))
		return false;
	if (find_offset(c) && take_queue(c, db, wait))
		return true;
	c->offset = NULL;
	if (first)
		unshare_group(c, db);
	return false;
}

/* The steps of rq_owner_take(). */
bool
rq_owner_take_group(uint32 topic, RqGroupRef group)
{
	LOCKTAG		lock = group_lock(rq_topic_key(topic).db, group);
	RqGroup    *g = &rq_groups[group.slot];
	LockAcquireResult result;

	make_room();
	rq_whole_want(topic, group);
	result = rq_owner_lock(&lock, ExclusiveLock, true);
	if (!is_present(group))
	{
		rq_whole_unwant();
		rq_owner_unlock(&lock, ExclusiveLock);
		return false;
	}
	if (result == LOCKACQUIRE_OK)
	{
		rq_group_used(group);
		g->owner_since = GetCurrentTimestamp();

		/*
		 * The time before the mark: who sees the mark finds its time.  Pairs
		 * with put_owner() in api/rq_group_views_sql.c.
		 */
		pg_write_barrier();
		pg_atomic_write_u32(&g->owner, RQ_MY_PROC_NUMBER + 1);
		groups.list[groups.n++] = (Group)
		{
			.topic = topic, .group = group, .whole = true
		};
		groups.given = groups.n;
	}
	rq_whole_unwant();
	return true;
}

/* A session lock, since a worker has no transaction that would release it. */
bool
rq_owner_hold_group(Oid db, RqGroupRef group)
{
	LOCKTAG		lock = group_lock(db, group);

	return LockAcquire(&lock, ExclusiveLock, true, true) != LOCKACQUIRE_NOT_AVAIL;
}

void
rq_owner_free_group(Oid db, RqGroupRef group)
{
	LOCKTAG		lock = group_lock(db, group);

	LockRelease(&lock, ExclusiveLock, true);
}

static const char *
why_unpreparable(void)
{
	return queues.n == 0 && groups.n == 0 ? NULL :
		gettext_noop("cannot PREPARE a transaction that has locked a queue for a consumer group");
}

/* Also after a transaction that has tried and got nothing. */
static void
forget_savepoints(void)
{
	rq_savepoint_forget();
	taken_noted = -1;
}

void
rq_owner_init(void)
{
	static const RqParticipant owner = {
		.unpreparable = why_unpreparable,
		.forget = forget_savepoints,
	};

	RegisterResourceReleaseCallback(end_of_locks, NULL);
	rq_txn_register(&owner);
}
