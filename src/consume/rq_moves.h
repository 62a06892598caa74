/*
 * rq_moves.h
 *	  What is remembered of a group's moves in a queue.
 */
#ifndef RQ_MOVES_H
#define RQ_MOVES_H

#include "topic/rq_tables.h"

/*
 * For so long, in microseconds, what tells how fast an offset moves is kept if
 * others can do without the room.  Not shorter than twice the time between
 * samples (rq_rates.c).
 */
#define RQ_USE_RATES	(60 * USECS_PER_SEC)

/*
 * A move is about to become pending.  The same holds as for rq_moves_note().
 */
extern void rq_moves_begin(RqOffset *o, TimestampTz now);

/*
 * The pending move has committed.  The caller holds the group's lock
 * exclusively, and the meta lock unless it is the startup process.  Can't throw.
 */
extern void rq_moves_note(RqOffset *o, TimestampTz now);

/*
 * The offset as a snapshot has it that sees just these transactions.  If that is
 * no longer known, a smaller one, which can lie before the queue's start.  The
 * caller keeps the offset.  Throws if the outcome of a pending move cannot be
 * read.
 */
typedef bool (*RqXidIsSeen) (void *arg, uint64 xid);
extern RqOff rq_moves_as_of(RqOffset *o, RqXidIsSeen is_seen, void *arg);

#endif							/* RQ_MOVES_H */
