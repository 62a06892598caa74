/*
 * rq_topic.c
 *	  Slots of topics: which there are, their queues and settings.
 *
 * Given a relation, which slot is its topic's, and what may be read there
 * without a lock?
 *
 * A slot is made when the topic's relation gets a new file
 * (rq_topic_create.c), and given back when that file is gone
 * (rq_topic_drop.c).  All changes are made under the meta lock held
 * exclusively.  A holder of a lock on the relation needs no more than that to
 * use the slot, since the topic and its queues can't go; RqTopic (rq_tables.h)
 * says so for each field.
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xloginsert.h"
#include "miscadmin.h"

#include "base/rq_compat.h"
#include "base/rq_error.h"
#include "base/rq_fault.h"
#include "base/rq_guc.h"
#include "shmem/rq_stats.h"
#include "topic/rq_growth.h"
#include "topic/rq_tables.h"
#include "topic/rq_topic_private.h"
#include "topic/rq_xid.h"

uint32
rq_topic_find(RqKey key)
{
	static uint32 last = 0;
	uint32		slot;

	/*
	 * Mostly it is the one of the last call, which costs no lock.  The caller
	 * holds a lock on the relation, so its topic does not go now.  The key is
	 * read before the rest of the slot, which rq_topic_apply() has written
	 * before the key.
	 */
	if (pg_atomic_read_u64(&rq_topics[last].key) == RQ_KEY_PACK(key))
	{
		pg_read_barrier();
		return last;
	}
	LWLockAcquire(rq_meta_lock, LW_SHARED);
	slot = rq_topic_index_find(key);
	LWLockRelease(rq_meta_lock);
	if (slot != RQ_NO_SLOT)
		last = slot;
	return slot;
}

void
rq_topic_note_columns(uint32 topic, bool plain)
{
	pg_atomic_write_u32(&rq_topics[topic].has_plain_columns, plain ? 1 : 0);
}

bool
rq_topic_has_plain_columns(uint32 topic)
{
	return pg_atomic_read_u32(&rq_topics[topic].has_plain_columns) != 0;
}

void
rq_topic_check_room(uint32 have, uint32 nslots)
{
	uint32		needed = rq_slots_needed(have, nslots);
	uint32		left = rq_slots_left(rq_queue_pool);

	RQ_ASSERT_META_LOCK(LW_EXCLUSIVE);
	if (needed <= left)
		return;
	rq_count(RQ_STAT_REFUSED_NO_ROOM, 1);
	rq_report_blocks_full(gettext_noop("too many queues"), "rocketq.max_queues",
						  rq_max_queues, needed, left, RQ_SLOTS_BLOCK,
						  "drop_topic");
}

void
rq_topic_check_room_for_new(uint32 nqueues)
{
	if (rq_tables->ntopics >= (uint32) rq_max_topics)
	{
		rq_count(RQ_STAT_REFUSED_NO_ROOM, 1);
		rq_report_table_full(gettext_noop("too many topics"), "rocketq.max_topics", rq_max_topics, 1, 0,
							 "drop_topic");
	}
	rq_topic_check_room(0, nqueues);
}

/* Returns the end of the record, which the slot is then stamped with. */
XLogRecPtr
rq_topic_log(const xl_rq_topic *rec)
{
	RQ_ASSERT_META_LOCK(LW_EXCLUSIVE);
	XLogBeginInsert();
	rq_xlog_register(rec, SizeOfRqTopic);
	return rq_xlog_insert(XLOG_RQ_TOPIC);
}

/*
 * A record has the whole slot, not only what changes: so whichever record
 * about a topic redo sees last, the slot is right after it.
 */
xl_rq_topic
rq_topic_record(uint32 topic)
{
	RqTopic    *t = &rq_topics[topic];
	xl_rq_topic rec = {.key = rq_topic_key(topic), .spc = t->spc,
		.nslots = t->queues.n, .xid = t->pend_xid, .drop_xid = t->drop_xid,
		.alter_xid = t->alter_xid,
	.committed = t->committed, .staged = t->staged};

	RQ_ASSERT_META_LOCK(LW_SHARED);
	return rec;
}

void
rq_topic_check_queue(uint32 topic, int64 queue_id)
{
	if (queue_id < 0 || queue_id >= rq_topic_nqueues(topic))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("queue " INT64_FORMAT " does not exist", queue_id),
				 errdetail("The topic has queues 0 to %u.",
						   rq_topic_nqueues(topic) - 1)));
}

RqTopicSettings
rq_topic_settings(uint32 topic)
{
	return rq_topics[topic].seen;
}

/*
 * Between the end of the transaction that alters the topic and its settlement,
 * the staged settings are the committed ones.
 */
const RqTopicSettings *
rq_topic_committed(uint32 topic)
{
	const RqTopic *t = &rq_topics[topic];

	RQ_ASSERT_META_LOCK(LW_SHARED);
	if (t->alter_xid != 0 && rq_xid_status(t->alter_xid) == RQ_XID_COMMITTED)
		return &t->staged;
	return &t->committed;
}

void
rq_topic_set_seen(uint32 topic, const RqTopicSettings *settings)
{
	RqTopic    *t = &rq_topics[topic];

	RQ_ASSERT_META_LOCK(LW_EXCLUSIVE);
	t->seen = *settings;

	/*
	 * No barrier: those who go to a queue by this number hold a lock on the
	 * topic's relation or the meta lock, and for others it is but a number.
	 */
	pg_atomic_write_u32(&t->nqueues, settings->nqueues);
}

/*
 * No lock: if one of the ids is our own, nobody else changes it while our
 * transaction runs; if it is another's, it does not become ours.
 */
bool
rq_topic_is_own(uint32 topic)
{
	const RqTopic *t = &rq_topics[topic];
	uint64		xid = U64FromFullTransactionId(GetTopFullTransactionIdIfAny());

	return xid != 0 &&
		(t->pend_xid == xid ||
		 (t->alter_xid == xid && t->seen.nqueues != t->committed.nqueues));
}

/*
 * Without the queue's lock: the slot was free, and nobody uses a new queue
 * before the meta lock is released.  "born" is set later, from the LSN of the
 * record.
 */
static void
init_queue(RqQueue *q, uint32 topic, uint32 id)
{
	RqOff		first = RQ_FAULT_FAILS("queue-first") ? UINT64CONST(0xFFFFFF9C) : 0;

	q->topic = topic;
	q->id = id;
	q->born = InvalidXLogRecPtr;
	pg_atomic_write_u64(&q->start, first);
	pg_atomic_write_u64(&q->stable, first);
	pg_atomic_write_u64(&q->end, first);
	pg_atomic_write_u64(&q->tail, 0);
	q->head = RQ_EXT_NONE;
	pg_atomic_write_u32(&q->unflushed, 0);
	q->logged_stable = first;
	q->unlogged_aborts = 0;
	q->bytes_start = 0;
	q->bytes_end = 0;
	q->last_time = 0;
	q->lsn = InvalidXLogRecPtr;
	Assert(q->growth == RQ_NO_SLOT);
	rq_queue_changed(q);
}

void
rq_topic_take_queues(uint32 topic, uint32 nslots)
{
	RqTopic    *t = &rq_topics[topic];
	uint32		before = t->queues.n;
	uint32		begun = rq_slots_begun(rq_queue_pool);

	RQ_ASSERT_META_LOCK(LW_EXCLUSIVE);
	rq_slots_take(rq_queue_pool, &t->queues, nslots);
	rq_queues_begin(begun, rq_slots_begun(rq_queue_pool));
	for (uint32 i = before; i < nslots; i++)
		init_queue(rq_topic_queue(topic, i), topic, i);
	rq_topic_changed(topic);
}

/* The chain of a queue that goes; under its lock. */
static RqExtChain
detach_extents(RqQueue *q)
{
	RqExtChain	chain = {.head = q->head,
	.tail = RQ_EXT_TAIL_ADDR(pg_atomic_read_u64(&q->tail))};

	pg_atomic_write_u64(&q->tail, 0);
	q->head = RQ_EXT_NONE;
	return chain;
}

void
rq_topic_cut_queues(uint32 topic, uint32 nslots, RqExtChains *gone)
{
	RqTopic    *t = &rq_topics[topic];

	RQ_ASSERT_META_LOCK(LW_EXCLUSIVE);
	for (uint32 i = nslots; i < t->queues.n; i++)
	{
		RqQueue    *q = rq_topic_queue(topic, i);

		/*
		 * Wait until nobody is in the middle of changing it.  Those who come
		 * to the slot without a map (rq_growth.c) find it free.
		 */
		LWLockAcquire(&q->lock, LW_EXCLUSIVE);
		rq_growth_forget(q);
		q->topic = RQ_NO_SLOT;
		rq_chains_add(gone, detach_extents(q));
		rq_queue_changed(q);
		rq_bits_clear(&rq_unsettled[RQ_SLOT_QUEUE], (uint32) (q - rq_queues));
		LWLockRelease(&q->lock);
	}
	rq_slots_cut(rq_queue_pool, &t->queues, nslots);
	rq_topic_changed(topic);
}

/*
 * Fill everything, then publish the key.  The caller has logged the record
 * under the same hold of the meta lock, in a critical section, and has checked
 * before that there is room.  In redo, and when the state is loaded, it throws
 * if the tables are smaller than they were where the record was written.
 *
 * What is under the wait lock stays as it is: waiters for the slot's last
 * topic may not have left yet.
 */
uint32
rq_topic_apply(RqKey key, Oid spc, const RqTopicSettings *settings,
			   uint64 xid, XLogRecPtr lsn)
{
	uint32		nqueues = settings->nqueues;
	uint32		slot = rq_topic_index_find(key);
	RqTopic    *t;

	RQ_ASSERT_META_LOCK(LW_EXCLUSIVE);
	if (slot != RQ_NO_SLOT)
	{
		rq_topics[slot].pend_xid = xid;
		rq_topic_changed(slot);
		return slot;
	}
	rq_topic_check_room_for_new(nqueues);
	slot = rq_topic_free_slot();
	t = &rq_topics[slot];
	t->spc = spc;
	t->incarnation = rq_tables->next_incarnation++;
	t->first_group = RQ_NO_SLOT;
	t->doomed = false;
	pg_atomic_write_u32(&t->has_plain_columns, 0);
	t->drop_xid = 0;
	t->lsn = lsn;
	Assert(t->queues.n == 0);
	rq_topic_take_queues(slot, nqueues);
	t->committed = t->staged = *settings;
	t->alter_xid = 0;
	t->alter_lsn = lsn;
	for (uint32 i = 0; i < nqueues; i++)
		rq_topic_queue(slot, i)->born = lsn;
	rq_topic_set_seen(slot, settings);
	rq_topic_index_add(key, slot);
	rq_tables->ntopics++;
	t->pend_xid = xid;

	/*
	 * The slot is complete before the key can be seen: whoever finds the key
	 * without the lock uses the rest of the slot.  Pairs with the barrier in
	 * rq_topic_find().
	 */
	pg_write_barrier();
	pg_atomic_write_u64(&t->key, RQ_KEY_PACK(key));
	rq_topic_changed(slot);
	return slot;
}

RqQueue *
rq_topic_queue(uint32 topic, uint32 queue_id)
{
	RqQueue    *q = rq_queue_find(topic, queue_id);

	if (unlikely(q == NULL))
		elog(ERROR, "queue %u of a topic has no slot", queue_id);
	return q;
}

/* ---- redo ---- */

/*
 * A relfilenode can be used again, so a key can have had several topics.  A
 * record from before the creation of the present one is about another topic,
 * which no longer exists.
 */
uint32
rq_topic_for_redo(RqKey key, XLogRecPtr lsn)
{
	uint32		slot = rq_topic_index_find(key);

	RQ_ASSERT_META_LOCK(LW_SHARED);
	if (slot != RQ_NO_SLOT && lsn < rq_topics[slot].lsn)
		return RQ_NO_SLOT;
	return slot;
}
