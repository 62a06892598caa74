/*
 * rq_relation.h
 *	  Between a topic's relation and its storage.
 */
#ifndef RQ_RELATION_H
#define RQ_RELATION_H

#include "access/tableam.h"
#include "nodes/parsenodes.h"
#include "utils/rel.h"

#include "base/rq_base.h"
#include "format/rq_settings.h"

/*
 * A topic without storage (a copy made by CREATE DATABASE) is empty and has no
 * queues yet.  Whoever only reads can do without; whoever writes, or waits for
 * somebody who does, needs storage.
 */
typedef enum RqStorageUse
{
	RQ_STORAGE_OPTIONAL,		/* without storage the slot is RQ_NO_SLOT */
	RQ_STORAGE_CREATE			/* the topic is given storage if it has none */
} RqStorageUse;

/*
 * A relation is a topic if its access method has this routine.  Called before
 * any relation can have it, when the library is loaded.
 */
extern void rq_relation_init(const TableAmRoutine *routine);

/*
 * Open a topic.  Throws when the relation is no topic, or when the caller has
 * not all of the privileges in "acl" (ACL_INSERT to produce, ACL_SELECT to
 * consume; ACL_NO_RIGHTS means that it must be the owner) and USAGE of its
 * schema, as a statement on the table would need.  The lock is for
 * the caller to keep until the end of the transaction (table_close(rel,
 * NoLock)) when the topic is changed or its groups move.
 *
 * With ACL_INSERT a table is refused whose INSERT does more than store the row.
 * That the transaction is going to write to the topic is for the producer to
 * say (rq_serializable.h).
 */
extern Relation rq_relation_open(Oid relid, LOCKMODE lockmode, AclMode acl);

/*
 * May the current user read all rows of this relation: schema, table, and row
 * security?  False if it is gone.
 */
extern bool rq_may_read_all(Oid relid);

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

/* Is this access method rocketq, by whatever name? */
extern bool rq_am_is_ours(Oid amoid);

/* Is there a relation with this OID, committed or our own, that is a topic? */
extern bool rq_oid_is_topic(Oid relid);

/* The same, and if so the key of the topic's storage. */
extern bool rq_oid_topic_key(Oid relid, RqKey *key);

/* The key of the topic's storage. */
extern RqKey rq_relation_key(Relation rel);

/* Its settings, which a topic without storage has, too. */
extern RqTopicSettings rq_relation_settings(Relation rel);

/*
 * The topic's slot, or RQ_NO_SLOT with RQ_STORAGE_OPTIONAL.  Creating storage
 * throws where that is not possible: in recovery, or without a free slot.
 */
extern uint32 rq_relation_topic(Relation rel, RqStorageUse use);

#endif							/* RQ_RELATION_H */
