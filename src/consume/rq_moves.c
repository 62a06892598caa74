/*
 * rq_moves.c
 *	  What is remembered of a group's moves in a queue.
 *
 * Given an older snapshot, what is the group's offset in it?  Asked by a dump
 * (api/rq_saved_sql.c), which reads everything as of one snapshot.
 *
 * Most offsets are at rest: every snapshot that there is sees all of their
 * moves.  So there are far fewer places for moves (RqOffsetUse) than offsets.  An
 * offset gets one when it moves, and keeps it until somebody else needs it and
 * no snapshot can ask for it any more.  They are looked at in turn, some of them
 * each time.  If there is none to be had, which needs an old snapshot and very
 * many moves, the move is forgotten at once; then the answer for a snapshot that
 * may not see it is the first offset there can be.
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xlogutils.h"
#include "miscadmin.h"
#include "storage/procarray.h"

#include "consume/rq_moves.h"
#include "topic/rq_xid.h"

/* How many places are looked at to find one. */
#define LOOK_AT			64

/*
 * Does no snapshot ask any more for anything before this transaction?  Whoever
 * notes many moves does it at one time, "now", for which it is asked once.
 */
static uint64
oldest_seen_by_all(TimestampTz now)
{
	static TimestampTz asked_at = DT_NOBEGIN;
	static uint64 oldest = 0;

	if (asked_at == now)
		return oldest;
	asked_at = now;
	if (InRecovery && standbyState != STANDBY_SNAPSHOT_READY)
		oldest = PG_UINT64_MAX; /* nobody has a snapshot yet */
	else
	{
		TransactionId xid = GetOldestNonRemovableTransactionId(NULL);
		uint64		next = U64FromFullTransactionId(ReadNextFullTransactionId());

		oldest = next - (uint32) ((TransactionId) next - xid);
	}
	return oldest;
}

/* ---- places ---- */

/* Read without the lock it is a hint. */
static bool
can_be_taken(const RqOffsetUse *use, const RqOffset *o, uint64 oldest,
			 TimestampTz before)
{
	if (o->changed_at > before)
		return false;
	for (uint32 i = 0; i < Min(use->nmoves, RQ_MOVES); i++)
		if (use->moves[i].xid >= oldest)
			return false;
	return true;
}

/*
 * Take a place from the offset that has it, if that has not moved since
 * "before".  Its group may be another one, whose lock comes from the same level
 * as that which we hold: so do not wait for it.  The meta lock keeps its slot,
 * or that we are the startup process.
 */
static bool
take_from(uint32 place, uint32 slot, uint32 my_group, uint64 oldest,
		  TimestampTz before)
{
	RqOffsetUse *use = &rq_offset_uses[place];
	RqOffset   *o = &rq_offsets[slot];
	uint32		group = o->group;
	bool		taken;

	if (group == RQ_NO_SLOT || !can_be_taken(use, o, oldest, before))
		return false;
	if (group != my_group &&
		!LWLockConditionalAcquire(rq_group_lock(group), LW_EXCLUSIVE))
		return false;
	taken = pg_atomic_read_u32(&use->offset) == slot && o->use == place &&
		can_be_taken(use, o, oldest, before);
	if (taken)
	{
		o->use = RQ_NO_SLOT;
		pg_atomic_write_u32(&use->offset, RQ_NO_SLOT);
	}
	if (group != my_group)
		LWLockRelease(rq_group_lock(group));
	return taken;
}

/* Make a place the offset's if it is free, or can be. */
static bool
take_use(uint32 place, uint32 my_slot, TimestampTz now, TimestampTz before)
{
	uint32		slot = pg_atomic_read_u32(&rq_offset_uses[place].offset);

	if (slot != RQ_NO_SLOT &&
		!take_from(place, slot, rq_offsets[my_slot].group,
				   oldest_seen_by_all(now), before))
		return false;
	slot = RQ_NO_SLOT;
	return pg_atomic_compare_exchange_u32(&rq_offset_uses[place].offset, &slot,
										  my_slot);
}

/*
 * Find a place, preferably one that tells nothing of how fast an offset moves, or
 * that was never used; RQ_NO_SLOT if there is none.  Who has looked in vain does
 * not look again at the same time.
 */
static uint32
find_use(uint32 my_slot, TimestampTz now)
{
	static TimestampTz in_vain = DT_NOBEGIN;
	uint32		n = rq_offset_uses_begun();
	uint32		first = pg_atomic_read_u32(&rq_tables->next_use);
	uint32		place;

	if (in_vain == now)
		return RQ_NO_SLOT;
	for (uint32 i = 0; i < Min(n, LOOK_AT); i++)
	{
		place = pg_atomic_fetch_add_u32(&rq_tables->next_use, 1) % n;
		if (take_use(place, my_slot, now, now - RQ_USE_RATES))
			return place;
	}
	place = rq_offset_use_begin(my_slot);
	if (place != RQ_NO_SLOT)
		return place;
	for (uint32 i = 0; i < Min(n, LOOK_AT); i++)
		if (take_use((first + i) % n, my_slot, now, now))
			return (first + i) % n;
	in_vain = now;
	return RQ_NO_SLOT;
}

/*
 * Where it was when its rate began.  It has not moved since "changed_at"; and we
 * know nothing from before the server was started.
 */
static RqOffsetSample
first_sample(const RqOffset *o, TimestampTz now)
{
	TimestampTz at = Max(now - RQ_USE_RATES / 2, o->changed_at);

	at = Max(at, rq_groups[o->group].created_at);
	return (RqOffsetSample)
	{
		.at = Max(at, rq_tables->started_at), .committed = o->committed
	};
}

/*
 * A place for the offset, which has moved; NULL if there is none.  If moves of
 * it have been forgotten, nobody knows where it was before them.
 */
static RqOffsetUse *
give_use(RqOffset *o, TimestampTz now)
{
	uint32		place = find_use((uint32) (o - rq_offsets), now);
	RqOffsetUse *use;

	if (place == RQ_NO_SLOT)
		return NULL;
	use = &rq_offset_uses[place];
	use->nmoves = 0;
	use->before_moves = o->use == RQ_USE_WANTING ? 0 : o->committed;
	memset(use->samples, 0, sizeof(use->samples));
	use->samples[0] = first_sample(o, now);
	o->use = place;
	return use;
}

/* ---- moves ---- */

/*
 * Make room for a move: drop the one whose two neighbours are closest in time
 * relative to their age, so that history gets coarser the older it is.  Never
 * drop the first.
 */
static void
forget_move(RqOffsetUse *use, TimestampTz now)
{
	double		least = 0;
	uint32		victim = 0;

	for (uint32 i = 1; i + 1 < use->nmoves; i++)
	{
		double		gap = (double) (use->moves[i + 1].at - use->moves[i - 1].at);
		double		ratio = (gap + 1) / (double) (now - use->moves[i + 1].at + 1);

		if (victim == 0 || ratio < least)
		{
			victim = i;
			least = ratio;
		}
	}
	memmove(&use->moves[victim], &use->moves[victim + 1],
			(use->nmoves - victim - 1) * sizeof(RqMove));
	use->nmoves--;
}

/* Moves that were forgotten need not be remembered if everybody sees them. */
void
rq_moves_begin(RqOffset *o, TimestampTz now)
{
	Assert(LWLockHeldByMeInMode(rq_offset_lock(o), LW_EXCLUSIVE));
	if (o->use == RQ_USE_WANTING && o->pend_xid < oldest_seen_by_all(now))
		o->use = RQ_NO_SLOT;
}

/*
 * Add the pending move, which has committed, to the list that rq_moves_as_of()
 * answers from.
 *
 * The answer for a snapshot is the last move kept that it sees.  If it sees a
 * later move that has been forgotten, this is not exact.  It may be too small,
 * and then messages are consumed again; it must not be too large, or they would
 * be skipped.
 */
void
rq_moves_note(RqOffset *o, TimestampTz now)
{
	RqOffsetUse *use = rq_offset_use(o);
	RqOff		next = o->pend_next;

	Assert(LWLockHeldByMeInMode(rq_offset_lock(o), LW_EXCLUSIVE));
	Assert(o->state == RQ_OFFSET_PENDING);
	if (use == NULL)
		use = give_use(o, now);
	if (use == NULL)
	{
		o->use = RQ_USE_WANTING;
		return;
	}

	/*
	 * A move back lowers those before it: once it is forgotten, the one kept
	 * before it answers for the snapshots that see it.
	 */
	use->before_moves = Min(use->before_moves, next);
	for (uint32 i = 0; i < use->nmoves; i++)
		use->moves[i].next = Min(use->moves[i].next, next);
	if (use->nmoves == RQ_MOVES)
		forget_move(use, now);
	use->moves[use->nmoves].xid = o->pend_xid;
	use->moves[use->nmoves].next = next;
	use->moves[use->nmoves].at = now;
	use->nmoves++;
}

/*
 * The newest move in the list that the snapshot sees.  Without a list all
 * snapshots see all moves, unless some have been forgotten.  "pend_xid" is the
 * last who has moved it, or is about to: a snapshot that sees the end of that
 * sees all that came before, since one owns the queue after the other.
 */
static RqOff
listed_as_of(const RqOffset *o, RqXidIsSeen is_seen, void *arg)
{
	const RqOffsetUse *use = rq_offset_use(o);
	uint32		i = use == NULL ? 0 : use->nmoves;

	if (use == NULL)
		return o->use == RQ_USE_WANTING && !is_seen(arg, o->pend_xid) ? 0 :
			o->committed;
	while (i > 0 && !is_seen(arg, use->moves[i - 1].xid))
		i--;
	return i > 0 ? use->moves[i - 1].next : use->before_moves;
}

/*
 * A pending move is newer than those in the list.  It counts only if it has
 * committed, too: that an id is not in a snapshot's list of running ones does
 * not tell how it ended.  For the moves in the list that is known.
 */
RqOff
rq_moves_as_of(RqOffset *o, RqXidIsSeen is_seen, void *arg)
{
	RqOff		off;

	LWLockAcquire(rq_offset_lock(o), LW_SHARED);
	if (rq_offset_pending(o) != 0 && is_seen(arg, o->pend_xid) &&
		rq_xid_status(o->pend_xid) == RQ_XID_COMMITTED)
		off = o->pend_next;
	else
		off = listed_as_of(o, is_seen, arg);
	LWLockRelease(rq_offset_lock(o));
	return off;
}
