/*
 * rq_owner.c
 *	  Which transaction reads a queue for a group.
 *
 * The heavyweight lock on (group, queue) decides.  The slot of the offset tells
 * others whose it is: those who wake waiters, and the views.  What it tells
 * follows the lock: it is set after the lock has been taken and cleared after
 * it has been released, unless the next owner has set it by then.
 *
 * Whoever gives up a queue offers what is left in it to a waiter.  That must
 * come after the release of the lock, or the waiter would still meet it; hence
 * the resource owner's callback and not the transaction's.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"

#include "base/rq_compat.h"
#include "queue/rq_owner.h"
#include "queue/rq_topic.h"
#include "queue/rq_wait.h"

typedef struct Owned
{
	LOCKTAG		tag;
	uint32		topic;
	RqGroupRef	group;
	uint32		queue_id;
	RqOffset   *offset;
} Owned;

/* What the current transaction owns. */
static Owned *owned = NULL;
static int	nowned = 0;
static int	max_owned = 0;

static void
make_room(void)
{
	if (nowned < max_owned)
		return;
	if (owned == NULL)
		owned = MemoryContextAlloc(TopMemoryContext, 16 * sizeof(Owned));
	else
		owned = repalloc(owned, 2 * max_owned * sizeof(Owned));
	max_owned = Max(16, 2 * max_owned);
}

static bool
is_present(RqGroupRef group)
{
	uint64		xid;

	return rq_group_state(group, &xid) == RQ_GROUP_PRESENT;
}

bool
rq_owner_take(uint32 topic, RqGroupRef group, uint32 queue_id, bool wait)
{
	Owned		o = {.topic = topic, .group = group, .queue_id = queue_id};
	LockAcquireResult result;

	make_room();
	SET_LOCKTAG_ADVISORY(o.tag, rq_topic_key(topic).db, group.id, queue_id,
						 RQ_LOCK_QUEUE);
	result = LockAcquire(&o.tag, ExclusiveLock, false, !wait);
	if (result == LOCKACQUIRE_NOT_AVAIL || !is_present(group))
		return false;
	if (result == LOCKACQUIRE_OK)
	{
		o.offset = rq_group_offset(group.slot, queue_id);
		o.offset->owner_since = GetCurrentTimestamp();
		pg_atomic_write_u32(&o.offset->owner, RQ_MY_PROC_NUMBER + 1);
		owned[nowned++] = o;
	}
	return true;
}

static void
give_up(const Owned *o)
{
	uint32		me = RQ_MY_PROC_NUMBER + 1;

	pg_atomic_compare_exchange_u32(&o->offset->owner, &me, 0);
	rq_wait_offer(o->topic, o->group, o->queue_id);
}

/* Nothing may fail in here. */
static void
locks_released(ResourceReleasePhase phase, bool is_commit, bool is_top,
			   void *arg)
{
	int			kept = 0;

	/* A subtransaction that commits hands its locks on. */
	if (nowned == 0 || phase != RESOURCE_RELEASE_AFTER_LOCKS ||
		(is_commit && !is_top))
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

int
rq_owner_of(RqGroupRef group, uint32 queue_id)
{
	RqGroup    *g = &rq_groups[group.slot];
	uint32		slot = rq_slots_find(rq_offset_pool, &g->offsets, queue_id);

	if (g->id != group.id || slot == RQ_NO_SLOT)
		return -1;
	return (int) pg_atomic_read_u32(&rq_offsets[slot].owner) - 1;
}

bool
rq_owner_any(void)
{
	return nowned > 0;
}

void
rq_owner_init(void)
{
	RegisterResourceReleaseCallback(locks_released, NULL);
}
