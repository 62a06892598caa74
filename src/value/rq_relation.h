/*
 * rq_relation.h
 *	  Map a topic's relation to its storage.
 */
#ifndef RQ_RELATION_H
#define RQ_RELATION_H

#include "access/tableam.h"
#include "nodes/parsenodes.h"
#include "utils/rel.h"

#include "base/rq_base.h"
#include "format/rq_settings.h"

/*
 * A topic copied by CREATE DATABASE has no storage: it is empty, and has no queues
 * until it is first used.  Reading works without storage; writing, or waiting
 * for messages, needs it.
 */
typedef enum RqStorageUse
{
	RQ_STORAGE_OPTIONAL,		/* without storage the slot is RQ_NO_SLOT */
	RQ_STORAGE_CREATE			/* the topic is given storage if it has none */
} RqStorageUse;

/*
 * Set the routine whose relations are topics.  Called when the library is
 * loaded, before any relation can have it.
 */
extern void rq_relation_init(const TableAmRoutine *routine);

/*
 * Open a topic.  Throws if the relation is not a topic, or if the caller lacks
 * any of the privileges in "acl" (ACL_INSERT to produce, ACL_SELECT to consume;
 * ACL_NO_RIGHTS means that it must be the owner) or USAGE of its schema, as a
 * statement on the table would.  The caller keeps the lock until the end of the
 * (sub)transaction: table_close(rel, NoLock).
 *
 * With ACL_INSERT, also throws if an INSERT would do more than store the row.
 * Registering the write for SERIALIZABLE is up to the caller
 * (rq_serializable.h).
 */
extern Relation rq_relation_open(Oid relid, LOCKMODE lockmode, AclMode acl);

/*
 * The two halves of that: lock the relation for a caller with these privileges,
 * and open it once it is locked.
 */
extern void rq_relation_lock_as(Oid relid, LOCKMODE lockmode, AclMode acl);
extern Relation rq_relation_open_locked(Oid relid, AclMode acl);

/*
 * The topic's slot if it is known that rq_relation_open_locked() would throw
 * nothing, whatever the privileges; else RQ_NO_SLOT.  The caller has a lock on the
 * relation.  For a session that has not met the topic yet, opening it costs
 * several times as much, and its memory grows with each.
 */
extern uint32 rq_relation_plain_topic(Oid relid);

/*
 * Lock a relation until the current (sub)transaction ends, whatever becomes of
 * the portal in which we are called, and release a lock taken like that.  Throws
 * what LockRelationOid() does; rq_relation_try_lock() returns false if it would
 * have to wait.
 */
extern void rq_relation_lock(Oid relid, LOCKMODE lockmode);
extern bool rq_relation_try_lock(Oid relid, LOCKMODE lockmode);
extern void rq_relation_unlock(Oid relid, LOCKMODE lockmode);

/*
 * May the current user read all rows of this relation: schema, table, and row
 * security?  False if it is gone.
 */
extern bool rq_may_read_all(Oid relid);

/*
 * Open a topic, with AccessShareLock, if the caller may read all of its rows.
 * Returns NULL if the relation does not exist, is not a topic, or may not be
 * read, including when that changes while waiting for the lock.
 */
extern Relation rq_relation_open_readable(Oid relid);

/*
 * Open a topic, with AccessShareLock, to measure its size, which needs no
 * privilege for any table.  Returns NULL if there is no such relation; throws if
 * it is not a topic.
 */
extern Relation rq_relation_open_to_measure(Oid relid);

/* Is the relation of the access method rocketq? */
extern bool rq_relation_is_topic(Relation rel);

/* Is this access method ours, whatever its name? */
extern bool rq_am_is_ours(Oid amoid);

/*
 * Is there a topic with this OID?  It is if its pg_class row is visible to catalog
 * lookups: committed, or written by an earlier command of this transaction.
 */
extern bool rq_oid_is_topic(Oid relid);

/* The same; if so, "key" is set to the key of its storage. */
extern bool rq_oid_topic_key(Oid relid, RqKey *key);

/* The key of the topic's storage. */
extern RqKey rq_relation_key(Relation rel);

/* The topic's settings, from its label if it has no storage. */
extern RqTopicSettings rq_relation_settings(Relation rel);

/*
 * The topic's slot, or RQ_NO_SLOT with RQ_STORAGE_OPTIONAL.  Creating storage
 * throws where that is not possible: in recovery, or without a free slot.
 */
extern uint32 rq_relation_topic(Relation rel, RqStorageUse use);

#endif							/* RQ_RELATION_H */
