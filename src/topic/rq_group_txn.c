/*
 * rq_group_txn.c
 *	  Consumer groups that the current transaction creates and drops.
 *
 * What is left of a group when the transaction that creates or drops it is
 * rolled back, or a part of it?
 *
 * A group is in shared memory and WAL from the moment it is created.  What a
 * rollback to a savepoint leaves of it has to go with a record of its own,
 * which cannot be written during the rollback, where nothing may fail: the
 * group is "abandoned", and dropped at pre-commit or by the janitor.  The same
 * holds for a group that its creator drops, except that a rollback to a
 * savepoint can still bring it back: it is "doomed".
 *
 * A group of others that the transaction drops is "claimed": that is not
 * logged before pre-commit, since until then it can be taken back without a
 * record.
 *
 * Everything here does nothing if the slot belongs to a group with another id
 * by then: the group has ended with its topic.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"

#include "base/rq_fault.h"
#include "shmem/rq_shmem.h"
#include "shmem/rq_workers.h"
#include "topic/rq_group.h"
#include "topic/rq_group_create.h"
#include "topic/rq_group_drop.h"
#include "topic/rq_group_txn.h"
#include "topic/rq_tables.h"
#include "txn/rq_txn.h"

/* All actions note an RqGroupRef. */
static RqGroupRef
group_of(const void *action)
{
	return *(const RqGroupRef *) action;
}

/* ---- created ---- */

/*
 * Nobody needs it any more, but that is still to be logged.  Only the meta
 * lock, not the gate: a rollback may not wait for the store to open.
 */
static void
abandon(const void *action)
{
	RqGroupRef	group = group_of(action);

	LWLockAcquire(rq_meta_lock, LW_EXCLUSIVE);
	if (rq_group_is_still(group))
	{
		if (!rq_groups[group.slot].abandoned)
			pg_atomic_fetch_add_u32(&rq_tables->groups_abandoned, 1);
		rq_groups[group.slot].doomed = rq_groups[group.slot].abandoned = true;
	}
	LWLockRelease(rq_meta_lock);
	rq_worker_wake(RQ_JANITOR);
}

/*
 * WAL-log the end of a doomed group.  At pre-commit, without the transaction's
 * id: the group must be gone whether or not the transaction commits.  If it
 * does not, its creation would have been undone anyway.
 */
static void
drop_doomed(const void *action, uint64 xid)
{
	RqGroupRef	group = group_of(action);

	rq_gate_enter();
	LWLockAcquire(rq_meta_lock, LW_EXCLUSIVE);
	if (rq_group_is_still(group))
		rq_group_drop_for_good(group.slot);
	LWLockRelease(rq_meta_lock);
	rq_gate_leave();
}

static const RqActionOps group_abandoned = {
	.size = sizeof(RqGroupRef),
	.stage = RQ_STAGE_GROUPS_UNDONE,
	.after_undo = &group_abandoned,
	.pre_commit = drop_doomed,
	.unpreparable = gettext_noop("cannot PREPARE a transaction that has created a consumer group and rolled that back"),
};

static const RqActionOps group_created = {
	.size = sizeof(RqGroupRef),
	.undo = abandon,
	.after_undo = &group_abandoned,
	.unpreparable = gettext_noop("cannot PREPARE a transaction that has created a consumer group"),
};

bool
rq_group_create_own(uint32 topic, const char *name, const xl_rq_place *places,
					RqGroupRef *group)
{
	uint64		xid = rq_xid_announce();

	/*
	 * Room for the note first: a group that exists and is not noted would
	 * survive a rollback to a savepoint.
	 */
	rq_txn_make_room();
	if (!rq_group_create(topic, name, places, xid, true, group))
		return false;
	rq_txn_note(&group_created, group);
	return true;
}

/* ---- dropped, after somebody else has created it ---- */

/* "xid" means to drop the group; 0 takes the claim back.  Can't throw. */
static void
claim(RqGroupRef group, uint64 xid)
{
	LWLockAcquire(rq_meta_lock, LW_EXCLUSIVE);
	if (rq_group_is_still(group))
		rq_groups[group.slot].claim_xid = xid;
	LWLockRelease(rq_meta_lock);
}

static void
unclaim(const void *action)
{
	claim(group_of(action), 0);
}

/*
 * WAL-log that a claimed group goes away if "xid" commits, before the commit
 * record, and note the same in the slot under one hold of the lock.
 */
static void
stage_group_drop(const void *action, uint64 xid)
{
	RqGroupRef	group = group_of(action);

	rq_gate_enter();
	LWLockAcquire(rq_meta_lock, LW_EXCLUSIVE);
	if (rq_group_is_still(group))
	{
		START_CRIT_SECTION();
		rq_group_log_drop(group.slot, xid);
		rq_groups[group.slot].pend_op = RQ_PEND_DROP;
		rq_groups[group.slot].pend_xid = xid;
		rq_group_changed(group.slot);
		END_CRIT_SECTION();
	}
	LWLockRelease(rq_meta_lock);
	rq_gate_leave();
	RQ_FAULT("group-drop-wal");
}

/* From here on "pend_op" and pg_xact say what the claim did. */
static void
finish_group_dropped(const void *action, bool committed)
{
	claim(group_of(action), 0);
	rq_worker_wake(RQ_JANITOR);
}

static const RqActionOps group_dropped = {
	.size = sizeof(RqGroupRef),
	.stage = RQ_STAGE_DROPS,
	.undo = unclaim,
	.pre_commit = stage_group_drop,
	.finish = finish_group_dropped,
	.unpreparable = gettext_noop("cannot PREPARE a transaction that has dropped a consumer group"),
};

/* ---- dropped by its creator ---- */

/* Hide a group that its own creator gave up again, or show it.  Can't throw. */
static void
set_doomed(RqGroupRef group, bool doomed)
{
	LWLockAcquire(rq_meta_lock, LW_EXCLUSIVE);
	if (rq_group_is_still(group))
		rq_groups[group.slot].doomed = doomed;
	LWLockRelease(rq_meta_lock);
}

static void
undoom(const void *action)
{
	set_doomed(group_of(action), false);
}

static const RqActionOps group_doomed = {
	.size = sizeof(RqGroupRef),
	.stage = RQ_STAGE_GROUPS_UNDONE,
	.undo = undoom,
	.pre_commit = drop_doomed,
};

static bool
is_own(RqGroupRef group)
{
	const RqGroup *g = &rq_groups[group.slot];

	/*
	 * Without the lock: nobody else drops or settles a group before the
	 * transaction that creates it has ended.
	 */
	return g->id == group.id && g->pend_op == RQ_PEND_CREATE &&
		rq_xid_is_own(g->pend_xid);
}

/*
 * Noted first and done then: to note can fail, and undoing what has not been
 * done yet does no harm.
 */
void
rq_group_drop(RqGroupRef group)
{
	if (is_own(group))
	{
		rq_txn_note(&group_doomed, &group);
		set_doomed(group, true);
	}
	else
	{
		uint64		xid = U64FromFullTransactionId(GetTopFullTransactionId());

		rq_txn_note(&group_dropped, &group);
		claim(group, xid);
	}
}

/* Has the transaction dropped it, and can take that back? */
static bool
is_own_drop(const RqGroup *g)
{
	RQ_ASSERT_META_LOCK(LW_SHARED);
	if (g->doomed)
		return !g->abandoned && rq_xid_is_own(g->pend_xid);
	return g->claim_xid != 0 && rq_xid_is_own(g->claim_xid);
}

bool
rq_group_own_drop(uint32 topic, const char *name)
{
	bool		found = false;

	LWLockAcquire(rq_meta_lock, LW_SHARED);
	for (uint32 i = rq_topics[topic].first_group; i != RQ_NO_SLOT && !found;
		 i = rq_groups[i].next)
		found = strcmp(rq_groups[i].name, name) == 0 &&
			is_own_drop(&rq_groups[i]);
	LWLockRelease(rq_meta_lock);
	return found;
}
