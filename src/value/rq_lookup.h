/*
 * rq_lookup.h
 *	  Find the topic of a function call.
 */
#ifndef RQ_LOOKUP_H
#define RQ_LOOKUP_H

#include "value/rq_relation.h"

/*
 * Open a topic for a function call, as rq_relation_open() does, and return its
 * slot (see rq_relation_topic about RQ_NO_SLOT).  The lock is kept until the
 * transaction ends.  Throws if rows inserted into the relation are routed
 * elsewhere (rq_routed.h).
 */
extern uint32 rq_relation_lookup(Oid relid, LOCKMODE lockmode, AclMode acl,
								 RqStorageUse use);

/*
 * The lock of a function call that reads a topic (ACL_SELECT) and can wait for
 * messages.  rq_relation_hold() is called before the topic is looked up,
 * rq_relation_held() afterwards; the others are the members of RqWaitLock, which
 * get the struct as their argument.
 */
typedef struct RqRelationHold
{
	Oid			relid;
	bool		is_ours;		/* the transaction had no lock on it before */
	uint32		topic;
	uint64		incarnation;	/* of the topic */
} RqRelationHold;

extern RqRelationHold rq_relation_hold(Oid relid);
extern void rq_relation_held(RqRelationHold *hold, uint32 topic);
extern bool rq_relation_release(void *hold);
extern bool rq_relation_acquire(void *hold);
extern bool rq_relation_is_in_the_way(void *hold);

#endif							/* RQ_LOOKUP_H */
