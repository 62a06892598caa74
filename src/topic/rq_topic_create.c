/*
 * rq_topic_create.c
 *	  Topics that come, and what becomes of them when a transaction ends.
 *
 * A topic's storage is made when its relation gets a new file: WAL-logged, under
 * the meta lock held exclusively.  The directory of the queues is made with the
 * first entry.  When whoever creates, drops or alters a topic has ended, the janitor
 * settles the slot for good and logs that.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "base/rq_fault.h"
#include "base/rq_guc.h"
#include "shmem/rq_workers.h"
#include "topic/rq_alter.h"
#include "topic/rq_tables.h"
#include "topic/rq_topic_create.h"
#include "topic/rq_topic_drop.h"
#include "topic/rq_topic_private.h"
#include "topic/rq_trash.h"
#include "topic/rq_xid.h"

/* Topics settled in a round of the janitor: some remove files. */
#define SETTLE_ROUND	64

/* ---- creating ---- */

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
		rq_topic_check_room_for_new(settings->nqueues);
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

/* ---- settling ---- */

/* What to do about a topic that somebody has dropped who may have ended. */
static void
settle_drop(uint32 slot)
{
	RqTopic    *t = &rq_topics[slot];
	RqXidStatus status = rq_xid_status(t->drop_xid);

	RQ_ASSERT_META_LOCK(LW_EXCLUSIVE);
	if (status == RQ_XID_COMMITTED)
		rq_topic_doom_locked(slot);
	else if (status == RQ_XID_ABORTED)
	{
		xl_rq_topic rec = rq_topic_record(slot);

		/*
		 * A standby can know of it by a state file, and has to forget it,
		 * too: redo of this record does that.
		 */
		rec.drop_xid = 0;
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
		rq_topic_doom_locked(slot);
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

/* ---- redo ---- */

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
		rq_topic_redo_alter(slot, rec, lsn, trash);
	LWLockRelease(rq_meta_lock);
	rq_trash_remove(trash);
}
