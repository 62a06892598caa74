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
 * settles the slot for good and logs that.
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xloginsert.h"
#include "miscadmin.h"
#include "utils/timestamp.h"

#include "base/rq_compat.h"
#include "base/rq_error.h"
#include "base/rq_fault.h"
#include "base/rq_guc.h"
#include "shmem/rq_stats.h"
#include "topic/rq_group_private.h"
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

/* A name can have several slots: prefers a present group to one in doubt. */
static RqGroupState
find_locked(uint32 topic, const char *name, RqGroupRef *group, uint64 *xid)
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
	state = find_locked(topic, name, group, xid);
	LWLockRelease(rq_meta_lock);
	return state;
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
	if (owner == 0)
		owner = pg_atomic_read_u32(&o->owner);
	return (int) owner - 1;
}

static uint32
find_free_group(void)
{
	RQ_ASSERT_META_LOCK(LW_EXCLUSIVE);
	for (uint32 i = 0; i < (uint32) rq_max_groups; i++)
		if (rq_groups[i].id == 0)
			return i;
	return RQ_NO_SLOT;
}

/* Groups of a topic. */
typedef struct GroupCount
{
	int64		there;
	int64		slots;			/* also of those that a transaction has made
								 * and given up again, or drops */
} GroupCount;

static GroupCount
count_groups(uint32 topic)
{
	GroupCount	n = {0};
	uint64		xid;

	RQ_ASSERT_META_LOCK(LW_SHARED);
	for (uint32 i = rq_topics[topic].first_group; i != RQ_NO_SLOT;
		 i = rq_groups[i].next)
	{
		n.slots++;
		if (state_of(&rq_groups[i], &xid) != RQ_GROUP_ABSENT)
			n.there++;
	}
	return n;
}

/*
 * Throw if the topic would have more than its share.  Groups that are being
 * dropped have slots as well, and of these it can have as many again.
 */
static void
check_share(GroupCount n, uint32 nqueues)
{
	if (n.there * nqueues <= rq_max_consumer_slots_per_topic &&
		n.slots * nqueues / 2 <= rq_max_consumer_slots_per_topic)
		return;
	rq_count(RQ_STAT_REFUSED_NO_ROOM, 1);
	rq_report_share_used_up(gettext_noop("too many consumer slots for one topic"),
							"rocketq.max_consumer_slots_per_topic",
							rq_max_consumer_slots_per_topic,
							gettext_noop("A consumer group takes a slot for each queue: use fewer queues, drop unused groups with rocketq.drop_group(), or let a superuser raise rocketq.max_consumer_slots_per_topic."));
}

/* The same for one more group. */
static void
check_share_of_new(uint32 topic)
{
	GroupCount	n = count_groups(topic);

	if (n.there >= rq_max_groups_per_topic ||
		n.slots / 2 >= rq_max_groups_per_topic)
	{
		rq_count(RQ_STAT_REFUSED_NO_ROOM, 1);
		rq_report_share_used_up(gettext_noop("too many consumer groups for one topic"),
								"rocketq.max_groups_per_topic",
								rq_max_groups_per_topic,
								gettext_noop("Drop unused groups with rocketq.drop_group(), or let a superuser raise rocketq.max_groups_per_topic."));
	}
	n.there++;
	n.slots++;
	check_share(n, rq_topic_nslots(topic));
}

void
rq_group_check_share(uint32 topic, uint32 nqueues)
{
	check_share(count_groups(topic), nqueues);
}

/* Throw unless there are slots for this many more offsets. */
static void
check_room(uint64 noffsets)
{
	uint32		left = rq_offset_pool->nfree;

	RQ_ASSERT_META_LOCK(LW_EXCLUSIVE);
	if (noffsets <= left)
		return;
	rq_count(RQ_STAT_REFUSED_NO_ROOM, 1);
	rq_report_table_full(gettext_noop("too many consumer slots"),
						 "rocketq.max_consumer_slots",
						 rq_max_consumer_slots, (uint32) noffsets, left,
						 "drop_group");
}

/* Throw unless there is room for one more group with this many offsets. */
static void
check_room_for_new(uint32 nqueues)
{
	if (find_free_group() == RQ_NO_SLOT)
	{
		rq_count(RQ_STAT_REFUSED_NO_ROOM, 1);
		rq_report_table_full(gettext_noop("too many consumer groups"), "rocketq.max_groups",
							 rq_max_groups, 1, 0,
							 "drop_group");
	}
	check_room(nqueues);
}

/* Give a group offsets until it has that many; there is room. */
static void
take_offsets(uint32 group, uint32 nqueues)
{
	RqSlotMap  *map = &rq_groups[group].offsets;
	uint32		before = map->n;

	RQ_ASSERT_META_LOCK(LW_EXCLUSIVE);
	rq_slots_take(rq_offset_pool, map, nqueues - before);
	for (uint32 i = before; i < nqueues; i++)
	{
		RqOffset   *o = rq_group_offset(group, i);

		memset(o, 0, sizeof(*o));
		o->group = group;
		o->queue_id = i;
	}
}

/* The id is set last: it makes the slot a used one. */
uint32
rq_group_apply(uint32 topic, uint32 id, const char *name, uint32 name_len,
			   uint32 nqueues, uint64 xid, TimestampTz created_at)
{
	uint32		slot;
	RqGroup    *g;

	RQ_ASSERT_META_LOCK(LW_EXCLUSIVE);
	check_room_for_new(nqueues);
	slot = find_free_group();
	g = &rq_groups[slot];
	memset(g, 0, sizeof(*g));
	pg_atomic_init_u64(&g->used_at, 0);
	pg_atomic_init_u32(&g->owner, 0);
	g->topic = topic;
	memcpy(g->name, name, Min(name_len, RQ_GROUP_NAME_MAX));
	g->pend_op = xid ? RQ_PEND_CREATE : RQ_PEND_NONE;
	g->pend_xid = xid;
	g->created_at = created_at;
	take_offsets(slot, nqueues);
	g->next = rq_topics[topic].first_group;
	rq_topics[topic].first_group = slot;
	g->id = id;
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
		o->saved_total = places[i].saved_total;
		o->saved_left = places[i].saved_left;
		o->logged = o->committed;
		o->lsn = lsn;
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
	absent = find_locked(topic, name, group, &other) == RQ_GROUP_ABSENT;
	if (absent)
	{
		uint32		nqueues = rq_topic_nslots(topic);
		uint32		id = rq_tables->next_group_id;
		TimestampTz now = GetCurrentTimestamp();
		XLogRecPtr	lsn;

		/* 1. Others may have taken since what the caller made room for. */
		if (limited)
			check_share_of_new(topic);
		check_room_for_new(nqueues);

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

static void
cut_offsets(uint32 group, uint32 nqueues)
{
	RqSlotMap  *map = &rq_groups[group].offsets;

	RQ_ASSERT_META_LOCK(LW_EXCLUSIVE);
	for (uint32 i = nqueues; i < map->n; i++)
		rq_group_offset(group, i)->group = RQ_NO_SLOT;
	rq_slots_cut(rq_offset_pool, map, nqueues);
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

void
rq_group_cut_slots(uint32 topic, uint32 nslots)
{
	RQ_ASSERT_META_LOCK(LW_EXCLUSIVE);
	for (uint32 i = rq_topics[topic].first_group; i != RQ_NO_SLOT;
		 i = rq_groups[i].next)
		cut_offsets(i, nslots);
}

void
rq_group_take_slots(uint32 topic, uint32 nslots)
{
	RQ_ASSERT_META_LOCK(LW_EXCLUSIVE);
	check_room(rq_group_count(topic) * (nslots - rq_topic_nslots(topic)));
	for (uint32 i = rq_topics[topic].first_group; i != RQ_NO_SLOT;
		 i = rq_groups[i].next)
		take_offsets(i, nslots);
}

void
rq_group_stamp_slots(uint32 topic, XLogRecPtr lsn)
{
	RQ_ASSERT_META_LOCK(LW_EXCLUSIVE);
	for (uint32 i = rq_topics[topic].first_group; i != RQ_NO_SLOT;
		 i = rq_groups[i].next)
		for (uint32 k = 0; k < rq_groups[i].offsets.n; k++)
		{
			RqOffset   *o = rq_group_offset(i, k);

			if (o->lsn == InvalidXLogRecPtr)
				o->lsn = lsn;
		}
}

static void
group_drop_apply(uint32 group)
{
	RqGroup    *g = &rq_groups[group];
	uint32	   *link = &rq_topics[g->topic].first_group;

	RQ_ASSERT_META_LOCK(LW_EXCLUSIVE);
	while (*link != group)
		link = &rq_groups[*link].next;
	*link = g->next;
	cut_offsets(group, 0);
	if (g->abandoned)
		pg_atomic_fetch_sub_u32(&rq_tables->groups_abandoned, 1);
	g->id = 0;
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

void
rq_group_drop_abandoned(void)
{
	if (pg_atomic_read_u32(&rq_tables->groups_abandoned) == 0)
		return;
	for (uint32 i = 0; i < (uint32) rq_max_groups; i++)
	{
		/* Checked without the lock to pass over most, then again with it. */
		if (rq_groups[i].id == 0 || !rq_groups[i].abandoned)
			continue;
		rq_gate_enter();
		LWLockAcquire(rq_meta_lock, LW_EXCLUSIVE);
		if (rq_groups[i].id != 0 && rq_groups[i].abandoned)
			rq_group_drop_for_good(i);
		LWLockRelease(rq_meta_lock);
		rq_gate_leave();
		RQ_FAULT("group-abandoned");
	}
}

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
	END_CRIT_SECTION();
}

bool
rq_group_settle_all(void)
{
	static uint32 next = 0;		/* after one that has thrown, go on */
	bool		any = false;

	for (int n = 0; n < rq_max_groups; n++)
	{
		uint32		i = next;

		next = (next + 1) % (uint32) rq_max_groups;
		if (rq_groups[i].id == 0 || rq_groups[i].pend_op == RQ_PEND_NONE)
			continue;
		rq_gate_enter();
		LWLockAcquire(rq_meta_lock, LW_EXCLUSIVE);
		if (rq_groups[i].id != 0 && rq_groups[i].pend_op != RQ_PEND_NONE)
		{
			RqXidStatus status = rq_xid_status(rq_groups[i].pend_xid);

			if (status != RQ_XID_IN_PROGRESS)
			{
				RQ_FAULT_OF("group-settle", rq_groups[i].id);
				settle_group(i, status);
				any = true;
			}
		}
		LWLockRelease(rq_meta_lock);
		rq_gate_leave();
	}
	return any;
}

/* ---- redo ---- */

static uint32
find_by_id(uint32 topic, uint32 id)
{
	RQ_ASSERT_META_LOCK(LW_SHARED);
	for (uint32 i = rq_topics[topic].first_group; i != RQ_NO_SLOT;
		 i = rq_groups[i].next)
		if (rq_groups[i].id == id)
			return i;
	return RQ_NO_SLOT;
}

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
		group = find_by_id(topic, rec->group_id);
		if (group != RQ_NO_SLOT)
		{
			if (rec->xid == 0)
			{
				rq_groups[group].pend_op = RQ_PEND_NONE;
				rq_groups[group].pend_xid = 0;
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

/* With an xid the group is only marked: its end is a record of its own. */
void
rq_group_redo_drop(const void *data, uint32 len, XLogRecPtr lsn)
{
	const xl_rq_group_drop *rec = data;
	uint32		topic;
	uint32		group;

	LWLockAcquire(rq_meta_lock, LW_EXCLUSIVE);
	topic = rq_topic_for_redo(rec->key, lsn);
	group = topic == RQ_NO_SLOT ? RQ_NO_SLOT : find_by_id(topic, rec->group_id);
	if (group != RQ_NO_SLOT)
	{
		if (rec->xid == 0)
			group_drop_apply(group);
		else
		{
			rq_groups[group].pend_op = RQ_PEND_DROP;
			rq_groups[group].pend_xid = rec->xid;
		}
	}
	LWLockRelease(rq_meta_lock);
}
