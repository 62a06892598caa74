/*
 * rq_lowest.h
 *	  The lowest position that entries of a queue point to.  Janitor only.
 */
#ifndef RQ_LOWEST_H
#define RQ_LOWEST_H

#include "shmem/rq_shmem.h"
#include "topic/rq_tables.h"

/*
 * Read a block of new entries, RQ_META_HOLD_ENTRIES; true once there is none
 * left.  The caller holds the meta lock.  Throws if an entry cannot be read.
 */
extern bool rq_lowest_learn(RqQueue *q);

/*
 * The lowest position below "bound" of an entry in [from, to) that was not
 * aborted; "bound" if there is none.  Fast for what has been learnt.
 */
extern RqPos rq_lowest_below(RqQueue *q, RqOff from, RqOff to, RqPos bound);

/*
 * The same without entries below "start", where the log begins: they are left
 * after younger ones, and nobody can read them.  That is remembered, since
 * the log's start only rises.
 */
extern RqPos rq_lowest_between(RqQueue *q, RqOff from, RqOff to, RqPos start,
							   RqPos bound);

#endif							/* RQ_LOWEST_H */
