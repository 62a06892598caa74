/*
 * rq_supply.h
 *	  Have extents free when queues need them.
 */
#ifndef RQ_SUPPLY_H
#define RQ_SUPPLY_H

#include "topic/rq_tables.h"

/*
 * The calling transaction has "pending" entries for the queue, which it will
 * write when it commits.  To be called when that is more than what the last call
 * has returned, 0 at first.  The caller keeps the queue.  Can't throw.
 */
extern uint64 rq_supply_pending(RqQueue *q, uint64 pending, uint64 supplied);

/* The transaction has ended.  Can't throw. */
extern void rq_supply_forget(void);

/*
 * Wait until an extent of the class is free, or throw because there will be
 * none.  It can be another's by the time the caller tries to take it.  The
 * caller holds no lock and is outside the gate.
 */
extern void rq_supply_wait(int class);

/*
 * A round of the allocator: make as many extents free as will be needed, or a
 * bounded part of that, and give back the space of others; more of it if somebody
 * else lacks room on the file system.  False if there is more to do.  "err" gets
 * why extents are lacking, or 0.  Can't throw.
 */
extern bool rq_supply_round(bool others_lack_room, int *err);

#endif							/* RQ_SUPPLY_H */
