/*
 * rq_relation.h
 *	  Between a topic's relation and its storage.
 */
#ifndef RQ_RELATION_H
#define RQ_RELATION_H

#include "nodes/parsenodes.h"
#include "utils/rel.h"

#include "base/rq_base.h"

/*
 * Open a topic.  Throws when the relation is no topic, or when the caller has
 * not all of the privileges in "acl" (ACL_INSERT to produce, ACL_SELECT to
 * consume; ACL_NO_RIGHTS means that it must be the owner) and USAGE of its
 * schema, as a statement on the table would need.  The lock is for
 * the caller to keep until the end of the transaction (table_close(rel,
 * NoLock)) when the topic is changed or its groups move.
 *
 * With ACL_INSERT the messages to come count as written by the transaction, for
 * SERIALIZABLE (see rq_serializable.h), and a table is refused whose INSERT is
 * more than the rows.
 */
extern Relation rq_relation_open(Oid relid, LOCKMODE lockmode, AclMode acl);

/*
 * The slot of a topic that is opened so for a function call, or RQ_NO_SLOT (see
 * rq_relation_topic).  The lock stays until the transaction ends.
 */
extern uint32 rq_relation_lookup(Oid relid, LOCKMODE lockmode, AclMode acl,
								 bool create);

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

/*
 * Open a topic, with AccessShareLock, of which the caller may read all rows.
 * NULL if the relation is gone or no topic or the caller may not, also when that
 * is so after waiting for the lock.
 */
extern Relation rq_relation_open_readable(Oid relid);

/*
 * Open a topic for what everybody may know of every table, its size.  NULL if
 * there is no such relation; throws when it is no topic.
 */
extern Relation rq_relation_open_to_measure(Oid relid);

/* Is the relation of the access method rocketq? */
extern bool rq_relation_is_topic(Relation rel);

/* The key of the topic's storage. */
extern RqKey rq_relation_key(Relation rel);

/* Its settings, which a topic without storage has, too. */
extern RqTopicSettings rq_relation_settings(Relation rel);

/*
 * The topic's slot.  A topic without storage (a copy made by CREATE DATABASE)
 * is given some if "create" is set, else the result is RQ_NO_SLOT: it is empty
 * and has no queues yet.
 */
extern uint32 rq_relation_topic(Relation rel, bool create);

#endif							/* RQ_RELATION_H */
