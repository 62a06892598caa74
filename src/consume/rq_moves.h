/*
 * rq_moves.h
 *	  What is remembered of a group's moves in a queue.
 */
#ifndef RQ_MOVES_H
#define RQ_MOVES_H

#include "topic/rq_tables.h"

/*
 * The pending move has committed.  The caller holds the group's lock
 * exclusively.  Can't throw.
 */
extern void rq_moves_note(RqOffset *o, TimestampTz now);

/*
 * The offset as a snapshot has it that sees just these transactions.  If that
 * is no longer known, a smaller one.  The caller keeps the offset.  Throws if
 * the outcome of a pending move cannot be read.
 */
typedef bool (*RqXidIsSeen) (void *arg, uint64 xid);
extern RqOff rq_moves_as_of(RqOffset *o, RqXidIsSeen is_seen, void *arg);

#endif							/* RQ_MOVES_H */
