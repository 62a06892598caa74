/*
 * rq_group_drop.c
 *	  Consumer groups that go.
 *
 * When a group is to go, when are its slots given back, so that at any LSN a
 * standby has as many free as the primary had?  Whoever gives them back logs
 * that under the same hold of the meta lock.  A group whose end depends on a
 * transaction is only marked, and keeps its slots until that is settled.
 */
#include "postgres.h"

#include "access/xloginsert.h"
#include "miscadmin.h"

#include "base/rq_compat.h"
#include "base/rq_fault.h"
#include "base/rq_guc.h"
#include "format/rq_walrec.h"
#include "shmem/rq_stats.h"
#include "topic/rq_group_drop.h"
#include "topic/rq_group_room.h"
#include "topic/rq_topic.h"

void
rq_group_log_drop(uint32 group, uint64 xid)
{
	RqGroup    *g = &rq_groups[group];
	xl_rq_group_drop rec = {.kind = RQ_EXT_GROUP_DROP, .group_id = g->id,
	.key = rq_topic_key(g->topic), .xid = xid};

	RQ_ASSERT_META_LOCK(LW_EXCLUSIVE);
	XLogBeginInsert();
	rq_xlog_register(&rec, SizeOfRqGroupDrop);
	rq_xlog_insert(XLOG_RQ_EXT);
}

/*
 * Out of the chain, then the offsets, then the id.  Those who look at an offset
 * without the meta lock check the id afterwards (rq_offset_peek()); the slots
 * go to another group only under a later hold of the lock.  Shared with redo.
 */
static void
group_drop_apply(uint32 group)
{
	RqGroup    *g = &rq_groups[group];
	uint32	   *link = &rq_topics[g->topic].first_group;

	RQ_ASSERT_META_LOCK(LW_EXCLUSIVE);
	while (*link != group)
		link = &rq_groups[*link].next;
	*link = g->next;
	rq_group_cut_offsets(group, 0);
	if (g->abandoned)
		pg_atomic_fetch_sub_u32(&rq_tables->groups_abandoned, 1);
	g->id = 0;
	rq_group_changed(group);
	rq_group_slot_is_free(group);
	rq_tables->ngroups--;
}

void
rq_group_drop_all_apply(uint32 topic)
{
	RQ_ASSERT_META_LOCK(LW_EXCLUSIVE);
	while (rq_topics[topic].first_group != RQ_NO_SLOT)
		group_drop_apply(rq_topics[topic].first_group);
}

/* One hold of the lock: at any LSN redo must have as many slots free as we. */
void
rq_group_drop_for_good(uint32 group)
{
	RQ_ASSERT_META_LOCK(LW_EXCLUSIVE);
	START_CRIT_SECTION();
	rq_group_log_drop(group, 0);
	group_drop_apply(group);
	END_CRIT_SECTION();
}

/* Asked under the lock under which it goes, or it could be used in between. */
bool
rq_group_drop_if(RqGroupRef group, RqGroupMay may)
{
	const RqGroup *g = &rq_groups[group.slot];
	bool		go;

	rq_gate_enter();
	LWLockAcquire(rq_meta_lock, LW_EXCLUSIVE);
	go = rq_group_is_still(group) && g->pend_op == RQ_PEND_NONE && !g->doomed &&
		g->claim_xid == 0 && may(group.slot);
	if (go)
		rq_group_drop_for_good(group.slot);
	LWLockRelease(rq_meta_lock);
	rq_gate_leave();
	return go;
}

/* Each under a hold of its own, since others wait for the lock. */
int
rq_group_drop_abandoned(int most)
{
	static uint32 next = 0;		/* where to go on the next time */
	uint32		ngroups = rq_groups_begun();
	int			dropped = 0;

	if (pg_atomic_read_u32(&rq_tables->groups_abandoned) == 0)
		return 0;
	for (uint32 n = 0; n < ngroups && dropped < most; n++)
	{
		uint32		i = next;

		next = (next + 1) % ngroups;
		/* Checked without the lock to pass over most, then again with it. */
		if (rq_groups[i].id == 0 || !rq_groups[i].abandoned)
			continue;
		rq_gate_enter();
		LWLockAcquire(rq_meta_lock, LW_EXCLUSIVE);
		if (rq_groups[i].id != 0 && rq_groups[i].abandoned)
		{
			rq_group_drop_for_good(i);
			dropped++;
		}
		LWLockRelease(rq_meta_lock);
		rq_gate_leave();
		RQ_FAULT("group-abandoned");
	}
	return dropped;
}

/* With an xid the group is only marked: its end is a record of its own. */
void
rq_group_redo_drop(const void *data, uint32 len, XLogRecPtr lsn)
{
	const xl_rq_group_drop *rec = data;
	uint32		topic;
	uint32		group;

	LWLockAcquire(rq_meta_lock, LW_EXCLUSIVE);
	topic = rq_topic_for_redo(rec->key, lsn);
	group = topic == RQ_NO_SLOT ? RQ_NO_SLOT : rq_group_by_id(topic, rec->group_id);
	if (group != RQ_NO_SLOT)
	{
		if (rec->xid == 0)
			group_drop_apply(group);
		else
		{
			rq_groups[group].pend_op = RQ_PEND_DROP;
			rq_groups[group].pend_xid = rec->xid;
			rq_group_changed(group);
		}
	}
	LWLockRelease(rq_meta_lock);
}
