/*
 * rq_topic.c
 *	  Topics as storage: which exist and which queues they have.
 *
 * A topic's slot is created when its relation gets a new file, and removed by
 * the janitor once that file is gone.  Both are WAL-logged under the meta lock
 * held exclusively.  The folder of the queues is made with the first entry.
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xloginsert.h"
#include "miscadmin.h"

#include "base/rq_compat.h"
#include "base/rq_error.h"
#include "base/rq_fault.h"
#include "base/rq_guc.h"
#include "format/rq_segfmt.h"
#include "queue/rq_alter.h"
#include "queue/rq_group.h"
#include "queue/rq_topic_private.h"
#include "queue/rq_trash.h"
#include "queue/rq_wait.h"
#include "queue/rq_xid.h"
#include "shmem/rq_stats.h"

uint32
rq_topic_find(RqKey key)
{
	static uint32 last = 0;
	uint32		slot;

	/*
	 * Mostly it is the one of the last call, which costs no lock.  The caller
	 * holds a lock on the relation, so its topic does not go now.
	 */
	if (pg_atomic_read_u64(&rq_topics[last].key) == RQ_KEY_PACK(key))
	{
		pg_read_barrier();		/* the rest of the slot: see rq_topic_apply() */
		return last;
	}
	LWLockAcquire(rq_meta_lock, LW_SHARED);
	slot = rq_topic_index_find(key);
	LWLockRelease(rq_meta_lock);
	if (slot != RQ_NO_SLOT)
		last = slot;
	return slot;
}

/* Topics settled in a round of the janitor: some remove files. */
#define SETTLE_ROUND	64

static uint32
free_slot(void)
{
	RQ_ASSERT_META_LOCK(LW_EXCLUSIVE);
	for (uint32 i = 0; i < rq_max_topics; i++)
		if (pg_atomic_read_u64(&rq_topics[i].key) == 0)
			return i;
	return RQ_NO_SLOT;
}

void
rq_topic_check_room(uint32 nqueues)
{
	uint32		left = rq_queue_pool->nfree;

	RQ_ASSERT_META_LOCK(LW_EXCLUSIVE);
	if (nqueues <= left)
		return;
	rq_count(RQ_STAT_REFUSED_NO_ROOM, 1);
	rq_report_table_full("queues", "rocketq.max_queues", rq_max_queues, nqueues, left,
						 "drop_topic");
}

/* Throw unless there is room for a topic with that many queues. */
static void
check_room(uint32 nqueues)
{
	if (rq_ctl->ntopics >= (uint32) rq_max_topics)
	{
		rq_count(RQ_STAT_REFUSED_NO_ROOM, 1);
		rq_report_table_full("topics", "rocketq.max_topics", rq_max_topics, 1, 0,
							 "drop_topic");
	}
	rq_topic_check_room(nqueues);
}

XLogRecPtr
rq_topic_log(const xl_rq_topic *rec)
{
	RQ_ASSERT_META_LOCK(LW_EXCLUSIVE);
	XLogBeginInsert();
	rq_xlog_register(rec, SizeOfRqTopic);
	return rq_xlog_insert(XLOG_RQ_TOPIC);
}

xl_rq_topic
rq_topic_record(uint32 topic)
{
	RqTopic    *t = &rq_topics[topic];
	xl_rq_topic rec = {.key = rq_topic_key(topic), .spc = t->spc,
		.nslots = t->queues.n, .xid = t->pend_xid, .alter_xid = t->alter_xid,
	.committed = t->committed, .staged = t->staged};

	RQ_ASSERT_META_LOCK(LW_SHARED);
	return rec;
}

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
 * Is there storage that an earlier holder of the key has left?  All that is
 * there, if the key is a new relation's; else only what is known to be garbage.
 */
static bool
find_remains(RqKey key, bool is_new, XLogRecPtr *created)
{
	uint32		slot;
	bool		found;

	LWLockAcquire(rq_meta_lock, LW_SHARED);
	slot = rq_topic_index_find(key);
	found = slot != RQ_NO_SLOT && (is_new || rq_topics[slot].doomed);
	if (found)
		*created = rq_topics[slot].lsn;
	LWLockRelease(rq_meta_lock);
	return found;
}

/*
 * What can be in the way is removed first, under locks of its own; then the slot
 * is logged and filled under one hold of the meta lock, so that a copy of the
 * state has either all of it or none.
 */
uint32
rq_topic_ensure(RqKey key, Oid spc, const RqTopicSettings *settings,
				uint64 xid)
{
	uint32		slot;
	XLogRecPtr	created;

	/*
	 * A key that is used again before the janitor came by.  It may come to
	 * drop the storage while we do: rq_topic_drop() says so by doing nothing.
	 */
	while (find_remains(key, xid != 0, &created))
		rq_topic_drop(key, created);
	rq_topic_make_room(settings->nqueues, 0);
	rq_gate_enter();
	LWLockAcquire(rq_meta_lock, LW_EXCLUSIVE);
	slot = rq_topic_index_find(key);
	if (slot == RQ_NO_SLOT)
	{
		xl_rq_topic rec = {.key = key, .spc = spc,
			.nslots = settings->nqueues, .xid = xid,
		.committed = *settings, .staged = *settings};

		/* What was made room for may have been taken by others since. */
		check_room(settings->nqueues);
		START_CRIT_SECTION();
		slot = rq_topic_apply(key, spc, settings, xid, rq_topic_log(&rec));
		END_CRIT_SECTION();
	}
	LWLockRelease(rq_meta_lock);
	rq_gate_leave();
	RQ_FAULT("topic-wal");
	rq_worker_wake(RQ_ALLOCATOR);
	return slot;
}

static void
doom(RqTopic *t)
{
	RQ_ASSERT_META_LOCK(LW_EXCLUSIVE);
	if (t->doomed)
		return;
	t->doomed = true;
	pg_atomic_fetch_add_u32(&rq_ctl->ndoomed, 1);
}

/* What to do about a topic that somebody has dropped who may have ended. */
static void
settle_drop(uint32 slot)
{
	RqTopic    *t = &rq_topics[slot];
	RqXidStatus status = rq_xid_status(t->drop_xid);

	RQ_ASSERT_META_LOCK(LW_EXCLUSIVE);
	if (status == RQ_XID_COMMITTED)
		doom(t);
	else if (status == RQ_XID_ABORTED)
	{
		xl_rq_topic rec = rq_topic_record(slot);

		/*
		 * A standby can know of it by a state file, and has to forget it,
		 * too: redo of this record does that.
		 */
		START_CRIT_SECTION();
		t->drop_xid = 0;
		t->alter_lsn = rq_topic_log(&rec);
		END_CRIT_SECTION();
	}
}

/*
 * What to do about a topic whose creator may have ended.  Of one that has
 * committed the record says that nobody has to be asked for the outcome any
 * more, whose id PostgreSQL may forget one day.
 */
static void
settle(uint32 slot)
{
	RqTopic    *t = &rq_topics[slot];
	RqXidStatus status = rq_xid_status(t->pend_xid);

	RQ_ASSERT_META_LOCK(LW_EXCLUSIVE);
	if (status == RQ_XID_ABORTED)
		doom(t);
	else if (status == RQ_XID_COMMITTED)
	{
		xl_rq_topic rec = rq_topic_record(slot);

		rec.xid = 0;
		START_CRIT_SECTION();
		rq_topic_log(&rec);
		t->pend_xid = 0;
		END_CRIT_SECTION();
	}
}

/* Is there somebody's transaction whose outcome the topic does not tell? */
static bool
is_in_doubt(int topic)
{
	return rq_topics[topic].pend_xid != 0 || rq_topics[topic].drop_xid != 0 ||
		rq_topics[topic].alter_xid != 0;
}

bool
rq_topic_settle_all(void)
{
	static int	next = 0;		/* where it goes on the next time */
	int			settled = 0;

	for (int n = 0; n < rq_max_topics && settled < SETTLE_ROUND; n++)
	{
		char		trash[MAXPGPATH] = "";
		int			i = next;

		next = (next + 1) % rq_max_topics;
		if (!is_in_doubt(i))
			continue;
		rq_gate_enter();
		LWLockAcquire(rq_meta_lock, LW_EXCLUSIVE);
		if (rq_topics[i].drop_xid != 0)
			settle_drop(i);
		if (rq_topics[i].pend_xid != 0)
			settle(i);
		rq_topic_alter_settle(i, trash);
		if (!is_in_doubt(i))
			settled++;
		LWLockRelease(rq_meta_lock);
		rq_gate_leave();
		rq_trash_remove(trash);
	}
	return settled > 0;
}

static void
init_queue(RqQueue *q, uint32 topic, uint32 id)
{
	q->topic = topic;
	q->id = id;
	q->born = InvalidXLogRecPtr;
	pg_atomic_write_u64(&q->start, 0);
	pg_atomic_write_u64(&q->stable, 0);
	pg_atomic_write_u64(&q->end, 0);
	pg_atomic_write_u32(&q->holders, 0);
	pg_atomic_write_u64(&q->wanted, 0);
	q->logged_stable = 0;
	q->unlogged_aborts = 0;
	q->bytes_start = 0;
	q->bytes_end = 0;
	q->last_time = 0;
	q->lsn = InvalidXLogRecPtr;
	q->redo_dirty = RQ_INVALID_POS;
	memset(q->samples, 0, sizeof(q->samples));
}

void
rq_topic_take_queues(uint32 topic, uint32 nslots)
{
	RqTopic    *t = &rq_topics[topic];
	uint32		before = t->queues.n;

	RQ_ASSERT_META_LOCK(LW_EXCLUSIVE);
	rq_slots_take(rq_queue_pool, &t->queues, nslots - before);
	for (uint32 i = before; i < nslots; i++)
		init_queue(rq_topic_queue(topic, i), topic, i);
}

void
rq_topic_cut_queues(uint32 topic, uint32 nslots)
{
	RqTopic    *t = &rq_topics[topic];

	RQ_ASSERT_META_LOCK(LW_EXCLUSIVE);
	for (uint32 i = nslots; i < t->queues.n; i++)
	{
		RqQueue    *q = rq_topic_queue(topic, i);

		/* Nobody is in the middle of changing it when its slot is given away. */
		LWLockAcquire(&q->lock, LW_EXCLUSIVE);
		q->topic = RQ_NO_SLOT;
		LWLockRelease(&q->lock);
	}
	rq_slots_cut(rq_queue_pool, &t->queues, nslots);
}

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
		return slot;
	}
	check_room(nqueues);
	slot = free_slot();
	t = &rq_topics[slot];
	t->spc = spc;
	t->incarnation = rq_ctl->next_incarnation++;
	t->first_group = RQ_NO_SLOT;
	t->doomed = false;
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
	rq_ctl->ntopics++;
	t->pend_xid = xid;

	/*
	 * The key comes last: who finds it without the lock uses the rest of the
	 * slot.  Pairs with rq_topic_find().
	 */
	pg_write_barrier();
	pg_atomic_write_u64(&t->key, RQ_KEY_PACK(key));
	return slot;
}

/*
 * Forget the topic: its groups first, whose chain hangs on its slot, then its
 * queues, then the key.  Its files only get another name here, "trash", so that
 * the key can be used again at once; the caller removes them when it has
 * released the lock.
 */
static void
drop_apply(uint32 slot, XLogRecPtr lsn, char *trash)
{
	RqTopic    *t = &rq_topics[slot];
	RqKey		key = rq_topic_key(slot);

	RQ_ASSERT_META_LOCK(LW_EXCLUSIVE);
	rq_group_drop_all_apply(slot);
	rq_topic_cut_queues(slot, 0);
	if (t->doomed)
		pg_atomic_fetch_sub_u32(&rq_ctl->ndoomed, 1);
	t->doomed = false;
	t->pend_xid = 0;
	t->drop_xid = 0;
	t->alter_xid = 0;
	pg_atomic_write_u32(&t->nqueues, 0);
	pg_atomic_write_u64(&t->key, 0);
	rq_topic_index_remove(key);
	rq_ctl->ntopics--;
	rq_wait_end_topic(slot);
	rq_trash_topic(key, lsn, trash);
}

bool
rq_topic_drop(RqKey key, XLogRecPtr created)
{
	char		trash[MAXPGPATH] = "";
	uint32		slot;
	bool		found;

	rq_gate_enter();
	LWLockAcquire(rq_meta_lock, LW_EXCLUSIVE);
	slot = rq_topic_index_find(key);
	found = slot != RQ_NO_SLOT && rq_topics[slot].lsn == created;
	if (found)
	{
		xl_rq_topic_drop rec = {.key = key};
		XLogRecPtr	lsn;

		/*
		 * Log, flush, forget, then remove.  A crash cannot bring back a file
		 * that has gone, so the record that says why must be on disk by then.
		 * No critical section: if the flush fails, the topic is still there
		 * to be dropped again, and nobody uses what redo of the record drops.
		 */
		XLogBeginInsert();
		rq_xlog_register(&rec, SizeOfRqTopicDrop);
		lsn = rq_xlog_insert(XLOG_RQ_TOPIC_DROP);
		XLogFlush(lsn);
		RQ_FAULT("drop-wal");
		drop_apply(slot, lsn, trash);
	}
	LWLockRelease(rq_meta_lock);
	rq_gate_leave();
	if (trash[0] != '\0')
	{
		RQ_FAULT("drop-rename");
		rq_trash_remove(trash);
	}
	return found;
}

/* Which topic has the slot, and since when; false if none. */
static bool
holder_of(int slot, RqKey *key, XLogRecPtr *created, bool *doomed)
{
	LWLockAcquire(rq_meta_lock, LW_SHARED);
	*key = rq_topic_key(slot);
	*created = rq_topics[slot].lsn;
	*doomed = rq_topics[slot].doomed;
	LWLockRelease(rq_meta_lock);
	return key->rel != InvalidOid;
}

void
rq_topic_drop_database(Oid db)
{
	for (int t = 0; t < rq_max_topics; t++)
	{
		RqKey		key;
		XLogRecPtr	created;
		bool		doomed;

		if (rq_topic_key(t).db == db &&
			holder_of(t, &key, &created, &doomed) && key.db == db)
			rq_topic_drop(key, created);
	}
}

int
rq_topic_drop_garbage(RqTopicExists exists, int most)
{
	int			dropped = 0;

	for (int t = 0; t < rq_max_topics && dropped < most; t++)
	{
		RqKey		key;
		XLogRecPtr	created;
		bool		doomed;

		if (rq_topic_key(t).rel == InvalidOid ||
			!holder_of(t, &key, &created, &doomed))
			continue;
		if (!doomed && (exists == NULL || exists(key, rq_topics[t].spc)))
			continue;
		if (!rq_topic_drop(key, created))
			continue;
		dropped++;
		ereport(LOG,
				(errmsg("rocketq removed the storage of dropped topic %u/%u",
						key.db, key.rel)));
	}
	return dropped;
}

void
rq_topic_make_room(uint32 nqueues, uint64 noffsets)
{
	if (rq_ctl->ntopics < (uint32) rq_max_topics &&
		rq_ctl->ngroups < (uint32) rq_max_groups &&
		rq_queue_pool->nfree >= nqueues && rq_offset_pool->nfree >= noffsets)
		return;
	if (pg_atomic_read_u32(&rq_ctl->ndoomed) > 0)
		rq_topic_drop_garbage(NULL, INT_MAX);
	rq_group_drop_abandoned();
}

void
rq_topic_doom(RqKey key)
{
	uint32		slot;

	LWLockAcquire(rq_meta_lock, LW_EXCLUSIVE);
	slot = rq_topic_index_find(key);
	if (slot != RQ_NO_SLOT)
		doom(&rq_topics[slot]);
	LWLockRelease(rq_meta_lock);
	rq_worker_wake(RQ_JANITOR);
}

RqQueue *
rq_topic_queue(uint32 topic, uint32 queue_id)
{
	uint32		slot = rq_slots_find(rq_queue_pool, &rq_topics[topic].queues,
									 queue_id);

	if (unlikely(slot == RQ_NO_SLOT))
		elog(ERROR, "queue %u of a topic has no slot", queue_id);
	return &rq_queues[slot];
}

/* ---- redo ---- */

uint32
rq_topic_for_redo(RqKey key, XLogRecPtr lsn)
{
	uint32		slot = rq_topic_index_find(key);

	RQ_ASSERT_META_LOCK(LW_SHARED);
	if (slot != RQ_NO_SLOT && lsn < rq_topics[slot].lsn)
		return RQ_NO_SLOT;
	return slot;
}

void
rq_topic_redo(const void *data, uint32 len, XLogRecPtr lsn)
{
	const xl_rq_topic *rec = data;
	char		trash[MAXPGPATH] = "";
	uint32		slot = RQ_NO_SLOT;

	/*
	 * A topic that the state file no longer had has been dropped by then, and
	 * is not made again for a while: there need not be room.
	 */
	LWLockAcquire(rq_meta_lock, LW_EXCLUSIVE);
	if (rq_topic_for_redo(rec->key, lsn) != RQ_NO_SLOT ||
		(rq_topic_index_find(rec->key) == RQ_NO_SLOT &&
		 lsn > rq_ctl->meta_lsn))
		slot = rq_topic_apply(rec->key, rec->spc, &rec->committed, rec->xid, lsn);
	if (slot != RQ_NO_SLOT && lsn > rq_topics[slot].alter_lsn)
	{
		rq_topics[slot].drop_xid = 0;
		rq_topic_redo_alter(slot, rec, lsn, trash);
	}
	LWLockRelease(rq_meta_lock);
	rq_trash_remove(trash);
}

void
rq_topic_redo_drop(const void *data, uint32 len, XLogRecPtr lsn)
{
	const xl_rq_topic_drop *rec = data;
	char		trash[MAXPGPATH] = "";
	uint32		slot;

	LWLockAcquire(rq_meta_lock, LW_EXCLUSIVE);
	slot = rq_topic_for_redo(rec->key, lsn);
	if (slot != RQ_NO_SLOT)
	{
		/* Recovery must not be able to end before this record any more. */
		XLogFlush(lsn);
		drop_apply(slot, lsn, trash);
	}
	LWLockRelease(rq_meta_lock);
	rq_trash_remove(trash);
}
