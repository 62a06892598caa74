/*
 * rq_position.c
 *	  Move the offsets of consumer groups.
 *
 * A move is noted in the transaction's reader of the queue (rq_readers.c),
 * which stages it at pre-commit.  Whoever moves a group owns the queue, or the
 * whole group, first; so what it checks the move against cannot change any
 * more, but for the queue's ends, and these only rise.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"

#include "base/rq_fault.h"
#include "base/rq_guc.h"
#include "consume/rq_offset.h"
#include "consume/rq_owner.h"
#include "consume/rq_position.h"
#include "consume/rq_readers.h"
#include "consume/rq_saved.h"
#include "queue/rq_resolve.h"
#include "topic/rq_group.h"
#include "topic/rq_topic.h"
#include "txn/rq_txn.h"

/*
 * Own one queue of a group, and return the transaction's reader of it and, in
 * "c", the cursor there.  If a restore has left the group's place open it is
 * found now, since a move is compared with it.
 */
static RqReader *
lock_reader(uint32 topic, const char *name, uint32 queue_id, RqCursor *c)
{
	rq_txn_check_open();
	rq_topic_check_queue(topic, queue_id);
	rq_consumer_find_group(topic, name, RQ_HINT_LIST_GROUPS, &c->group);
	c->q = rq_topic_queue(topic, queue_id);
	if (!rq_owner_take(c, true))
		rq_consumer_report_dropped(name);
	rq_saved_place(c);
	return rq_readers_get(c);
}

/*
 * The transaction owns what it has read already, so there is nothing to lock.
 */
int
rq_position_commit_all(uint32 topic, const char *name)
{
	RqGroupRef	group;
	RqReader   *r;
	int			count = 0;

	rq_txn_check_open();
	rq_consumer_find_group(topic, name, RQ_HINT_LIST_GROUPS, &group);
	rq_group_used(group);
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
				 errmsg("offset " INT64_FORMAT " is before the group's committed offset in queue %u",
						next, queue_id),
				 errdetail("The committed offset is " UINT64_FORMAT ".", now),
				 errhint("Use rocketq.reset_offset() to move a group back.")));
	if ((RqOff) next > end)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("offset " INT64_FORMAT " is past the end of queue %u",
						next, queue_id),
				 errdetail("The queue ends at " UINT64_FORMAT ".", end)));
}

/*
 * An offset that this transaction has committed before counts as the current
 * one.  The limit is "stable" and not the end: nobody can have consumed the
 * entries past it yet.
 */
void
rq_position_commit(uint32 topic, const char *name, uint32 queue_id, int64 next)
{
	RqCursor	c;
	RqReader   *r = lock_reader(topic, name, queue_id, &c);
	RqOff		now = r->committing ? r->commit : rq_offset_committed(c.offset);

	rq_resolve_refresh(c.q);
	check_commit(queue_id, next, now, pg_atomic_read_u64(&c.q->stable));
	rq_reader_set_commit(r, (RqOff) next);
}

/* Both, since otherwise the transaction would go on from the higher of them. */
static void
move_reader(RqReader *r, RqOff to)
{
	rq_reader_set_next(r, to);
	rq_reader_set_commit(r, to);
}

void
rq_position_reset(uint32 topic, const char *name, uint32 queue_id, int64 offset)
{
	RqCursor	c;
	RqReader   *r = lock_reader(topic, name, queue_id, &c);

	rq_resolve_refresh(c.q);
	if (offset < 0 || (RqOff) offset < pg_atomic_read_u64(&c.q->start) ||
		(RqOff) offset > pg_atomic_read_u64(&c.q->stable))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("offset " INT64_FORMAT " is outside queue %u",
						offset, queue_id),
				 errdetail("The offsets of the queue range from " UINT64_FORMAT " to " UINT64_FORMAT ".",
						   pg_atomic_read_u64(&c.q->start),
						   pg_atomic_read_u64(&c.q->stable))));
	move_reader(r, (RqOff) offset);
}

/*
 * Owning the whole group takes one lock, however many queues there are.  Places
 * that a restore has left open are not searched for: the move ends that.
 */
void
rq_position_reset_all(uint32 topic, const char *name, const RqStart *start)
{
	RqCursor	c = {.group = rq_consumer_lock_group(topic, name)};

	for (uint32 i = 0; i < rq_topic_nqueues(topic); i++)
	{
		CHECK_FOR_INTERRUPTS();
		c.q = rq_topic_queue(topic, i);
		move_reader(rq_readers_get(&c), rq_consumer_start(c.q, start));
	}
}

/*
 * Only reads, so it does not own the group.  Between the two steps that can be
 * dropped, and another one created under its name; then find that one.
 */
RqOff
rq_position_committed(uint32 topic, const char *name, uint32 queue_id)
{
	RqGroupRef	group;
	RqQueue    *q;
	RqOff		offset;

	rq_topic_check_queue(topic, queue_id);
	q = rq_topic_queue(topic, queue_id);
	do
	{
		CHECK_FOR_INTERRUPTS();
		rq_consumer_find_group(topic, name, RQ_HINT_LIST_GROUPS, &group);
		RQ_FAULT("group-found");
	} while (!rq_saved_peek(q, group, &offset));
	return Max(offset, pg_atomic_read_u64(&q->start));
}
