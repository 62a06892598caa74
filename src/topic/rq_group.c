/*
 * rq_group.c
 *	  Consumer groups: which exist.  Their offsets are in rq_offset.c.
 *
 * Given a topic and a name, is there such a group for the calling transaction,
 * and if that depends on another transaction, on which?
 *
 * A group is created and dropped by a transaction.  Its slot says what the
 * transaction means to do (pend_op, pend_xid), and whoever finds it there asks
 * pg_xact for the outcome.  When the transaction has ended, the janitor
 * settles the slot for good and logs that (rq_group_create.c).
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "topic/rq_group.h"
#include "topic/rq_topic.h"

bool
rq_group_is_still(RqGroupRef group)
{
	RQ_ASSERT_META_LOCK(LW_SHARED);
	return rq_groups[group.slot].id == group.id;
}

/* The group's state for the caller; what its own transaction did counts. */
static RqGroupState
state_of(const RqGroup *g, uint64 *xid)
{
	bool		there = g->pend_op != RQ_PEND_CREATE;	/* if it aborts */

	RQ_ASSERT_META_LOCK(LW_SHARED);
	if (g->abandoned || (g->claim_xid != 0 && rq_xid_is_own(g->claim_xid)))
		return RQ_GROUP_ABSENT;

	/* For others it can still come back, by ROLLBACK TO SAVEPOINT. */
	if (g->doomed && (rq_xid_is_own(g->pend_xid) ||
					  rq_xid_status(g->pend_xid) != RQ_XID_IN_PROGRESS))
		return RQ_GROUP_ABSENT;

	/* A claim that has ended says nothing: after a commit, pend_op does. */
	if (g->claim_xid != 0 &&
		rq_xid_status(g->claim_xid) == RQ_XID_IN_PROGRESS)
	{
		*xid = g->claim_xid;
		return RQ_GROUP_IN_DOUBT;
	}
	if (g->pend_op == RQ_PEND_NONE)
		return RQ_GROUP_PRESENT;
	if (!rq_xid_is_own(g->pend_xid))
	{
		switch (rq_xid_status(g->pend_xid))
		{
			case RQ_XID_IN_PROGRESS:
				*xid = g->pend_xid;
				return RQ_GROUP_IN_DOUBT;
			case RQ_XID_ABORTED:
				return there ? RQ_GROUP_PRESENT : RQ_GROUP_ABSENT;
			case RQ_XID_COMMITTED:
				break;
		}
	}

	/* Ours, or committed: as "pend_op" says. */
	return there ? RQ_GROUP_ABSENT : RQ_GROUP_PRESENT;
}

RqGroupState
rq_group_find_locked(uint32 topic, const char *name, RqGroupRef *group, uint64 *xid)
{
	RqGroupState found = RQ_GROUP_ABSENT;

	RQ_ASSERT_META_LOCK(LW_SHARED);
	for (uint32 i = rq_topics[topic].first_group; i != RQ_NO_SLOT;
		 i = rq_groups[i].next)
	{
		RqGroupState state;

		if (strcmp(rq_groups[i].name, name) != 0)
			continue;
		state = state_of(&rq_groups[i], xid);
		if (state == RQ_GROUP_ABSENT)
			continue;
		group->slot = i;
		group->id = rq_groups[i].id;
		found = state;
		if (state == RQ_GROUP_PRESENT)
			break;
	}
	return found;
}

RqGroupState
rq_group_find(uint32 topic, const char *name, RqGroupRef *group,
			  uint64 *xid)
{
	RqGroupState state;

	LWLockAcquire(rq_meta_lock, LW_SHARED);
	state = rq_group_find_locked(topic, name, group, xid);
	LWLockRelease(rq_meta_lock);
	return state;
}

uint32
rq_group_by_id(uint32 topic, uint32 id)
{
	RQ_ASSERT_META_LOCK(LW_SHARED);
	for (uint32 i = rq_topics[topic].first_group; i != RQ_NO_SLOT;
		 i = rq_groups[i].next)
		if (rq_groups[i].id == id)
			return i;
	return RQ_NO_SLOT;
}

RqGroupRef *
rq_group_list(uint32 topic, int *n)
{
	RqGroupRef *list;

	LWLockAcquire(rq_meta_lock, LW_SHARED);
	list = palloc(Max(rq_group_count(topic), 1) * sizeof(RqGroupRef));
	*n = 0;
	for (uint32 i = rq_topics[topic].first_group; i != RQ_NO_SLOT;
		 i = rq_groups[i].next)
		list[(*n)++] = (RqGroupRef)
	{
		.slot = i, .id = rq_groups[i].id
	};
	LWLockRelease(rq_meta_lock);
	return list;
}

uint64
rq_group_count(uint32 topic)
{
	uint64		n = 0;

	RQ_ASSERT_META_LOCK(LW_SHARED);
	for (uint32 i = rq_topics[topic].first_group; i != RQ_NO_SLOT;
		 i = rq_groups[i].next)
		n++;
	return n;
}

RqGroupState
rq_group_state(RqGroupRef group, uint64 *xid)
{
	RqGroupState state = RQ_GROUP_ABSENT;

	LWLockAcquire(rq_meta_lock, LW_SHARED);
	if (rq_group_is_still(group))
		state = state_of(&rq_groups[group.slot], xid);
	LWLockRelease(rq_meta_lock);
	return state;
}

RqGroupState
rq_group_state_locked(uint32 group, uint64 *xid)
{
	return state_of(&rq_groups[group], xid);
}

void
rq_group_used(RqGroupRef group)
{
	pg_atomic_uint64 *used_at = &rq_groups[group.slot].used_at;
	TimestampTz now = GetCurrentTimestamp();

	/* Another group that gets the slot in between is new, so used now, too. */
	if (rq_groups[group.slot].id == group.id &&
		now - (TimestampTz) pg_atomic_read_u64(used_at) > RQ_USED_STEP)
		pg_atomic_write_u64(used_at, now);
}

RqOffset *
rq_group_offset(uint32 group, uint32 queue_id)
{
	RqOffset   *o = rq_offset_find(group, queue_id);

	if (unlikely(o == NULL))
		elog(ERROR, "queue %u of a consumer group has no slot", queue_id);
	return o;
}

/* If the slot goes to another group just now, no answer matters any more. */
int
rq_group_owner(RqGroupRef group, uint32 queue_id)
{
	const RqGroup *g = &rq_groups[group.slot];
	RqOffset   *o = rq_offset_find(group.slot, queue_id);
	uint32		owner = pg_atomic_read_u32(unconstify(pg_atomic_uint32 *, &g->owner));

	if (g->id != group.id || o == NULL)
		return -1;
	return owner != 0 ? (int) owner - 1 :
		RQ_MARK_OWNER(pg_atomic_read_u64(&o->mark));
}
