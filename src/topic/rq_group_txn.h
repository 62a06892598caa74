/*
 * rq_group_txn.h
 *	  Consumer groups that the current transaction creates and drops.
 */
#ifndef RQ_GROUP_TXN_H
#define RQ_GROUP_TXN_H

#include "format/rq_walrec.h"
#include "topic/rq_group.h"

/*
 * Create a group as rq_group_create() does, with this transaction's id and
 * within the topic's share: it goes away again with the transaction, or the
 * part of it that is rolled back.
 */
extern bool rq_group_create_own(uint32 topic, const char *name,
								const xl_rq_place *places, RqGroupRef *group);

/*
 * Drop the group, which this transaction owns (rq_owner.h): others wait for
 * its end.
 */
extern void rq_group_drop(RqGroupRef group);

/* Has the transaction dropped a group of that name? */
extern bool rq_group_own_drop(uint32 topic, const char *name);

#endif							/* RQ_GROUP_TXN_H */
