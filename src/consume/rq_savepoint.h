/*
 * rq_savepoint.h
 *	  The locks by which a transaction owns queues, and those of its savepoints.
 */
#ifndef RQ_SAVEPOINT_H
#define RQ_SAVEPOINT_H

#include "storage/lock.h"

/*
 * Take a lock until the current (sub)transaction ends, and release it before
 * that.  Without "wait", LOCKACQUIRE_NOT_AVAIL says that another one has it.
 * Throws what LockAcquire() does, as when there is no room in the lock table.
 */
extern LockAcquireResult rq_owner_lock(const LOCKTAG *lock, LOCKMODE mode,
									   bool wait);
extern void rq_owner_unlock(const LOCKTAG *lock, LOCKMODE mode);

/* All that the next rq_savepoint_lock() needs memory for.  May throw. */
extern void rq_savepoint_make_room(void);

/*
 * Have the lock of the innermost savepoint, which the queues from "first_queue"
 * on have been taken since; returns its number, 0 outside of savepoints.  Throws
 * if there is no room in the lock table, or, without "wait", if the transaction has
 * its share of it: who is given nothing would believe that there is nothing.
 */
extern uint32 rq_savepoint_lock(Oid db, int first_queue, bool wait);

/*
 * The innermost savepoint is released.  If its lock is to be released, too,
 * returns the first queue taken since, and what number it and those after it
 * get; the caller changes their marks and then calls rq_savepoint_unlock().
 * Else returns -1.  Can't throw.
 */
extern int	rq_savepoint_released(uint32 *number);
extern void rq_savepoint_unlock(void);

/* Locks of this level and deeper ones have gone with their subtransactions. */
extern void rq_savepoint_undone(int level);

/* The transaction has ended. */
extern void rq_savepoint_forget(void);

#endif							/* RQ_SAVEPOINT_H */
