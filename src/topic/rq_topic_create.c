/*
 * rq_topic_create.c
 *	  Topics that come, and what becomes of them when a transaction ends.
 *
 * How does a topic get its slot, and when does that stop depending on the
 * outcome of a transaction?
 *
 * A topic's storage is made when its relation gets a new file: WAL-logged,
 * under the meta lock held exclusively.  Only slots are taken then; a queue gets
 * its first extent with its first entry.  The slot names the
 * transactions that create, drop or alter the topic.  Until these have ended,
 * and their outcome is logged with the topic, everybody who wants to know asks
 * pg_xact.  The janitor sees to it that this does not last, since PostgreSQL
 * forgets old ids.
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
#include "topic/rq_xid.h"

/* How many topics in doubt are asked about in a round of the janitor. */
#define SETTLE_ROUND	64

/* ---- creating ---- */

/*
 * Is there storage that an earlier holder of the key has left?  If the key is
 * a new relation's, whatever is there; else only what is known to be garbage.
 * "created" says which storage it was, for rq_topic_drop() to check again.
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
 * The caller has made room.  Under one hold of the meta lock,
 *
 *		1. check that the key has no slot and that there is room: the last that
 *		   can fail,
 *		2. log,
 *		3. fill the slot, whose key is published last (rq_topic_apply()).
 *
 * One hold for 2 and 3, so that a copy of the state (rq_state.c) has the topic
 * if it was taken after the record, and so that at any LSN redo has as many
 * slots free as we have.
 */
uint32
rq_topic_ensure(RqKey key, Oid spc, const RqTopicSettings *settings,
				uint64 xid)
{
	uint32		slot;
	XLogRecPtr	created;

	/*
	 * The key is used again before the janitor has removed what was there.
	 * The janitor may drop it between our check and our drop, which then does
	 * nothing; so check again until nothing is left.
	 */
	while (find_remains(key, xid != 0, &created))
		rq_topic_drop(key, created);
	rq_gate_enter();
	LWLockAcquire(rq_meta_lock, LW_EXCLUSIVE);

	/*
	 * Of those that find a topic without storage at the same time, the first
	 * makes it, and the others use that.
	 */
	slot = rq_topic_index_find(key);
	if (slot == RQ_NO_SLOT)
	{
		xl_rq_topic rec = {.key = key, .spc = spc,
			.nslots = settings->nqueues, .xid = xid,
		.committed = *settings, .staged = *settings};

		/* 1. Others may have taken since what we made room for. */
		rq_topic_check_room_for_new(settings->nqueues);

		/* 2. and 3. */
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

/*
 * The topic has been dropped by a transaction that may have ended.  If that
 * has committed, nothing is logged here: to drop the storage is a record of
 * its own, and until then the doomed slot is as good.  The gate and the meta
 * lock are held.
 */
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
		 * A standby can have "drop_xid" from a state file or an earlier
		 * record; redo of this one clears it there, too.
		 */
		rec.drop_xid = 0;
		START_CRIT_SECTION();
		t->drop_xid = 0;
		t->alter_lsn = rq_topic_log(&rec);
		rq_topic_changed(slot);
		END_CRIT_SECTION();
	}
}

/*
 * The topic was created by a transaction that may have ended.  If that has
 * committed, the record says that the topic exists whatever pg_xact may say:
 * PostgreSQL forgets the id one day.  The gate and the meta lock are held.
 */
static void
settle_topic(uint32 slot)
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
		rq_topic_changed(slot);
		END_CRIT_SECTION();
	}
}

/*
 * Is there something to settle, as soon as a transaction has ended?  Also
 * asked without the meta lock, to pass over most slots.  A doomed topic waits
 * to be dropped, whatever has become of those who created and dropped it; only
 * a change of its settings is settled as usual, since retention asks for that
 * until then.
 */
static bool
is_in_doubt(uint32 topic)
{
	const RqTopic *t = &rq_topics[topic];

	return t->alter_xid != 0 ||
		(!t->doomed && (t->pend_xid != 0 || t->drop_xid != 0));
}

static int
topic_xids(uint32 topic, uint64 xids[RQ_SETTLE_XIDS])
{
	const RqTopic *t = &rq_topics[topic];
	const uint64 all[RQ_SETTLE_XIDS] = {t->alter_xid, t->pend_xid, t->drop_xid};
	int			n = 0;

	if (!is_in_doubt(topic))
		return 0;
	for (int i = 0; i < RQ_SETTLE_XIDS; i++)
		if (all[i] != 0)
			xids[n++] = all[i];
	return n;
}

/*
 * "gone" gets what is to be given back when the lock has been released.
 */
static void
settle_ended_topic(uint32 topic, RqExtChains *gone)
{
	const RqTopic *t = &rq_topics[topic];

	RQ_ASSERT_META_LOCK(LW_EXCLUSIVE);

	/* The slot may be free by now, or another topic's: check again. */
	if (!is_in_doubt(topic))
		return;
	RQ_FAULT_OF("topic-settle", rq_topic_key(topic).rel);
	if (t->drop_xid != 0)
		settle_drop(topic);
	if (t->pend_xid != 0)
		settle_topic(topic);
	rq_topic_alter_settle(topic, gone);
}

/* Under a hold of its own, since a topic can have many queues that go. */
static void
settle_topic_in_turn(uint32 topic)
{
	RqExtChains gone = {0};

	rq_gate_enter();
	LWLockAcquire(rq_meta_lock, LW_EXCLUSIVE);
	settle_ended_topic(topic, &gone);
	LWLockRelease(rq_meta_lock);
	rq_gate_leave();
	rq_chains_give_back(&gone);
}

bool
rq_topic_settle_some(RqPass *pass)
{
	return rq_settle_some(pass, rq_topics_begun(), SETTLE_ROUND, topic_xids,
						  settle_topic_in_turn);
}

/* ---- redo ---- */

/*
 * A record is about the creation, a settlement or a change of settings, and
 * has all that the slot says in any case.  The topic is made if it does not
 * exist; the settings are taken over if the slot has not got them from a later
 * record.
 */
void
rq_topic_redo(const void *data, uint32 len, XLogRecPtr lsn)
{
	const xl_rq_topic *rec = data;
	RqExtChains gone = {0};
	uint32		slot = RQ_NO_SLOT;

	/*
	 * The state file knew every topic that existed at meta_lsn.  So one that
	 * it did not have, and whose record is older than that, has been dropped
	 * since.  It is not made again until the record of the drop comes, for
	 * there need not be room.
	 */
	LWLockAcquire(rq_meta_lock, LW_EXCLUSIVE);
	if (rq_topic_for_redo(rec->key, lsn) != RQ_NO_SLOT ||
		(rq_topic_index_find(rec->key) == RQ_NO_SLOT &&
		 lsn > rq_tables->meta_lsn))
		slot = rq_topic_apply(rec->key, rec->spc, &rec->committed, rec->xid, lsn);
	if (slot != RQ_NO_SLOT && lsn > rq_topics[slot].alter_lsn)
		rq_topic_redo_alter(slot, rec, lsn, &gone);
	LWLockRelease(rq_meta_lock);
	rq_chains_give_back(&gone);
}
