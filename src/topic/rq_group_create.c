/*
 * rq_group_create.c
 *	  Consumer groups that come, and what becomes of them when a transaction
 *	  ends.
 */
#include "postgres.h"

#include "access/xloginsert.h"
#include "miscadmin.h"
#include "utils/timestamp.h"

#include "base/rq_compat.h"
#include "base/rq_fault.h"
#include "base/rq_guc.h"
#include "shmem/rq_stats.h"
#include "topic/rq_group_create.h"
#include "topic/rq_group_drop.h"
#include "topic/rq_group_room.h"
#include "topic/rq_topic.h"

/* How many groups in doubt are asked about in a round of the janitor. */
#define SETTLE_ROUND	256

/*
 * Shared by creation, redo and the loading of the state.  A creation has
 * checked before its critical section that there is room; in the others this
 * throws if the tables are smaller than they were where the group was made.
 *
 * The id is set last: it makes the slot a used one.
 */
uint32
rq_group_apply(uint32 topic, uint32 id, const char *name, uint32 name_len,
			   uint32 nqueues, uint64 xid, TimestampTz created_at)
{
	uint32		slot;
	RqGroup    *g;

	RQ_ASSERT_META_LOCK(LW_EXCLUSIVE);
	rq_group_check_room_for_new(nqueues);
	slot = rq_group_free_slot();
	g = &rq_groups[slot];
	memset(&g->id, 0, sizeof(*g) - offsetof(RqGroup, id));
	pg_atomic_init_u64(&g->used_at, 0);
	pg_atomic_init_u32(&g->owner, 0);
	pg_atomic_init_u64(&g->wanted, (uint64) id << 32);
	g->topic = topic;
	memcpy(g->name, name, Min(name_len, RQ_GROUP_NAME_MAX));
	g->pend_op = xid ? RQ_PEND_CREATE : RQ_PEND_NONE;
	g->pend_xid = xid;
	g->created_at = created_at;
	rq_group_take_offsets(slot, nqueues);
	g->next = rq_topics[topic].first_group;
	rq_topics[topic].first_group = slot;
	g->id = id;
	rq_group_changed(slot);
	rq_tables->ngroups++;
	rq_tables->next_group_id = Max(rq_tables->next_group_id, id + 1);
	return slot;
}

static void
set_places(uint32 group, const xl_rq_place *places, XLogRecPtr lsn)
{
	RQ_ASSERT_META_LOCK(LW_EXCLUSIVE);
	for (uint32 i = 0; i < rq_groups[group].offsets.n; i++)
	{
		RqOffset   *o = rq_group_offset(group, i);

		o->committed = places[i].offset;
		if (places[i].saved_total > 0)
		{
			rq_offset_becomes(o, RQ_OFFSET_OPEN);
			o->saved_total = places[i].saved_total;
			o->saved_left = places[i].saved_left;
		}
		o->lsn = lsn;
		rq_offset_changed(o);
	}
}

/*
 * Also logs an existing group again, without places and xid, when its
 * existence no longer depends on the outcome of a transaction.
 */
static XLogRecPtr
log_group(uint32 topic, uint32 id, const char *name, const xl_rq_place *places,
		  uint32 nqueues, uint64 xid, TimestampTz created_at)
{
	xl_rq_group rec = {.key = rq_topic_key(topic), .group_id = id,
		.nqueues = nqueues, .xid = xid, .created_at = created_at,
	.name_len = strlen(name)};

	RQ_ASSERT_META_LOCK(LW_EXCLUSIVE);
	XLogBeginInsert();
	rq_xlog_register(&rec, SizeOfRqGroup);
	if (nqueues > 0)
		rq_xlog_register(places, nqueues * sizeof(xl_rq_place));
	rq_xlog_register(name, rec.name_len);
	return rq_xlog_insert(XLOG_RQ_GROUP);
}

/*
 * 1. check name, share and room, 2. log, 3. fill the slot and its offsets:
 * under one hold of the meta lock, so a copy of the state that is taken later
 * has the group, and one taken before is followed by the record.
 */
bool
rq_group_create(uint32 topic, const char *name, const xl_rq_place *places,
				uint64 xid, bool limited, RqGroupRef *group)
{
	uint64		other;
	bool		absent;

	rq_gate_enter();
	LWLockAcquire(rq_meta_lock, LW_EXCLUSIVE);
	absent = rq_group_find_locked(topic, name, group, &other) == RQ_GROUP_ABSENT;
	if (absent)
	{
		uint32		nqueues = rq_topic_nslots(topic);
		uint32		id = rq_tables->next_group_id;
		TimestampTz now = GetCurrentTimestamp();
		XLogRecPtr	lsn;

		/* 1. Others may have taken since what the caller made room for. */
		if (limited)
			rq_group_check_share_of_new(topic);
		rq_group_check_room_for_new(nqueues);

		/* 2. and 3. */
		START_CRIT_SECTION();
		lsn = log_group(topic, id, name, places, nqueues, xid, now);
		group->id = id;
		group->slot = rq_group_apply(topic, id, name, strlen(name), nqueues,
									 xid, now);
		set_places(group->slot, places, lsn);
		END_CRIT_SECTION();
	}
	LWLockRelease(rq_meta_lock);
	rq_gate_leave();
	RQ_FAULT("group-wal");
	return absent;
}

/* ---- settling ---- */

/* The group goes if its creation has aborted or its drop has committed. */
static void
settle_group(uint32 group, RqXidStatus status)
{
	RqGroup    *g = &rq_groups[group];

	RQ_ASSERT_META_LOCK(LW_EXCLUSIVE);
	if ((g->pend_op == RQ_PEND_CREATE) == (status == RQ_XID_ABORTED))
	{
		rq_group_drop_for_good(group);
		return;
	}
	START_CRIT_SECTION();
	log_group(g->topic, g->id, g->name, NULL, 0, 0, g->created_at);
	g->pend_op = RQ_PEND_NONE;
	g->pend_xid = 0;
	rq_group_changed(group);
	END_CRIT_SECTION();
}

static bool
group_is_in_doubt(uint32 group)
{
	return rq_groups[group].id != 0 &&
		rq_groups[group].pend_op != RQ_PEND_NONE;
}

static int
group_xids(uint32 group, uint64 xids[RQ_SETTLE_XIDS])
{
	xids[0] = rq_groups[group].pend_xid;
	return group_is_in_doubt(group) ? 1 : 0;
}

static void
settle_ended_group(uint32 group)
{
	RqXidStatus status;

	RQ_ASSERT_META_LOCK(LW_EXCLUSIVE);

	/* The slot may be free by now, or another group's: check again. */
	if (!group_is_in_doubt(group))
		return;
	status = rq_xid_status(rq_groups[group].pend_xid);
	if (status == RQ_XID_IN_PROGRESS)
		return;
	RQ_FAULT_OF("group-settle", rq_groups[group].id);
	settle_group(group, status);
}

static void
settle_in_turn(uint32 group)
{
	rq_gate_enter();
	LWLockAcquire(rq_meta_lock, LW_EXCLUSIVE);
	settle_ended_group(group);
	LWLockRelease(rq_meta_lock);
	rq_gate_leave();
}

bool
rq_group_settle_some(RqPass *pass)
{
	return rq_settle_some(pass, rq_groups_begun(), SETTLE_ROUND, group_xids,
						  settle_in_turn);
}

/* ---- redo ---- */

/*
 * A record without places is a settlement.  A group that is not there is made
 * only if the loaded state could not know of it (meta_lsn); otherwise it has
 * been dropped since.
 */
void
rq_group_redo(const void *data, uint32 len, XLogRecPtr lsn)
{
	const xl_rq_group *rec = data;
	const xl_rq_place *places = (const xl_rq_place *) (rec + 1);
	const char *name = (const char *) (places + rec->nqueues);
	uint32		topic;
	uint32		group;

	LWLockAcquire(rq_meta_lock, LW_EXCLUSIVE);
	topic = rq_topic_for_redo(rec->key, lsn);
	if (topic != RQ_NO_SLOT)
	{
		group = rq_group_by_id(topic, rec->group_id);
		if (group != RQ_NO_SLOT)
		{
			if (rec->xid == 0)
			{
				rq_groups[group].pend_op = RQ_PEND_NONE;
				rq_groups[group].pend_xid = 0;
				rq_group_changed(group);
			}
		}
		else if (rec->nqueues > 0 && lsn > rq_tables->meta_lsn)
		{
			group = rq_group_apply(topic, rec->group_id, name, rec->name_len,
								   rec->nqueues, rec->xid, rec->created_at);
			set_places(group, places, lsn);
		}
	}
	LWLockRelease(rq_meta_lock);
}
