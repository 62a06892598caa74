/*
 * rq_topic_drop.c
 *	  Topics whose storage goes.
 *
 * When a topic's relation no longer exists, how does its storage go without a
 * message of it being found again, neither after a crash nor by the next
 * relation with the same key?
 *
 * A dropped topic is doomed: its slot is marked.  That is not logged, since
 * after a crash the transactions that the slot names, or the missing file of
 * its relation, say the same.  The janitor then removes its storage:
 * WAL-logged, under the meta lock held exclusively, with its groups, and
 * waking its waiters.  A session that lacks room for something new does not
 * wait for the janitor.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "access/xloginsert.h"
#include "miscadmin.h"

#include "base/rq_compat.h"
#include "base/rq_fault.h"
#include "base/rq_guc.h"
#include "shmem/rq_shmem.h"
#include "shmem/rq_workers.h"
#include "topic/rq_group_drop.h"
#include "topic/rq_topic_drop.h"
#include "topic/rq_topic_private.h"
#include "topic/rq_wake.h"

/* ---- doomed topics ---- */

void
rq_topic_doom_locked(uint32 topic)
{
	RqTopic    *t = &rq_topics[topic];

	RQ_ASSERT_META_LOCK(LW_EXCLUSIVE);
	if (t->doomed)
		return;
	t->doomed = true;
	pg_atomic_fetch_add_u32(&rq_tables->ndoomed, 1);
}

/*
 * Only the meta lock, not the gate: this is called when a transaction or a
 * part of it has ended, where nothing may fail or wait for the store to open.
 */
void
rq_topic_doom(RqKey key)
{
	uint32		slot;

	LWLockAcquire(rq_meta_lock, LW_EXCLUSIVE);
	slot = rq_topic_index_find(key);
	if (slot != RQ_NO_SLOT)
		rq_topic_doom_locked(slot);
	LWLockRelease(rq_meta_lock);
	rq_worker_wake(RQ_JANITOR);
}

/* ---- dropping ---- */

/*
 * Forget the topic: its groups first, whose chain hangs on its slot, then its
 * queues, then the key.  Waiters are woken after that: they find that the key
 * is no longer in the slot, and leave.  What the queues had goes to "gone", which
 * the caller gives back when it has released the lock.  Shared with redo.
 */
static void
topic_drop_apply(uint32 slot, RqExtChains *gone)
{
	RqTopic    *t = &rq_topics[slot];
	RqKey		key = rq_topic_key(slot);

	RQ_ASSERT_META_LOCK(LW_EXCLUSIVE);
	rq_group_drop_all_apply(slot);
	rq_topic_cut_queues(slot, 0, gone);
	if (t->doomed)
		pg_atomic_fetch_sub_u32(&rq_tables->ndoomed, 1);
	t->doomed = false;
	t->pend_xid = 0;
	t->drop_xid = 0;
	t->alter_xid = 0;
	pg_atomic_write_u32(&t->nqueues, 0);
	pg_atomic_write_u64(&t->key, 0);
	rq_topic_changed(slot);
	rq_topic_index_remove(key, slot);
	rq_topic_slot_is_free(slot);
	rq_tables->ntopics--;
	rq_wake_topic(slot);
}

/*
 * The record and what it says under one hold of the meta lock: or a copy of the
 * state would have a topic for whose end redo gets no record.  Nothing is
 * flushed: what the queues had stays as it is until a sync has done so
 * (extent/rq_extlist.c).
 */
bool
rq_topic_drop(RqKey key, XLogRecPtr created)
{
	RqExtChains gone = {0};
	uint32		slot;
	bool		found;

	rq_gate_enter();
	LWLockAcquire(rq_meta_lock, LW_EXCLUSIVE);
	slot = rq_topic_index_find(key);
	found = slot != RQ_NO_SLOT && rq_topics[slot].lsn == created;
	if (found)
	{
		xl_rq_topic_drop rec = {.key = key};

		rq_chains_begin(&gone, rq_topic_nslots(slot));
		START_CRIT_SECTION();
		XLogBeginInsert();
		rq_xlog_register(&rec, SizeOfRqTopicDrop);
		rq_xlog_insert(XLOG_RQ_TOPIC_DROP);
		RQ_FAULT("drop-wal");
		topic_drop_apply(slot, &gone);
		END_CRIT_SECTION();
	}
	LWLockRelease(rq_meta_lock);
	rq_gate_leave();
	rq_chains_give_back(&gone);
	return found;
}

/* Which topic has the slot, and since when; false if none. */
static bool
topic_in_slot(int slot, RqKey *key, XLogRecPtr *created, bool *doomed)
{
	LWLockAcquire(rq_meta_lock, LW_SHARED);
	*key = rq_topic_key(slot);
	*created = rq_topics[slot].lsn;
	*doomed = rq_topics[slot].doomed;
	LWLockRelease(rq_meta_lock);
	return key->rel != InvalidOid;
}

/* The check without the lock passes over most slots; topic_in_slot() decides. */
void
rq_topic_drop_database(Oid db)
{
	for (uint32 t = 0; t < rq_topics_begun(); t++)
	{
		RqKey		key;
		XLogRecPtr	created;
		bool		doomed;

		if (rq_topic_key(t).db == db &&
			topic_in_slot(t, &key, &created, &doomed) && key.db == db)
			rq_topic_drop(key, created);
	}
}

/*
 * No lock is held while "exists" looks for a file.  The topic can be dropped
 * concurrently, and its key and slot be used again; rq_topic_drop() then finds
 * that the storage was created at another LSN and does nothing.  The
 * tablespace is read without the lock, too: it is a hint.
 */
int
rq_topic_drop_garbage(RqTopicExists exists, int most)
{
	static uint32 next = 0;		/* after one that has thrown, go on */
	uint32		ntopics = rq_topics_begun();
	int			dropped = 0;

	for (uint32 n = 0; n < ntopics && dropped < most; n++)
	{
		uint32		t = next;
		RqKey		key;
		XLogRecPtr	created;
		bool		doomed;

		next = (next + 1) % ntopics;
		if (rq_topic_key(t).rel == InvalidOid ||
			!topic_in_slot(t, &key, &created, &doomed))
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
rq_topic_drop_doomed(void)
{
	if (pg_atomic_read_u32(&rq_tables->ndoomed) > 0)
		rq_topic_drop_garbage(NULL, INT_MAX);
}

/* ---- redo ---- */

void
rq_topic_redo_drop(const void *data, uint32 len, XLogRecPtr lsn)
{
	const xl_rq_topic_drop *rec = data;
	RqExtChains gone = {0};
	uint32		slot;

	LWLockAcquire(rq_meta_lock, LW_EXCLUSIVE);
	slot = rq_topic_for_redo(rec->key, lsn);
	if (slot != RQ_NO_SLOT)
	{
		rq_chains_begin(&gone, rq_topic_nslots(slot));
		topic_drop_apply(slot, &gone);
	}
	LWLockRelease(rq_meta_lock);
	rq_chains_give_back(&gone);
}
