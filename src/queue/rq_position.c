/*
 * rq_position.c
 *	  Create and drop groups, and move their offsets.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"

#include "base/rq_guc.h"
#include "queue/rq_consume.h"
#include "queue/rq_group.h"
#include "queue/rq_group_txn.h"
#include "queue/rq_owner.h"
#include "queue/rq_produce.h"
#include "queue/rq_queue.h"
#include "queue/rq_readers.h"
#include "queue/rq_saved.h"
#include "queue/rq_topic.h"
#include "txn/rq_txn.h"

/* For whoever names a group that should be there. */
#define LIST_GROUPS		"The view rocketq.groups lists the groups of each topic."

RqOff
rq_start_offset(uint32 topic, uint32 queue_id, const RqStart *start)
{
	RqQueue    *q = rq_topic_queue(topic, queue_id);

	rq_queue_refresh(topic, q);
	switch (start->kind)
	{
		case RQ_START_FIRST:
			return pg_atomic_read_u64(&q->start);
		case RQ_START_LAST:
			return pg_atomic_read_u64(&q->stable);
		case RQ_START_TIME:
			return rq_queue_offset_at(topic, q, start->when);
	}
	return 0;
}

xl_rq_place *
rq_start_places(uint32 topic, const RqStart *start)
{
	uint32		n = rq_topic_nqueues(topic);
	xl_rq_place *places = palloc0(Max(rq_topic_nslots(topic), 1) *
								  sizeof(xl_rq_place));

	for (uint32 i = 0; i < n; i++)
		places[i].offset = rq_start_offset(topic, i, start);
	return places;
}

bool
rq_consumer_create_group_at(uint32 topic, const char *name, const xl_rq_place *places)
{
	RqGroupRef	group;

	rq_txn_check_open();
	do
	{
		if (rq_consumer_find_group(topic, name, NULL, &group))
			return false;
	} while (!rq_group_create_own(topic, name, places, &group));
	return true;
}

void
rq_consumer_create_group(uint32 topic, const char *name, const RqStart *start)
{
	if (!rq_consumer_create_group_at(topic, name, rq_start_places(topic, start)))
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("consumer group \"%s\" already exists", name),
				 errhint("Move it with rocketq.reset_offset().")));
}

static void
report_dropped(const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("consumer group \"%s\" has been dropped meanwhile", name)));
}

/* Find a group and lock all of it. */
static RqGroupRef
lock_group(uint32 topic, const char *name)
{
	RqGroupRef	group;

	rq_txn_check_open();
	rq_consumer_find_group(topic, name, LIST_GROUPS, &group);
	if (!rq_owner_take_group(topic, group))
		report_dropped(name);
	return group;
}

void
rq_consumer_drop_group(uint32 topic, const char *name)
{
	rq_group_drop(lock_group(topic, name));
}

/* Lock one queue of a group and give the transaction's reader of it. */
static RqReader *
lock_reader(uint32 topic, const char *name, uint32 queue_id)
{
	RqGroupRef	group;

	rq_txn_check_open();
	rq_check_queue_id(topic, queue_id);
	rq_consumer_find_group(topic, name, LIST_GROUPS, &group);
	if (!rq_owner_take(topic, group, queue_id, true))
		report_dropped(name);
	rq_saved_place(topic, group.slot, queue_id);
	rq_group_used(group.slot);
	return rq_readers_get(topic, group, queue_id);
}

int
rq_commit_consumed(uint32 topic, const char *name)
{
	RqGroupRef	group;
	RqReader   *r;
	int			count = 0;

	rq_txn_check_open();
	rq_consumer_find_group(topic, name, LIST_GROUPS, &group);
	rq_group_used(group.slot);
	for (int i = 0; (r = rq_readers_at(i)) != NULL; i++)
	{
		if (r->topic != topic || r->group.id != group.id || !r->reading)
			continue;
		rq_reader_commit_read(r);
		count++;
	}
	return count;
}

/* Throw unless the group can be moved on from "now" to "next". */
static void
check_commit(uint32 queue_id, int64 next, RqOff now, RqOff end)
{
	if (next < 0 || (RqOff) next < now)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("offset " INT64_FORMAT " is before the group's committed offset in queue %u, " UINT64_FORMAT,
						next, queue_id, now),
				 errhint("rocketq.reset_offset() moves a group back.")));
	if ((RqOff) next > end)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("offset " INT64_FORMAT " is past the end of queue %u, " UINT64_FORMAT,
						next, queue_id, end)));
}

void
rq_commit_offset(uint32 topic, const char *name, uint32 queue_id, int64 next)
{
	RqReader   *r = lock_reader(topic, name, queue_id);
	RqQueue    *q = rq_topic_queue(topic, queue_id);
	RqOff		now = r->committing ? r->commit :
	rq_offset_committed(rq_group_offset(r->group.slot, queue_id));

	rq_queue_refresh(topic, q);
	check_commit(queue_id, next, now, pg_atomic_read_u64(&q->stable));
	rq_reader_set_commit(r, (RqOff) next);
}

static void
move_reader(RqReader *r, RqOff to)
{
	rq_reader_set_next(r, to);
	rq_reader_set_commit(r, to);
}

void
rq_reset_offset(uint32 topic, const char *name, uint32 queue_id, int64 offset)
{
	RqReader   *r = lock_reader(topic, name, queue_id);
	RqQueue    *q = rq_topic_queue(topic, queue_id);

	rq_queue_refresh(topic, q);
	if (offset < 0 || (RqOff) offset < pg_atomic_read_u64(&q->start) ||
		(RqOff) offset > pg_atomic_read_u64(&q->stable))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("offset " INT64_FORMAT " is outside queue %u",
						offset, queue_id),
				 errdetail("The queue reaches from " UINT64_FORMAT " to " UINT64_FORMAT ".",
						   pg_atomic_read_u64(&q->start),
						   pg_atomic_read_u64(&q->stable))));
	move_reader(r, (RqOff) offset);
}

void
rq_reset_group(uint32 topic, const char *name, const RqStart *start)
{
	RqGroupRef	group = lock_group(topic, name);

	rq_group_used(group.slot);
	for (uint32 i = 0; i < rq_topic_nqueues(topic); i++)
	{
		CHECK_FOR_INTERRUPTS();
		move_reader(rq_readers_get(topic, group, i),
					rq_start_offset(topic, i, start));
	}
}

RqOff
rq_consumer_offset(uint32 topic, const char *name, uint32 queue_id)
{
	uint64		budget = PG_UINT64_MAX;
	RqGroupRef	group;

	rq_check_queue_id(topic, queue_id);
	rq_consumer_find_group(topic, name, LIST_GROUPS, &group);
	return Max(rq_saved_offset(topic, rq_group_offset(group.slot, queue_id),
							   &budget),
			   pg_atomic_read_u64(&rq_topic_queue(topic, queue_id)->start));
}
