/*
 * rq_mark.h
 *	  The mark in the slot of an offset: whose transaction has the queue for the
 *	  group.
 *
 * Who takes, wants or clears a mark holds the lock on the group in share mode
 * (rq_owner.c), which keeps the slot.
 */
#ifndef RQ_MARK_H
#define RQ_MARK_H

#include "storage/lock.h"

#include "topic/rq_tables.h"

/*
 * What an owner's number for a savepoint may be; see rq_mark_savepoint_lock().
 * With the number 0 a queue is owned until the transaction ends.
 */
#define RQ_MARK_SAVEPOINTS	((1 << (64 - RQ_MARK_SAVEPOINT_SHIFT)) - 1)

/* Is the queue this process's?  Needs no lock. */
extern bool rq_mark_is_mine(RqOffset *o);

/*
 * Could rq_mark_take() succeed?  Needs no lock, but the slot can go to another
 * group meanwhile.
 */
extern bool rq_mark_is_free(RqOffset *o);

/*
 * Make the queue this process's, which it is not yet.  False if it is another
 * one's, or if others wait for it.  A full barrier.
 */
extern bool rq_mark_take(RqOffset *o, uint32 savepoint);

/*
 * For a process that waits: from the first of these calls to one of the other
 * two, nobody who does not wait gets the queue.  rq_mark_take_wanted() returns
 * false if it is another one's, and then this process still waits for it.
 */
extern void rq_mark_want(RqOffset *o);
extern void rq_mark_unwant(RqOffset *o);
extern bool rq_mark_take_wanted(RqOffset *o, uint32 savepoint);

/*
 * Wait, in the lock manager, until the owner may have cleared the mark; returns
 * at once if there is none.  The owner can also have found another lock that it
 * is to be waited for by, so look again.  Throws what LockAcquire() does.
 */
extern void rq_mark_wait(RqOffset *o, Oid db);

/* The lock to wait for is another one from now on.  Can't throw. */
extern void rq_mark_change(RqOffset *o, uint32 savepoint);

/*
 * The queue is nobody's any more, unless it is another one's already, as the
 * slot may be another group's.  A full barrier.  Can't throw.
 */
extern void rq_mark_clear(RqOffset *o);

/*
 * The lock that the process with this number holds exclusively while it owns
 * queues that it has taken since a savepoint, to which it has given that number.
 */
extern LOCKTAG rq_mark_savepoint_lock(Oid db, uint32 proc, uint32 savepoint);

#endif							/* RQ_MARK_H */
