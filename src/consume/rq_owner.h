/*
 * rq_owner.h
 *	  Which transaction reads a queue for a group.
 */
#ifndef RQ_OWNER_H
#define RQ_OWNER_H

#include "consume/rq_cursor.h"

/* Register callbacks; once, from _PG_init. */
extern void rq_owner_init(void);

/*
 * Make the queue this transaction's for the group, until the transaction (or
 * the subtransaction that takes it first) ends, and fill in the cursor's
 * offset.  False if the group no longer exists, or, without "wait", if the
 * queue is another transaction's or somebody waits for it.
 */
extern bool rq_owner_take(RqCursor *c, bool wait);

/*
 * The same for all queues of the group, waiting for those who read one.  False
 * if the group no longer exists.
 */
extern bool rq_owner_take_group(uint32 topic, RqGroupRef group);

/*
 * For a worker, outside a transaction: keep everybody off the group.  False if
 * somebody owns it or one of its queues.  The caller frees it again, whatever
 * happens in between.  That wakes no waiter: nothing has been taken.
 */
extern bool rq_owner_hold_group(Oid db, RqGroupRef group);
extern void rq_owner_free_group(Oid db, RqGroupRef group);

#endif							/* RQ_OWNER_H */
