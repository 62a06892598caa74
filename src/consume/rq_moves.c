/*
 * rq_moves.c
 *	  What is remembered of a group's moves in a queue.
 *
 * Given an older snapshot, what is the group's offset in it?  Asked by a dump
 * (api/rq_saved_sql.c), which reads everything as of one snapshot.
 */
#include "postgres.h"

#include "consume/rq_moves.h"
#include "topic/rq_xid.h"

/*
 * Make room for a move: drop the one whose two neighbours are closest in time
 * relative to their age, so that history gets coarser the older it is.  Never
 * drop the first.
 */
static void
forget_move(RqOffset *o, TimestampTz now)
{
	double		least = 0;
	uint32		victim = 0;

	Assert(LWLockHeldByMeInMode(rq_offset_lock(o), LW_EXCLUSIVE));
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
	RqOff		from = o->committed;
	RqOff		next = o->pend_next;

	Assert(LWLockHeldByMeInMode(rq_offset_lock(o), LW_EXCLUSIVE));
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
		forget_move(o, now);
	o->moves[o->nmoves].xid = o->pend_xid;
	o->moves[o->nmoves].next = next;
	o->moves[o->nmoves].at = now;
	o->nmoves++;
}

/*
 * The newest move that the snapshot sees decides.  A pending one is newer than
 * those in the list.  It counts only if it has committed, too: that an id is
 * not in a snapshot's list of running ones does not tell how it ended.  For
 * the moves in the list that is known.
 */
RqOff
rq_moves_as_of(RqOffset *o, RqXidIsSeen is_seen, void *arg)
{
	RqOff		off;
	uint32		i;

	LWLockAcquire(rq_offset_lock(o), LW_SHARED);
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
	LWLockRelease(rq_offset_lock(o));
	return off;
}
