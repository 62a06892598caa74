/*
 * rq_saved.c
 *	  Places of groups after the restore of a dump.
 *
 * Offsets are new after a restore, so a dump tells a group's place by numbers
 * of messages: how many the queue had (saved_total) and how many of them the
 * group had still to consume (saved_left).  Groups can be restored before,
 * behind or beside the messages of their topic.  So the place is found later:
 * as soon as the queue begins with as many copies of messages as it had, or
 * when the group is used.  It lies behind all but the last "saved_left" of
 * them; a message that is no copy is never passed over.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "base/rq_guc.h"
#include "queue/rq_cqueue.h"
#include "queue/rq_saved.h"
#include "queue/rq_topic.h"

/* The copies that begin a queue. */
typedef struct Copies
{
	uint64		count;
	bool		ended;			/* another message follows them */
} Copies;

/*
 * Walk over the copies that begin the queue, at most "max" of them.  Returns
 * the offset behind the last one.
 */
static RqOff
walk(uint32 topic, RqQueue *q, uint64 max, Copies *copies)
{
	RqOff		stable = pg_atomic_read_u64(&q->stable);
	RqOff		off = pg_atomic_read_u64(&q->start);
	RqEntry		e;

	pg_read_barrier();
	copies->count = 0;
	copies->ended = false;
	for (; off < stable && copies->count < max; off++)
	{
		if (off % 1024 == 0)
			CHECK_FOR_INTERRUPTS();
		if (!rq_queue_entry(topic, q, off, &e) ||
			(e.len_flags & RQ_CQ_ABORTED) != 0)
			continue;
		if ((e.len_flags & RQ_CQ_COPY) == 0)
		{
			copies->ended = true;
			break;
		}
		copies->count++;
	}
	return off;
}

/* The place of a restored group, "off"; false if it can't be told yet. */
static bool
find_place(uint32 topic, const RqOffset *o, bool now, RqOff *off)
{
	RqQueue    *q = rq_topic_queue(topic, o->queue_id);
	uint64		total = o->saved_total;
	uint64		left = o->saved_left;
	Copies		copies;

	if (total == 0)
		return false;
	rq_queue_refresh(topic, q);
	walk(topic, q, total, &copies);
	if (copies.count < total && !copies.ended && (!now || copies.count == 0))
		return false;
	*off = walk(topic, q, copies.count - Min(copies.count, left), &copies);
	return true;
}

void
rq_saved_place(uint32 topic, uint32 group, uint32 queue_id)
{
	RqOffset   *o = rq_group_offset(group, queue_id);
	RqOff		off;

	if (!find_place(topic, o, true, &off))
		return;
	rq_gate_enter();
	rq_offset_place(o, off);
	rq_gate_leave();
}

static void
place_if_complete(RqOffset *o)
{
	uint64		xid;
	RqOff		off;

	rq_gate_enter();
	LWLockAcquire(rq_meta_lock, LW_SHARED);
	if (o->group != RQ_NO_SLOT &&
		rq_group_state_locked(o->group, &xid) == RQ_GROUP_PRESENT &&
		find_place(rq_groups[o->group].topic, o, false, &off))
		rq_offset_place(o, off);
	LWLockRelease(rq_meta_lock);
	rq_gate_leave();
}

void
rq_saved_place_all(void)
{
	for (int i = 0; i < rq_max_consumer_slots; i++)
		if (rq_offsets[i].saved_total != 0 &&
			rq_offsets[i].group != RQ_NO_SLOT)
			place_if_complete(&rq_offsets[i]);
}
