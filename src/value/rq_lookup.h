/*
 * rq_lookup.h
 *	  Find the topic of a function call.
 */
#ifndef RQ_LOOKUP_H
#define RQ_LOOKUP_H

#include "value/rq_relation.h"

/*
 * The slot of a topic that is opened so for a function call, or RQ_NO_SLOT (see
 * rq_relation_topic).  The lock stays until the transaction ends.
 */
extern uint32 rq_relation_lookup(Oid relid, LOCKMODE lockmode, AclMode acl,
								 RqStorageUse use);

/*
 * The lock of a function call that reads a topic (ACL_SELECT) and can wait: what
 * the members of RqWaitLock get.  rq_relation_hold() is called first, and
 * rq_relation_held() once the topic has been looked up.
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
