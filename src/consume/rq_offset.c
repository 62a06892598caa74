/*
 * rq_offset.c
 *	  The offsets of consumer groups.
 *
 * Given a group and a queue: which is the next offset the group has to consume,
 * now and after a crash?
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
 * A transaction can move a group in each of 65,535 queues, so a record is about
 * many of them.  A record and the changes that it describes happen under one hold
 * of the group's lock, which the state file's copier takes, too
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
#include "consume/rq_moves.h"
#include "consume/rq_offset.h"
#include "shmem/rq_stats.h"
#include "topic/rq_group.h"
#include "topic/rq_topic.h"
#include "topic/rq_xid.h"

/* Offsets settled under one hold of the meta lock. */
#define HOLD_MAX		RQ_OFFSETS_MAX

/*
 * The offset that holds now.  A move is still pending, though its transaction
 * has ended, until that is finished; one that was replayed, until the keeper
 * settles it.  Throws if the outcome cannot be read.
 */
static RqOff
resolved(uint32 group, const RqOffset *o)
{
	Assert(LWLockHeldByMe(rq_group_lock(group)));
	if (rq_offset_pending(o) != 0 &&
		rq_xid_status(o->pend_xid) == RQ_XID_COMMITTED)
		return o->pend_next;
	return o->committed;
}

/* The pending move's transaction has ended. */
static void
end_pending(RqOffset *o, bool committed, TimestampTz now)
{
	Assert(LWLockHeldByMeInMode(rq_offset_lock(o), LW_EXCLUSIVE));
	if (committed)
	{
		rq_moves_note(o, now);
		o->committed = o->pend_next;
		o->changed_at = now;
	}
	rq_offset_becomes(o, RQ_OFFSET_AT_REST);
	rq_offset_changed(o);
	rq_offset_unsettled(o);
}

/* The same, and count it: this happened here, and is not being replayed. */
static void
finish_pending(RqOffset *o, bool committed, TimestampTz now)
{
	end_pending(o, committed, now);
	if (committed)
		rq_count(RQ_STAT_OFFSETS_COMMITTED, 1);
}

/*
 * Does not ask for the outcome of a pending move, which could throw, but takes
 * the lower of the two offsets that can hold.  Retention then keeps too much
 * for a short time, and a waiter may be woken for nothing.
 */
RqOff
rq_offset_at_least(uint32 group, const RqOffset *o)
{
	LWLock	   *lock = rq_group_lock(group);
	RqOff		off;

	LWLockAcquire(lock, LW_SHARED);
	off = o->committed;
	if (o->state == RQ_OFFSET_PENDING)
		off = Min(off, o->pend_next);
	LWLockRelease(lock);
	return off;
}

RqOff
rq_offset_committed(RqOffset *o)
{
	RqOff		off;

	LWLockAcquire(rq_offset_lock(o), LW_SHARED);
	off = resolved(o->group, o);
	LWLockRelease(rq_offset_lock(o));
	return off;
}

/*
 * What was read counts if the group still exists: then its lock was the right
 * one.  The offset before the id: if the id is still the group's, the slot was
 * the group's when we read it.  Pairs with the release of the meta lock after
 * group_drop_apply() in topic/rq_group_drop.c, which clears the id and frees the
 * slot; another group gets the slot only under a later hold.
 */
bool
rq_offset_peek(RqGroupRef group, uint32 queue_id, RqOff *committed, bool *open)
{
	const RqOffset *o = rq_offset_find(group.slot, queue_id);
	RqOffset	seen;
	bool		is_still;

	if (o == NULL)
		return false;
	LWLockAcquire(rq_group_lock(group.slot), LW_SHARED);
	seen = *o;
	pg_read_barrier();
	is_still = rq_groups[group.slot].id == group.id;
	if (is_still)
		*committed = resolved(group.slot, &seen);
	LWLockRelease(rq_group_lock(group.slot));
	*open = seen.state == RQ_OFFSET_OPEN;
	return is_still;
}

/* ---- a transaction's moves ---- */

/*
 * What a record says of a move.  Replay has left an earlier one pending, say: its
 * transaction cannot be running, since we own what it owned.  May throw.
 */
static xl_rq_move
prepare_move(RqOffset *o, RqOff next, TimestampTz now)
{
	Assert(LWLockHeldByMeInMode(rq_offset_lock(o), LW_EXCLUSIVE));
	if (o->state == RQ_OFFSET_PENDING)
		finish_pending(o, rq_xid_status(o->pend_xid) == RQ_XID_COMMITTED, now);
	rq_moves_begin(o, now);
	rq_offset_changed(o);
	rq_offset_unsettled(o);
	return (xl_rq_move)
	{
		.queue_id = o->queue_id, .base = o->committed, .next = next
	};
}

/*
 * The move ends the search for a place after a restore (rq_saved.c), even if it
 * is rolled back; redo does the same.
 *
 * Whatever becomes of it is logged (SETTLE), also when the offset stays what it
 * was: a standby would ask for this transaction as long as there is no other
 * record of the offset, and that can be when nobody knows it any more.
 */
static void
begin_move(RqOffset *o, RqOff next, uint64 xid, XLogRecPtr lsn)
{
	Assert(LWLockHeldByMeInMode(rq_offset_lock(o), LW_EXCLUSIVE));
	o->lsn = lsn;
	rq_offset_becomes(o, RQ_OFFSET_PENDING);
	o->pend_next = next;
	o->pend_xid = xid;
	o->is_logged = false;
}

/*
 * Log the moves and make them pending, under one hold of the group's lock (see
 * the head of this file).  All that can throw, asking for the outcome of an
 * earlier transaction included, comes before the critical section.
 */
static void
log_moves(uint32 group, const xl_rq_move *moves, int n, uint64 xid)
{
	RqGroup    *g = &rq_groups[group];
	xl_rq_offset rec = {.key = rq_topic_key(g->topic), .group_id = g->id,
	.count = n, .xid = xid};
	XLogRecPtr	lsn;

	START_CRIT_SECTION();
	XLogBeginInsert();
	rq_xlog_register(&rec, SizeOfRqOffset);
	rq_xlog_register(moves, n * sizeof(xl_rq_move));
	lsn = rq_xlog_insert(XLOG_RQ_OFFSET);
	for (int i = 0; i < n; i++)
		begin_move(rq_offset_find(group, moves[i].queue_id), moves[i].next,
				   xid, lsn);
	END_CRIT_SECTION();
}

/*
 * A queue may no longer exist although the transaction owns it: what it has
 * itself created and given up again is removed before its end.
 */
static void
stage_moves(const RqOffsetMove *moves, int n, uint64 xid)
{
	static xl_rq_move items[RQ_OFFSETS_MAX];
	uint32		group = moves[0].group.slot;
	TimestampTz now = GetCurrentTimestamp();
	int			count = 0;

	Assert(n <= RQ_OFFSETS_MAX);
	RQ_ASSERT_META_LOCK(LW_SHARED);
	LWLockAcquire(rq_group_lock(group), LW_EXCLUSIVE);
	for (int i = 0; i < n; i++)
	{
		RqOffset   *o = rq_offset_find(group, moves[i].queue_id);

		Assert(moves[i].group.id == moves[0].group.id);
		if (o == NULL)
			continue;
		Assert(rq_group_owner(moves[i].group, o->queue_id) == (int) RQ_MY_PROC_NUMBER);
		items[count++] = prepare_move(o, moves[i].next, now);
	}
	if (count > 0)
		log_moves(group, items, count, xid);
	LWLockRelease(rq_group_lock(group));
}

/*
 * The meta lock keeps the slots while we use them; shared is enough, since what
 * changes is under the group's lock.  As a queue, the group may no longer exist.
 */
void
rq_offset_stage(const RqOffsetMove *moves, int n, uint64 xid)
{
	rq_gate_enter();
	LWLockAcquire(rq_meta_lock, LW_SHARED);
	if (rq_group_is_still(moves[0].group))
		stage_moves(moves, n, xid);
	LWLockRelease(rq_meta_lock);
	rq_gate_leave();
	RQ_FAULT("offset-wal");
}

/*
 * Shared memory only, so without the gate.  For others the transaction has
 * ended before its callback runs, so the keeper may have settled an offset
 * already; then nothing of ours is pending any more.  No other transaction can have
 * staged a move: we release our locks after this.
 */
void
rq_offset_finish(const RqOffsetMove *moves, int n, uint64 xid, bool committed)
{
	uint32		group = moves[0].group.slot;
	TimestampTz now = GetCurrentTimestamp();

	LWLockAcquire(rq_meta_lock, LW_SHARED);
	LWLockAcquire(rq_group_lock(group), LW_EXCLUSIVE);
	for (int i = 0; i < n && rq_group_is_still(moves[0].group); i++)
	{
		RqOffset   *o = rq_offset_find(group, moves[i].queue_id);

		if (o != NULL && rq_offset_pending(o) == xid)
			finish_pending(o, committed, now);
	}
	LWLockRelease(rq_group_lock(group));
	LWLockRelease(rq_meta_lock);
}

/* ---- settling ---- */

/*
 * WAL-log offsets of a group as ones that no longer depend on a transaction, and
 * make them the committed ones.
 */
static void
log_settled(uint32 group, const xl_rq_settled *items, int n)
{
	RqGroup    *g = &rq_groups[group];
	xl_rq_settle rec = {.key = rq_topic_key(g->topic), .group_id = g->id,
	.count = n};
	XLogRecPtr	lsn;

	Assert(LWLockHeldByMeInMode(rq_group_lock(group), LW_EXCLUSIVE));
	START_CRIT_SECTION();
	XLogBeginInsert();
	rq_xlog_register(&rec, SizeOfRqSettle);
	rq_xlog_register(items, n * sizeof(xl_rq_settled));
	lsn = rq_xlog_insert(XLOG_RQ_SETTLE);
	for (int i = 0; i < n; i++)
	{
		RqOffset   *o = rq_offset_find(group, items[i].queue_id);

		o->lsn = lsn;
		o->committed = items[i].committed;
		o->is_logged = true;
		rq_bits_clear(&rq_unsettled[RQ_SLOT_OFFSET], (uint32) (o - rq_offsets));
	}
	END_CRIT_SECTION();
}

/*
 * Whoever calls this has searched the queue without the group's lock, so
 * somebody else may have placed or moved the group since; that stands.
 */
void
rq_offset_place(RqOffset *o, RqOff offset)
{
	RQ_ASSERT_IN_GATE();
	LWLockAcquire(rq_offset_lock(o), LW_EXCLUSIVE);
	if (o->state == RQ_OFFSET_OPEN)
	{
		const xl_rq_settled item = {.queue_id = o->queue_id, .committed = offset};

		rq_offset_becomes(o, RQ_OFFSET_AT_REST);
		rq_offset_changed(o);
		log_settled(o->group, &item, 1);
	}
	LWLockRelease(rq_offset_lock(o));
}

/*
 * Offsets of one group, whose lock is held, to be settled by one record.  Those
 * that are pending are all of one transaction: asking for its outcome can throw,
 * and is done before there are any, so that an outcome which cannot be read
 * keeps no others from being settled.
 */
typedef struct Batch
{
	uint32		group;			/* RQ_NO_SLOT = none, and no lock is held */
	uint64		xid;			/* 0 = none yet */
	RqXidStatus status;
	TimestampTz now;
	int			n;
	xl_rq_settled items[HOLD_MAX];
} Batch;

static void
end_batch(Batch *b)
{
	if (b->group == RQ_NO_SLOT)
		return;
	if (b->n > 0)
		log_settled(b->group, b->items, b->n);
	LWLockRelease(rq_group_lock(b->group));
	b->group = RQ_NO_SLOT;
}

/* A batch to which this offset can be added. */
static void
begin_batch(Batch *b, const RqOffset *o)
{
	bool		fits = b->group == o->group &&
	(rq_offset_pending(o) == 0 || o->pend_xid == b->xid);

	if (fits)
		return;
	end_batch(b);
	LWLockAcquire(rq_offset_lock(o), LW_EXCLUSIVE);
	b->group = o->group;
	b->now = GetCurrentTimestamp();
	b->n = 0;
	b->xid = rq_offset_pending(o);
	RQ_FAULT_OF("offset-settle", rq_groups[o->group].id);
	if (b->xid != 0)
		b->status = rq_xid_status(b->xid);
}

/* Unless its transaction is running. */
static void
add_to_batch(Batch *b, RqOffset *o)
{
	RQ_ASSERT_META_LOCK(LW_SHARED);
	begin_batch(b, o);
	if (o->state == RQ_OFFSET_PENDING)
	{
		if (b->status == RQ_XID_IN_PROGRESS)
			return;
		finish_pending(o, b->status == RQ_XID_COMMITTED, b->now);
	}
	rq_offset_changed(o);
	b->items[b->n++] = (xl_rq_settled)
	{
		.queue_id = o->queue_id, .is_open = o->state == RQ_OFFSET_OPEN,
			.committed = o->committed
	};
}

/*
 * Those in [from, to) that are unsettled, in holds of the meta lock that do not
 * grow with their number.  That is seen without the group's lock: settling an
 * offset twice does no harm.  "next" is where to go on after one that has thrown.
 */
static void
settle_range(Batch *b, uint32 from, uint32 to, uint32 *next)
{
	uint32		slot = from;
	bool		more = true;

	while (more)
	{
		LWLockAcquire(rq_meta_lock, LW_SHARED);
		for (int i = 0; i < HOLD_MAX && more; i++, slot++)
		{
			more = rq_bits_next(&rq_unsettled[RQ_SLOT_OFFSET], &slot) && slot < to;
			*next = slot + 1;
			if (more && rq_offsets[slot].group != RQ_NO_SLOT)
				add_to_batch(b, &rq_offsets[slot]);
		}
		end_batch(b);
		LWLockRelease(rq_meta_lock);
	}
}

void
rq_offset_settle_all(void)
{
	static Batch b;
	static uint32 next = 0;
	uint32		begun = Min(next, (uint32) rq_max_consumer_slots);

	b.group = RQ_NO_SLOT;
	settle_range(&b, begun, rq_max_consumer_slots, &next);
	settle_range(&b, 0, begun, &next);
	next = 0;
}

/* ---- redo ---- */

/* The group that a record is about; RQ_NO_SLOT if it no longer exists. */
static uint32
group_for_redo(RqKey key, uint32 group_id, XLogRecPtr lsn)
{
	uint32		topic = rq_topic_for_redo(key, lsn);

	return topic == RQ_NO_SLOT ? RQ_NO_SLOT : rq_group_by_id(topic, group_id);
}

/*
 * The offset that an item of it is about.  NULL if the state that was loaded is
 * later than the record: it does not have the queue any more, or the slot has the
 * change already.
 */
static RqOffset *
offset_for_redo(uint32 group, uint32 queue_id, XLogRecPtr lsn)
{
	RqOffset   *o = rq_offset_find(group, queue_id);

	return o != NULL && lsn > o->lsn ? o : NULL;
}

/*
 * A record says that the offset was "committed" at that point.  So the pending
 * move was committed if it went there, and otherwise rolled back; pg_xact need
 * not be asked, which may not have the answer any more.
 */
static void
redo_end_pending(RqOffset *o, RqOff committed, TimestampTz now)
{
	if (o->state == RQ_OFFSET_PENDING)
		end_pending(o, o->pend_next == committed, now);
	o->committed = committed;
}

void
rq_offset_redo(const void *data, uint32 len, XLogRecPtr lsn)
{
	const xl_rq_offset *rec = data;
	const xl_rq_move *moves = (const xl_rq_move *) (rec + 1);
	uint32		group = group_for_redo(rec->key, rec->group_id, lsn);
	TimestampTz now = GetCurrentTimestamp();

	if (group == RQ_NO_SLOT)
		return;
	LWLockAcquire(rq_group_lock(group), LW_EXCLUSIVE);
	for (uint32 i = 0; i < rec->count; i++)
	{
		RqOffset   *o = offset_for_redo(group, moves[i].queue_id, lsn);

		if (o == NULL)
			continue;
		redo_end_pending(o, moves[i].base, now);
		rq_moves_begin(o, now);
		begin_move(o, moves[i].next, rec->xid, lsn);
		rq_offset_changed(o);
		rq_offset_unsettled(o);
	}
	LWLockRelease(rq_group_lock(group));
}

void
rq_offset_redo_settle(const void *data, uint32 len, XLogRecPtr lsn)
{
	const xl_rq_settle *rec = data;
	const xl_rq_settled *settled = (const xl_rq_settled *) (rec + 1);
	uint32		group = group_for_redo(rec->key, rec->group_id, lsn);
	TimestampTz now = GetCurrentTimestamp();

	if (group == RQ_NO_SLOT)
		return;
	LWLockAcquire(rq_group_lock(group), LW_EXCLUSIVE);
	for (uint32 i = 0; i < rec->count; i++)
	{
		RqOffset   *o = offset_for_redo(group, settled[i].queue_id, lsn);

		if (o == NULL)
			continue;
		redo_end_pending(o, settled[i].committed, now);
		if (o->state == RQ_OFFSET_OPEN && settled[i].is_open == 0)
			rq_offset_becomes(o, RQ_OFFSET_AT_REST);
		o->is_logged = true;
		o->lsn = lsn;
		rq_offset_changed(o);
		rq_bits_clear(&rq_unsettled[RQ_SLOT_OFFSET], (uint32) (o - rq_offsets));
	}
	LWLockRelease(rq_group_lock(group));
}
