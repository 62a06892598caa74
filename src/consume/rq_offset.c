/*
 * rq_offset.c
 *	  The offsets of consumer groups.
 *
 * Given a group and a queue: which is the next offset the group has to consume,
 * now, as an older snapshot has it, and after a crash?
 *
 * Only the owner of a group's queue (rq_owner.c) moves its offset, so at most
 * one transaction is pending on it.  The life of a move:
 *
 *		stage	at pre-commit: WAL record OFFSET, and the move is pending.
 *				Whoever wants to know the offset from here on asks for the
 *				outcome of the transaction (resolved()).
 *		finish	in the transaction's callback: the move is made or forgotten,
 *				in shared memory only.
 *		settle	the keeper logs the offset that holds then (SETTLE), so that
 *				it does not depend on the status of an old transaction.
 *
 * An OFFSET record also says which offset held before it ("base").  So replay
 * never asks for the outcome of an earlier move: the next record shows it.
 *
 * A record and the change that it describes happen under one hold of the
 * slot's offset lock, which the state file's copier takes, too
 * (queue/rq_tablestate.c).  So a copy taken after the redo pointer moved has
 * all that was logged below it.
 */
#include "postgres.h"

#include "access/xloginsert.h"
#include "miscadmin.h"
#include "utils/timestamp.h"

#include "base/rq_compat.h"
#include "base/rq_fault.h"
#include "base/rq_guc.h"
#include "consume/rq_offset.h"
#include "shmem/rq_stats.h"
#include "topic/rq_group.h"
#include "topic/rq_topic.h"
#include "topic/rq_xid.h"

/* A group's losses in a queue are logged no more often than this. */
#define TELL_INTERVAL	(60 * USECS_PER_SEC)

/* Offsets settled under one hold of the meta lock. */
#define HOLD_MAX		256

static LWLock *
lock_of(const RqOffset *o)
{
	return rq_offset_lock((uint32) (o - rq_offsets));
}

/*
 * The offset that holds now.  A move is still pending, though its transaction
 * has ended, until that is finished; one that was replayed, until the keeper
 * settles it.  Throws if the outcome cannot be read.
 */
static RqOff
resolved(const RqOffset *o)
{
	Assert(LWLockHeldByMe(lock_of(o)));
	if (o->pend_xid != 0 && rq_xid_status(o->pend_xid) == RQ_XID_COMMITTED)
		return o->pend_next;
	return o->committed;
}

/*
 * Make room for a move: drop the one whose two neighbours are closest in time
 * relative to their age, so that history gets coarser the older it is.  Never
 * drop the first.
 */
static void
forget_move(RqOffset *o)
{
	TimestampTz now = GetCurrentTimestamp();
	double		least = 0;
	uint32		victim = 0;

	Assert(LWLockHeldByMeInMode(lock_of(o), LW_EXCLUSIVE));
	for (uint32 i = 1; i + 1 < o->nmoves; i++)
	{
		double		gap = (double) (o->moves[i + 1].at - o->moves[i - 1].at);
		double		ratio = (gap + 1) / (double) (now - o->moves[i + 1].at + 1);

		if (victim == 0 || ratio < least)
		{
			victim = i;
			least = ratio;
		}
	}
	memmove(&o->moves[victim], &o->moves[victim + 1],
			(o->nmoves - victim - 1) * sizeof(RqMove));
	o->nmoves--;
}

/*
 * Add a committed move to the list that rq_offset_as_of() answers from.
 *
 * The answer for a snapshot is the last move kept that it sees.  If it sees a
 * later move that has been forgotten, this is not exact.  It may be too small,
 * and then messages are consumed again; it must not be too large, or they would
 * be skipped.
 */
static void
note_move(RqOffset *o, RqOff from, RqOff next, uint64 xid)
{
	Assert(LWLockHeldByMeInMode(lock_of(o), LW_EXCLUSIVE));
	if (o->nmoves == 0)
		o->before_moves = from;

	/*
	 * A move back lowers those before it: once it is forgotten, the one kept
	 * before it answers for the snapshots that see it.
	 */
	o->before_moves = Min(o->before_moves, next);
	for (uint32 i = 0; i < o->nmoves; i++)
		o->moves[i].next = Min(o->moves[i].next, next);
	if (o->nmoves == RQ_MOVES)
		forget_move(o);
	o->moves[o->nmoves].xid = xid;
	o->moves[o->nmoves].next = next;
	o->moves[o->nmoves].at = GetCurrentTimestamp();
	o->nmoves++;
}

/* The pending move's transaction has ended. */
static void
end_pending(RqOffset *o, bool committed)
{
	Assert(LWLockHeldByMeInMode(lock_of(o), LW_EXCLUSIVE));
	if (committed)
	{
		note_move(o, o->committed, o->pend_next, o->pend_xid);
		o->committed = o->pend_next;
		o->changed_at = GetCurrentTimestamp();
	}
	o->pend_xid = 0;
	rq_offset_changed(o);
}

/* The same, and count it: this happened here, and is not being replayed. */
static void
finish_pending(RqOffset *o, bool committed)
{
	end_pending(o, committed);
	if (committed)
		rq_count(RQ_STAT_OFFSETS_COMMITTED, 1);
}

/*
 * Does not ask for the outcome of a pending move, which could throw, but takes
 * the lower of the two offsets that can hold.  Retention then keeps too much
 * for a short time, and a waiter may be woken for nothing.
 */
RqOff
rq_offset_at_least(RqOffset *o)
{
	RqOff		off;

	LWLockAcquire(lock_of(o), LW_SHARED);
	off = o->committed;
	if (o->pend_xid != 0)
		off = Min(off, o->pend_next);
	LWLockRelease(lock_of(o));
	return off;
}

/*
 * The newest move that the snapshot sees decides.  A pending one is newer than
 * those in the list.  It counts only if it has committed, too: that an id is
 * not in a snapshot's list of running ones does not tell how it ended.  For
 * the moves in the list that is known.
 */
RqOff
rq_offset_as_of(RqOffset *o, RqXidIsSeen is_seen, void *arg)
{
	RqOff		off;
	uint32		i;

	LWLockAcquire(lock_of(o), LW_SHARED);
	i = o->nmoves;
	while (i > 0 && !is_seen(arg, o->moves[i - 1].xid))
		i--;
	if (o->pend_xid != 0 && is_seen(arg, o->pend_xid) &&
		rq_xid_status(o->pend_xid) == RQ_XID_COMMITTED)
		off = o->pend_next;
	else if (i > 0)
		off = o->moves[i - 1].next;
	else
		off = o->nmoves > 0 ? o->before_moves : o->committed;
	LWLockRelease(lock_of(o));
	return off;
}

RqOff
rq_offset_committed(RqOffset *o)
{
	RqOff		off;

	LWLockAcquire(lock_of(o), LW_SHARED);
	off = resolved(o);
	LWLockRelease(lock_of(o));
	return off;
}

bool
rq_offset_peek(RqGroupRef group, uint32 queue_id, RqOff *committed, bool *open)
{
	RqOffset   *o = rq_offset_find(group.slot, queue_id);

	if (o == NULL)
		return false;
	LWLockAcquire(lock_of(o), LW_SHARED);
	*committed = resolved(o);
	*open = o->saved_total != 0;
	LWLockRelease(lock_of(o));

	/*
	 * The offset before the id: if the id is still the group's, the slot was
	 * the group's when we read it.  Pairs with the release of the meta lock
	 * after group_drop_apply() in topic/rq_group_drop.c, which clears the id
	 * and frees the slot; another group gets the slot only under a later
	 * hold.
	 */
	pg_read_barrier();
	return rq_groups[group.slot].id == group.id;
}

void
rq_offset_lose(RqOffset *o, RqOff from, uint64 count)
{
	RQ_ASSERT_META_LOCK(LW_SHARED);
	LWLockAcquire(lock_of(o), LW_EXCLUSIVE);
	/* The first loss since the last report says where the group was. */
	if (o->lost == o->lost_told)
		o->lost_from = from;
	o->lost += count;
	LWLockRelease(lock_of(o));
}

uint64
rq_offset_untold(RqOffset *o, TimestampTz now, RqOff *from)
{
	uint64		untold = 0;

	RQ_ASSERT_META_LOCK(LW_SHARED);
	LWLockAcquire(lock_of(o), LW_EXCLUSIVE);
	if (o->lost != o->lost_told && now - o->told_at >= TELL_INTERVAL)
	{
		untold = o->lost - o->lost_told;
		*from = o->lost_from;
		o->lost_told = o->lost;
		o->told_at = now;
	}
	LWLockRelease(lock_of(o));
	return untold;
}

/* NULL if the group or the queue no longer exists. */
static RqOffset *
offset_of(RqGroupRef group, uint32 queue_id)
{
	const RqGroup *g = &rq_groups[group.slot];

	RQ_ASSERT_META_LOCK(LW_SHARED);
	if (g->id != group.id || queue_id >= g->offsets.n)
		return NULL;
	return rq_group_offset(group.slot, queue_id);
}

/*
 * Log the move and make it pending, under one hold of the offset lock (see the
 * head of this file).  All that can throw, asking for the outcome of an earlier
 * transaction included, comes before the critical section.
 *
 * The move ends the search for a place after a restore (rq_saved.c), even if it
 * is rolled back; redo does the same.
 */
static void
stage_move(RqOffset *o, RqOff next, uint64 xid)
{
	RqGroup    *g = &rq_groups[o->group];
	xl_rq_offset rec = {.key = rq_topic_key(g->topic), .group_id = g->id,
	.queue_id = o->queue_id, .xid = xid, .next = next};

	LWLockAcquire(lock_of(o), LW_EXCLUSIVE);

	/*
	 * Replay has left an earlier move pending, say.  Its transaction cannot
	 * be running: we own what it owned.
	 */
	if (o->pend_xid != 0)
		finish_pending(o, rq_xid_status(o->pend_xid) == RQ_XID_COMMITTED);
	rec.base = o->committed;
	rq_offset_changed(o);
	START_CRIT_SECTION();
	XLogBeginInsert();
	rq_xlog_register(&rec, SizeOfRqOffset);
	o->lsn = rq_xlog_insert(XLOG_RQ_OFFSET);
	o->saved_total = 0;
	o->pend_next = next;
	o->pend_xid = xid;

	/*
	 * Whatever becomes of it is logged (SETTLE), also when the offset stays
	 * what it was: a standby would ask for this transaction as long as there
	 * is no other record of the offset, and that can be when nobody knows it
	 * any more.
	 */
	o->logged = RQ_NOT_LOGGED;
	END_CRIT_SECTION();
	LWLockRelease(lock_of(o));
}

/*
 * The meta lock keeps the slot while we use it; shared is enough, since what
 * changes is under the offset lock.
 *
 * The group or the queue may no longer exist although the transaction owns it:
 * what the transaction itself has created and given up again is removed before
 * its end.  Then there is nothing to move.
 */
void
rq_offset_stage(RqGroupRef group, uint32 queue_id, RqOff next, uint64 xid)
{
	RqOffset   *o;

	rq_gate_enter();
	LWLockAcquire(rq_meta_lock, LW_SHARED);
	o = offset_of(group, queue_id);
	Assert(o == NULL || rq_group_owner(group, queue_id) == (int) RQ_MY_PROC_NUMBER);
	if (o != NULL)
		stage_move(o, next, xid);
	LWLockRelease(rq_meta_lock);
	rq_gate_leave();
	RQ_FAULT("offset-wal");
}

/*
 * Shared memory only, so without the gate.  For others the transaction has
 * ended before its callback runs, so the keeper may have settled the offset
 * already; then "pend_xid" is not ours any more.  No other transaction can have
 * staged a move: we release our locks after this.
 */
void
rq_offset_finish(RqGroupRef group, uint32 queue_id, uint64 xid, bool committed)
{
	RqOffset   *o;

	LWLockAcquire(rq_meta_lock, LW_SHARED);
	o = offset_of(group, queue_id);
	if (o != NULL)
	{
		LWLockAcquire(lock_of(o), LW_EXCLUSIVE);
		if (o->pend_xid == xid)
			finish_pending(o, committed);
		LWLockRelease(lock_of(o));
	}
	LWLockRelease(rq_meta_lock);
}

/*
 * WAL-log an offset as one that no longer depends on a transaction, and make it
 * the committed one.
 */
static void
log_settled_offset(RqOffset *o, RqOff committed)
{
	RqGroup    *g = &rq_groups[o->group];
	xl_rq_settle rec = {.key = rq_topic_key(g->topic), .group_id = g->id,
		.queue_id = o->queue_id, .committed = committed,
	.saved_total = o->saved_total};

	Assert(LWLockHeldByMeInMode(lock_of(o), LW_EXCLUSIVE));
	rq_offset_changed(o);
	START_CRIT_SECTION();
	XLogBeginInsert();
	rq_xlog_register(&rec, SizeOfRqSettle);
	o->lsn = rq_xlog_insert(XLOG_RQ_SETTLE);
	o->committed = o->logged = committed;
	END_CRIT_SECTION();
}

/*
 * Whoever calls this has searched the queue without the offset lock, so
 * somebody else may have placed or moved the group since; that stands.
 */
void
rq_offset_place(RqOffset *o, RqOff offset)
{
	RQ_ASSERT_IN_GATE();
	LWLockAcquire(lock_of(o), LW_EXCLUSIVE);
	if (o->saved_total != 0 && o->pend_xid == 0)
	{
		o->saved_total = 0;
		log_settled_offset(o, offset);
	}
	LWLockRelease(lock_of(o));
}

/*
 * Settle one offset, unless its transaction is running.  Throws if the outcome
 * cannot be read.  The caller holds the offset lock exclusively.
 */
static void
settle_offset(RqOffset *o)
{
	RQ_ASSERT_META_LOCK(LW_SHARED);
	Assert(LWLockHeldByMeInMode(lock_of(o), LW_EXCLUSIVE));
	RQ_FAULT_OF("offset-settle", rq_groups[o->group].id);
	if (o->pend_xid != 0)
	{
		RqXidStatus status = rq_xid_status(o->pend_xid);

		if (status == RQ_XID_IN_PROGRESS)
			return;
		finish_pending(o, status == RQ_XID_COMMITTED);
	}
	log_settled_offset(o, o->committed);
}

/*
 * One pass over all slots, in holds of the meta lock that do not grow with
 * their number.  Whether there is something to settle is checked without the
 * offset lock: what is missed because it changes just now is found in the next
 * pass, and settling an offset twice does no harm.
 */
void
rq_offset_settle_all(void)
{
	static uint32 next = 0;		/* goes on after one that has thrown */
	uint32		n = rq_slots_begun(rq_offset_pool);

	for (uint32 i = 0; i < n; i++)
	{
		RqOffset   *o = &rq_offsets[next];

		next = (next + 1) % n;
		if (i % HOLD_MAX == 0)
			LWLockAcquire(rq_meta_lock, LW_SHARED);
		if (o->group != RQ_NO_SLOT &&
			(o->pend_xid != 0 || o->logged != o->committed))
		{
			LWLockAcquire(lock_of(o), LW_EXCLUSIVE);
			settle_offset(o);
			LWLockRelease(lock_of(o));
		}
		if (i % HOLD_MAX == HOLD_MAX - 1 || i == n - 1)
			LWLockRelease(rq_meta_lock);
	}
}

/* ---- redo ---- */

/*
 * The slot that a record is about.  NULL if the state that was loaded is later
 * than the record: it does not have the group or queue any more, or the slot
 * has the change already.
 */
static RqOffset *
offset_for_redo(RqKey key, uint32 group_id, uint32 queue_id, XLogRecPtr lsn)
{
	uint32		topic = rq_topic_for_redo(key, lsn);

	if (topic == RQ_NO_SLOT)
		return NULL;
	for (uint32 i = rq_topics[topic].first_group; i != RQ_NO_SLOT;
		 i = rq_groups[i].next)
		if (rq_groups[i].id == group_id && queue_id < rq_groups[i].offsets.n)
		{
			RqOffset   *o = rq_group_offset(i, queue_id);

			return lsn > o->lsn ? o : NULL;
		}
	return NULL;
}

/*
 * A record says that the offset was "committed" at that point.  So the pending
 * move was committed if it went there, and otherwise rolled back; pg_xact need
 * not be asked, which may not have the answer any more.
 */
static void
redo_end_pending(RqOffset *o, RqOff committed)
{
	Assert(LWLockHeldByMeInMode(lock_of(o), LW_EXCLUSIVE));
	if (o->pend_xid != 0)
		end_pending(o, o->pend_next == committed);
	o->committed = committed;
}

void
rq_offset_redo(const void *data, uint32 len, XLogRecPtr lsn)
{
	const xl_rq_offset *rec = data;
	RqOffset   *o = offset_for_redo(rec->key, rec->group_id, rec->queue_id, lsn);

	if (o == NULL)
		return;
	LWLockAcquire(lock_of(o), LW_EXCLUSIVE);
	redo_end_pending(o, rec->base);
	o->saved_total = 0;
	o->pend_next = rec->next;
	o->pend_xid = rec->xid;

	/* Whatever becomes of the move, it is to be settled after replay. */
	o->logged = RQ_NOT_LOGGED;
	o->lsn = lsn;
	rq_offset_changed(o);
	LWLockRelease(lock_of(o));
}

void
rq_offset_redo_settle(const void *data, uint32 len, XLogRecPtr lsn)
{
	const xl_rq_settle *rec = data;
	RqOffset   *o = offset_for_redo(rec->key, rec->group_id, rec->queue_id, lsn);

	if (o == NULL)
		return;
	LWLockAcquire(lock_of(o), LW_EXCLUSIVE);
	redo_end_pending(o, rec->committed);
	o->saved_total = rec->saved_total;
	o->logged = rec->committed;
	o->lsn = lsn;
	rq_offset_changed(o);
	LWLockRelease(lock_of(o));
}
