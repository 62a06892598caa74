/*
 * rq_group_room.c
 *	  Is there room for groups, and the slots of their offsets?
 *
 * A group takes a slot of its own and one for its offset in each queue of the
 * topic.  Both tables have a fixed size, and a topic has a share of them.
 */
#include "postgres.h"

#include "base/rq_error.h"
#include "base/rq_guc.h"
#include "shmem/rq_stats.h"
#include "topic/rq_group.h"
#include "topic/rq_group_room.h"
#include "topic/rq_topic.h"

/* ---- room ---- */

/* Groups of a topic. */
typedef struct GroupCount
{
	int64		there;
	int64		slots;			/* also of those that a transaction has made
								 * and given up again, or drops */
} GroupCount;

/* Asks for outcomes of transactions, and so can throw. */
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
		if (rq_group_state_locked(i, &xid) != RQ_GROUP_ABSENT)
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
	int64		each = RQ_SLOTS_IN_BLOCKS(nqueues);

	if (n.there * each <= rq_max_consumer_slots_per_topic &&
		n.slots * each / 2 <= rq_max_consumer_slots_per_topic)
		return;
	rq_count(RQ_STAT_REFUSED_NO_ROOM, 1);
	rq_report_share_used_up(gettext_noop("too many consumer slots for one topic"),
							"rocketq.max_consumer_slots_per_topic",
							rq_max_consumer_slots_per_topic,
							gettext_noop("A consumer group takes a slot for each queue, in blocks of 8: use fewer queues, drop unused groups with rocketq.drop_group(), or let a superuser raise rocketq.max_consumer_slots_per_topic."));
}

void
rq_group_check_share_of_new(uint32 topic)
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

/* Throw unless there are this many slots more, in whole blocks. */
static void
check_room(uint64 needed)
{
	uint32		left = rq_slots_left(rq_offset_pool);

	RQ_ASSERT_META_LOCK(LW_EXCLUSIVE);
	if (needed <= left)
		return;
	rq_count(RQ_STAT_REFUSED_NO_ROOM, 1);
	rq_report_blocks_full(gettext_noop("too many consumer slots"),
						  "rocketq.max_consumer_slots",
						  rq_max_consumer_slots, needed, left, RQ_SLOTS_BLOCK,
						  "drop_group");
}

void
rq_group_check_room_for_new(uint32 nqueues)
{
	if (rq_tables->ngroups >= (uint32) rq_max_groups)
	{
		rq_count(RQ_STAT_REFUSED_NO_ROOM, 1);
		rq_report_table_full(gettext_noop("too many consumer groups"), "rocketq.max_groups",
							 rq_max_groups, 1, 0,
							 "drop_group");
	}
	check_room(rq_slots_needed(0, nqueues));
}

/* ---- offsets ---- */

/*
 * Without the locks of the offsets: their slots were free, and nobody uses them
 * before the meta lock is released.
 */
void
rq_group_take_offsets(uint32 group, uint32 nqueues)
{
	RqSlotMap  *map = &rq_groups[group].offsets;
	uint32		before = map->n;
	uint32		begun = rq_slots_begun(rq_offset_pool);

	RQ_ASSERT_META_LOCK(LW_EXCLUSIVE);
	rq_slots_take(rq_offset_pool, map, nqueues);
	rq_offsets_begin(begun, rq_slots_begun(rq_offset_pool));
	for (uint32 i = before; i < nqueues; i++)
	{
		RqOffset   *o = rq_group_offset(group, i);

		memset(o, 0, sizeof(*o));
		pg_atomic_init_u64(&o->mark, 0);
		o->group = group;
		o->queue_id = i;
		o->is_logged = true;
		o->use = RQ_NO_SLOT;
		rq_offset_changed(o);
	}
	rq_group_changed(group);
}

/*
 * Those who come to a slot without a map (rq_offset.c, rq_rates.c, rq_saved.c)
 * must find it free, before it is.  Nobody is changing it just now: that takes
 * the meta lock, too, or owning the queue for the group, which keeps it.
 */
void
rq_group_cut_offsets(uint32 group, uint32 nqueues)
{
	RqSlotMap  *map = &rq_groups[group].offsets;

	RQ_ASSERT_META_LOCK(LW_EXCLUSIVE);
	for (uint32 i = nqueues; i < map->n; i++)
	{
		RqOffset   *o = rq_group_offset(group, i);
		RqOffsetUse *use = rq_offset_use(o);

		if (use != NULL)
			pg_atomic_write_u32(&use->offset, RQ_NO_SLOT);
		o->group = RQ_NO_SLOT;
		rq_offset_becomes(o, RQ_OFFSET_AT_REST);
		rq_offset_changed(o);
		rq_bits_clear(&rq_unsettled[RQ_SLOT_OFFSET], (uint32) (o - rq_offsets));
	}
	rq_slots_cut(rq_offset_pool, map, nqueues);
	rq_group_changed(group);
}

/*
 * The topic still has its old number of slots: its own are taken after those
 * of its groups (take_slots() in rq_alter.c).
 */
void
rq_group_take_slots(uint32 topic, uint32 nslots)
{
	RQ_ASSERT_META_LOCK(LW_EXCLUSIVE);
	check_room(rq_group_count(topic) *
			   rq_slots_needed(rq_topic_nslots(topic), nslots));
	for (uint32 i = rq_topics[topic].first_group; i != RQ_NO_SLOT;
		 i = rq_groups[i].next)
		rq_group_take_offsets(i, nslots);
}

void
rq_group_cut_slots(uint32 topic, uint32 nslots)
{
	RQ_ASSERT_META_LOCK(LW_EXCLUSIVE);
	for (uint32 i = rq_topics[topic].first_group; i != RQ_NO_SLOT;
		 i = rq_groups[i].next)
		rq_group_cut_offsets(i, nslots);
}

/*
 * Redo skips records that are not later than the LSN: those are about an
 * earlier queue of that number.
 */
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
			{
				o->lsn = lsn;
				rq_offset_changed(o);
			}
		}
}
