/*
 * rq_alter.c
 *	  Change the settings of a topic, the number of its queues being one.
 *
 * Given a change that only its own transaction may see until it commits, and
 * that can take away queues with their messages, which settings hold for whom,
 * and when do the queues go?
 *
 * A change belongs to a transaction, which holds the topic's relation
 * exclusively: nobody else uses the topic until it has ended.  So what is
 * "seen" changes at once and goes back if the transaction, or a part of it, is
 * rolled back.  The topic remembers what is "committed", for an abort, and
 * what is "staged", for a commit, and keeps slots for the most queues it has
 * had since the last settlement.  The janitor settles that afterwards, and
 * only then do slots and extents of queues go.  Code that uses a topic without a
 * lock on its relation, as retention does, goes by rq_topic_committed().
 *
 * A record holds both outcomes, and a further record the settlement.  During
 * recovery a topic shows the queues that both outcomes have: on a hot standby
 * until the end of the transaction is replayed, otherwise until the keeper
 * decides at the end of recovery.
 *
 * Queues that went can come again under the same number.  By "born" redo knows
 * which records are about the earlier ones, and by a new incarnation others know
 * that what they have noted about a queue was about one of those.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "miscadmin.h"

#include "base/rq_fault.h"
#include "base/rq_guc.h"
#include "topic/rq_alter.h"
#include "topic/rq_group.h"
#include "topic/rq_group_room.h"
#include "topic/rq_topic_private.h"
#include "topic/rq_xid.h"

/* ---- slots ---- */

/*
 * Make room in all tables for "nslots" queues, or throw and change nothing:
 * the room for queues is checked first, and rq_group_take_slots() checks
 * before it takes.
 */
static void
take_slots(uint32 topic, uint32 nslots)
{
	uint32		have = rq_topic_nslots(topic);

	RQ_ASSERT_META_LOCK(LW_EXCLUSIVE);
	if (nslots <= have)
		return;
	rq_topic_check_room(have, nslots);
	rq_group_take_slots(topic, nslots);
	rq_topic_take_queues(topic, nslots);
}

/*
 * A new incarnation, since a queue can come back under a number about which
 * something was noted (retain/rq_lowest.c, consume/rq_saved.c).
 */
static void
release_slots(uint32 topic, uint32 nslots, RqExtChains *gone)
{
	RQ_ASSERT_META_LOCK(LW_EXCLUSIVE);
	rq_group_cut_slots(topic, nslots);
	rq_topic_cut_queues(topic, nslots, gone);
	rq_topics[topic].incarnation = rq_tables->next_incarnation++;
}

/* New slots were made by the record that ends at "lsn". */
static void
stamp_slots(uint32 topic, XLogRecPtr lsn)
{
	RQ_ASSERT_META_LOCK(LW_EXCLUSIVE);
	for (uint32 i = 0; i < rq_topic_nslots(topic); i++)
	{
		RqQueue    *q = rq_topic_queue(topic, i);

		if (q->born == InvalidXLogRecPtr)
		{
			q->born = lsn;
			rq_queue_changed(q);
		}
	}
	rq_group_stamp_slots(topic, lsn);
}

/*
 * Shared by settlement, redo and the loading of the state; all of the record
 * is taken over.  Slots are taken before anything is changed, so if the tables
 * are too small, nothing is.  In a settlement there is nothing to take, and so
 * nothing that could throw in its critical section.
 *
 * Only the queues that both outcomes have are seen.  In a settlement these are
 * the same; in recovery, it is not known yet which it will be.
 */
void
rq_topic_apply_alter(uint32 topic, const xl_rq_topic *rec, XLogRecPtr lsn,
					 RqExtChains *gone)
{
	RqTopic    *t = &rq_topics[topic];
	RqTopicSettings seen = rec->committed;

	RQ_ASSERT_META_LOCK(LW_EXCLUSIVE);
	take_slots(topic, rec->nslots);
	t->committed = rec->committed;
	t->staged = rec->staged;
	t->drop_xid = rec->drop_xid;
	t->alter_xid = rec->alter_xid;
	t->alter_lsn = lsn;

	/* Redo of the end of a transaction checks whether it is this one. */
	if (t->alter_xid != 0)
		rq_tables->redo_altering = true;
	stamp_slots(topic, lsn);
	seen.nqueues = Min(rec->committed.nqueues, rec->staged.nqueues);
	rq_topic_set_seen(topic, &seen);
	if (rec->nslots < rq_topic_nslots(topic))
		release_slots(topic, rec->nslots, gone);
	rq_topic_changed(topic);
}

/* ---- change ---- */

/*
 * WAL-log that the topic gets these settings if the transaction commits.  The
 * record says what the slot does, so the slot comes first; nobody sees it in
 * between, since the lock is held exclusively.
 */
static void
stage_settings(uint32 topic, const RqTopicSettings *to, uint64 xid)
{
	RqTopic    *t = &rq_topics[topic];
	xl_rq_topic rec;

	RQ_ASSERT_META_LOCK(LW_EXCLUSIVE);
	START_CRIT_SECTION();
	t->staged = *to;
	t->alter_xid = xid;
	rec = rq_topic_record(topic);
	t->alter_lsn = rq_topic_log(&rec);
	stamp_slots(topic, t->alter_lsn);
	rq_topic_set_seen(topic, to);
	rq_topic_changed(topic);
	END_CRIT_SECTION();
}

/*
 * What an earlier transaction has left to settle: a slot has one staged
 * change.  The caller's lock on the relation keeps anybody from staging
 * another.  Of the caller's own transaction, which has not ended, the staged
 * change stays; and of another one that has not ended either, but has rolled its
 * change back to a savepoint, and with it the lock: nothing of that is seen, and
 * the new change takes its place.
 */
static void
settle_first(uint32 topic)
{
	RqExtChains gone = {0};

	rq_gate_enter();
	LWLockAcquire(rq_meta_lock, LW_EXCLUSIVE);
	rq_topic_alter_settle(topic, &gone);
	LWLockRelease(rq_meta_lock);
	rq_gate_leave();
	rq_chains_give_back(&gone);
}

/*
 * Enter the gate and take the meta lock exclusively when the queues from
 * "nqueues" on may go.  They are looked at without the locks, and what has
 * changed by the time that these are held makes us look again.  The lock on
 * the relation leaves few who could change anything: retention, and groups
 * that expire.
 */
static void
lock_removable(uint32 topic, uint32 nqueues, const RqRemovalCheck *check)
{
	for (;;)
	{
		void	   *looked = check->look(topic, nqueues);
		bool		may;

		RQ_FAULT("alter-looked");
		rq_gate_enter();
		LWLockAcquire(rq_meta_lock, LW_EXCLUSIVE);
		may = check->still_holds(topic, nqueues, looked);
		pfree(looked);
		if (may)
			return;
		LWLockRelease(rq_meta_lock);
		rq_gate_leave();
	}
}

/*
 * Everything that can fail comes before stage_settings(): what is consumed, shares and
 * room.  What take_slots() has done by then needs no undo, since it is the
 * last of these.  One hold of the meta lock covers checks, slots and record:
 * so nobody else takes the room that was found, and a copy of the state has as
 * many slots as the record says.
 */
void
rq_topic_alter(uint32 topic, const RqTopicSettings *to, uint64 xid,
			   const RqRemovalCheck *check)
{
	uint32		nqueues = to->nqueues;

	settle_first(topic);
	lock_removable(topic, nqueues, check);
	if (nqueues > rq_topic_nqueues(topic))
		rq_group_check_share(topic, nqueues);
	take_slots(topic, nqueues);
	stage_settings(topic, to, xid);
	LWLockRelease(rq_meta_lock);
	rq_gate_leave();
	RQ_FAULT("alter-wal");
}

/*
 * Only what is seen goes back, which needs no record and no gate.  What is
 * staged is put right before a commit by rq_topic_alter_log(), which may fail,
 * as this may not.
 *
 * At an abort this is called once for each change, and for everybody else the
 * transaction has aborted by then.  The janitor can settle the topic between
 * two calls.  Then alter_xid is 0, and what is seen is final: to go back to
 * the state between two changes would show queues whose slots are free.
 */
void
rq_topic_alter_undo(RqKey key, const RqTopicSettings *to)
{
	uint32		topic;

	LWLockAcquire(rq_meta_lock, LW_EXCLUSIVE);
	topic = rq_topic_index_find(key);
	if (topic != RQ_NO_SLOT && rq_topics[topic].alter_xid != 0)
		rq_topic_set_seen(topic, to);
	LWLockRelease(rq_meta_lock);
	RQ_FAULT("alter-undone");
}

/*
 * Stages what is seen now, if a rollback to a savepoint has made that
 * something else.  This must come before the commit record, with which redo
 * and the janitor take what is staged for committed.
 */
void
rq_topic_alter_log(RqKey key)
{
	uint32		topic;

	rq_gate_enter();
	LWLockAcquire(rq_meta_lock, LW_EXCLUSIVE);
	topic = rq_topic_index_find(key);
	if (topic != RQ_NO_SLOT && rq_topics[topic].alter_xid != 0)
	{
		const RqTopicSettings now = rq_topic_settings(topic);

		if (!rq_settings_equal(&rq_topics[topic].staged, &now))
			stage_settings(topic, &now, rq_topics[topic].alter_xid);
	}
	LWLockRelease(rq_meta_lock);
	rq_gate_leave();
}

/*
 * From here on nothing depends on the transaction: log the outcome, take it
 * over, and release slots that are beyond its number of queues.
 */
void
rq_topic_alter_settle(uint32 topic, RqExtChains *gone)
{
	RqTopic    *t = &rq_topics[topic];
	xl_rq_topic rec = rq_topic_record(topic);
	RqXidStatus status;

	RQ_ASSERT_META_LOCK(LW_EXCLUSIVE);
	if (t->alter_xid == 0)
		return;

	/* Throws if pg_xact can't be read, so before anything is done. */
	status = rq_xid_status(t->alter_xid);
	if (status == RQ_XID_IN_PROGRESS)
		return;
	if (status == RQ_XID_COMMITTED)
		rec.committed = t->staged;
	rec.staged = rec.committed;
	rec.nslots = rec.committed.nqueues;
	rec.alter_xid = 0;
	Assert(rec.nslots <= rq_topic_nslots(topic));
	rq_chains_begin(gone, rq_topic_nslots(topic) - rec.nslots);
	START_CRIT_SECTION();
	rq_topic_apply_alter(topic, &rec, rq_topic_log(&rec), gone);
	END_CRIT_SECTION();
	RQ_FAULT("alter-settled");
}

/*
 * Called by the keeper when recovery has ended, before it opens the gate, and
 * by the startup process of a hot standby when such a transaction ends.  Only
 * what is seen changes: nothing can be logged now, so slots and files go when
 * the change is settled.
 */
void
rq_topic_alter_recover(void)
{
	LWLockAcquire(rq_meta_lock, LW_EXCLUSIVE);
	rq_tables->redo_altering = false;
	for (uint32 i = 0; i < rq_topics_begun(); i++)
	{
		RqTopic    *t = &rq_topics[i];

		if (t->alter_xid == 0)
			continue;
		switch (rq_xid_status(t->alter_xid))
		{
			case RQ_XID_COMMITTED:
				rq_topic_set_seen(i, &t->staged);
				break;
			case RQ_XID_ABORTED:
				rq_topic_set_seen(i, &t->committed);
				break;
			case RQ_XID_IN_PROGRESS:
				rq_tables->redo_altering = true;
				break;
		}
	}
	LWLockRelease(rq_meta_lock);
}

/* ---- redo ---- */

/* No lock: nobody else changes topics during recovery. */
static bool
some_alter_has_ended(void)
{
	for (uint32 i = 0; i < rq_topics_begun(); i++)
		if (rq_topics[i].alter_xid != 0 &&
			rq_xid_status(rq_topics[i].alter_xid) != RQ_XID_IN_PROGRESS)
			return true;
	return false;
}

/* Mostly no topic is being altered, and then one flag says so. */
void
rq_topic_alter_replayed(void)
{
	if (rq_tables->redo_altering && some_alter_has_ended())
		rq_topic_alter_recover();
}

void
rq_topic_redo_alter(uint32 topic, const xl_rq_topic *rec, XLogRecPtr lsn,
					RqExtChains *gone)
{
	uint32		have = rq_topic_nslots(topic);

	RQ_ASSERT_META_LOCK(LW_EXCLUSIVE);
	if (rec->nslots < have)
		rq_chains_begin(gone, have - rec->nslots);
	rq_topic_apply_alter(topic, rec, lsn, gone);
}
