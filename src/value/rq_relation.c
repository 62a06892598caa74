/*
 * rq_relation.c
 *	  Map a topic's relation to its storage.
 *
 * A relation is a topic if its access method is ours.  Its storage is found by
 * its relfilenode, so TRUNCATE, which assigns a new one, starts empty.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/xlog.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_namespace.h"
#include "miscadmin.h"
#include "rewrite/prs2lock.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/rls.h"
#include "utils/syscache.h"

#include "base/rq_compat.h"
#include "base/rq_guc.h"
#include "topic/rq_alter.h"
#include "topic/rq_room.h"
#include "topic/rq_topic.h"
#include "topic/rq_topic_create.h"
#include "txn/rq_txn.h"
#include "value/rq_relation.h"
#include "value/rq_topic_label.h"

/* Set by rq_relation_init(), before any relation can have this routine. */
static const TableAmRoutine *topic_routine = NULL;

void
rq_relation_init(const TableAmRoutine *routine)
{
	topic_routine = routine;
}

static bool
is_topic_routine(const TableAmRoutine *routine)
{
	Assert(topic_routine != NULL);
	return routine == topic_routine;
}

/* A statement would look up the schema, and so needs USAGE of it; so do we. */
static void
check_schema(Oid relid)
{
	Oid			schema = get_rel_namespace(relid);

	if (OidIsValid(schema) &&
		rq_namespace_aclcheck(schema, GetUserId(), ACL_USAGE) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_SCHEMA, get_namespace_name(schema));
}

static void
check_rights(Oid relid, AclMode acl)
{
	AclResult	result = ACLCHECK_OK;

	check_schema(relid);
	/* Some versions call that an internal error. */
	if (!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relid)))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relid)));
	if (acl == ACL_NO_RIGHTS)
	{
		if (!rq_class_ownercheck(relid, GetUserId()))
			result = ACLCHECK_NOT_OWNER;
	}
	else if (pg_class_aclmask(relid, GetUserId(), acl, ACLMASK_ALL) != acl)
		result = ACLCHECK_NO_PRIV;

	if (result != ACLCHECK_OK)
		aclcheck_error(result, get_relkind_objtype(get_rel_relkind(relid)),
					   get_rel_name(relid));
}

/* Policies are applied by the executor, which the functions bypass. */
static void
check_row_security(Relation rel)
{
	if (rel->rd_rel->relrowsecurity &&
		check_enable_rls(RelationGetRelid(rel), InvalidOid, false) == RLS_ENABLED)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot use rocketq functions on topic \"%s\" with row-level security",
						RelationGetRelationName(rel)),
				 errhint("Use INSERT and SELECT, or a role that bypasses row-level security.")));
}

static void
refuse_other_relation(Relation rel)
{
	const char *name = RelationGetRelationName(rel);

	if (rel->rd_rel->relkind == RELKIND_PARTITIONED_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a topic", name),
				 errdetail("It is a partitioned table."),
				 errhint("Use its partitions that are topics.")));
	ereport(ERROR,
			(errcode(ERRCODE_WRONG_OBJECT_TYPE),
			 errmsg("\"%s\" is not a topic", name),
			 errhint("Create a topic with rocketq.create_topic() or CREATE TABLE ... USING rocketq.")));
}

/* num_defval includes the expressions of generated columns. */
static bool
has_plain_columns(Relation rel)
{
	const TupleConstr *constr = rel->rd_att->constr;

	return constr == NULL || (!constr->has_not_null && constr->num_defval == 0);
}

/* Does an INSERT into this table do more than store the given row? */
static bool
needs_executor(Relation rel)
{
	const TupleConstr *constr = rel->rd_att->constr;
	const TriggerDesc *triggers = rel->trigdesc;

	if (!has_plain_columns(rel) || (constr != NULL && constr->num_check > 0))
		return true;
	if (triggers != NULL &&
		(triggers->trig_insert_before_row ||
		 triggers->trig_insert_before_statement ||
		 triggers->trig_insert_after_statement))
		return true;
	return rel->rd_rel->relispartition;
}

static bool
has_insert_rule(Relation rel)
{
	const RuleLock *rules = rel->rd_rules;

	for (int i = 0; rules != NULL && i < rules->numLocks; i++)
		if (rules->rules[i]->event == CMD_INSERT)
			return true;
	return false;
}

/*
 * Throw if the executor would do something for an INSERT that the functions that
 * produce do not.  A message that violates a constraint would make queries
 * return wrong results.
 */
static void
refuse_executor_work(Relation rel)
{
	bool		rule = has_insert_rule(rel);

	if (!rule && !needs_executor(rel))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot produce into topic \"%s\" with rocketq functions",
					RelationGetRelationName(rel)),
			 rule ?
			 errdetail("The topic has a rule for INSERT, which only INSERT applies.") :
			 errdetail("The topic is a partition or has constraints, defaults, triggers, or generated columns, which only INSERT and COPY enforce."),
			 rule ? errhint("Use INSERT.") : errhint("Use INSERT or COPY.")));
}

void
rq_relation_lock(Oid relid, LOCKMODE lockmode)
{
	ResourceOwner before = rq_txn_own_locks();

	LockRelationOid(relid, lockmode);
	CurrentResourceOwner = before;
}

bool
rq_relation_try_lock(Oid relid, LOCKMODE lockmode)
{
	ResourceOwner before = rq_txn_own_locks();
	bool		locked = ConditionalLockRelationOid(relid, lockmode);

	CurrentResourceOwner = before;
	return locked;
}

void
rq_relation_unlock(Oid relid, LOCKMODE lockmode)
{
	ResourceOwner before = rq_txn_own_locks();

	UnlockRelationOid(relid, lockmode);
	CurrentResourceOwner = before;
}

/*
 * Check before locking, so that a user without privileges cannot block others,
 * and again afterwards: they may have been revoked, and the relation dropped,
 * while we waited for the lock.
 */
void
rq_relation_lock_as(Oid relid, LOCKMODE lockmode, AclMode acl)
{
	rq_require_preload();
	check_rights(relid, acl);
	rq_relation_lock(relid, lockmode);
	check_rights(relid, acl);
}

/*
 * What a transaction sees of a topic that it alters is not told to others, who
 * would go by it even if the transaction is rolled back.  Nor is what a standby
 * sees: what the primary changes is not noticed there.
 */
static void
note_columns(Relation rel)
{
	uint32		topic = rq_topic_find(rq_relation_key(rel));

	if (topic != RQ_NO_SLOT && has_plain_columns(rel) &&
		!rq_topic_has_plain_columns(topic) && !RecoveryInProgress() &&
		!CheckRelationLockedByMe(rel, AccessExclusiveLock, false))
		rq_topic_note_columns(topic, true);
}

Relation
rq_relation_open_locked(Oid relid, AclMode acl)
{
	Relation	rel = try_relation_open(relid, NoLock);

	if (rel == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relid)));
	if (!rq_relation_is_topic(rel))
		refuse_other_relation(rel);
	check_row_security(rel);
	if (acl & ACL_INSERT)
		refuse_executor_work(rel);
	note_columns(rel);
	return rel;
}

Relation
rq_relation_open(Oid relid, LOCKMODE lockmode, AclMode acl)
{
	rq_relation_lock_as(relid, lockmode, acl);
	return rq_relation_open_locked(relid, acl);
}

/*
 * What rq_relation_open_locked() refuses, pg_class tells but for the columns.  A
 * trigger or rule that no longer exists can still show there.
 */
uint32
rq_relation_plain_topic(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Form_pg_class form;
	RqKey		key = {.db = MyDatabaseId};
	bool		plain;
	uint32		topic;

	if (!HeapTupleIsValid(tuple))
		return RQ_NO_SLOT;
	form = (Form_pg_class) GETSTRUCT(tuple);
	key.rel = form->relfilenode;
	plain = form->relkind == RELKIND_RELATION && rq_am_is_ours(form->relam) &&
		form->relchecks == 0 && !form->relhasrules && !form->relhastriggers &&
		!form->relispartition && !form->relrowsecurity;
	ReleaseSysCache(tuple);
	topic = plain ? rq_topic_find(key) : RQ_NO_SLOT;
	return topic != RQ_NO_SLOT && rq_topic_has_plain_columns(topic) ? topic : RQ_NO_SLOT;
}

/*
 * May the caller read all rows?  Throws nothing, even if the relation or its
 * schema is dropped concurrently: the syscache entry that was just found stays
 * valid until invalidation messages are next accepted.
 */
bool
rq_may_read_all(Oid relid)
{
	Oid			schema = get_rel_namespace(relid);
	bool		is_missing = false;

	return SearchSysCacheExists1(NAMESPACEOID, ObjectIdGetDatum(schema)) &&
		rq_namespace_aclcheck(schema, GetUserId(), ACL_USAGE) == ACLCHECK_OK &&
		pg_class_aclcheck_ext(relid, GetUserId(), ACL_SELECT, &is_missing) == ACLCHECK_OK &&
		check_enable_rls(relid, InvalidOid, true) != RLS_ENABLED;
}

/* Checked before and after locking, as in rq_relation_open(). */
Relation
rq_relation_open_readable(Oid relid)
{
	Relation	rel;

	if (!rq_may_read_all(relid))
		return NULL;
	rel = try_relation_open(relid, AccessShareLock);
	if (rel != NULL && (!rq_relation_is_topic(rel) || !rq_may_read_all(relid)))
	{
		relation_close(rel, AccessShareLock);
		return NULL;
	}
	return rel;
}

Relation
rq_relation_open_to_measure(Oid relid)
{
	Relation	rel;

	rq_require_preload();
	rel = try_relation_open(relid, AccessShareLock);
	if (rel != NULL && !rq_relation_is_topic(rel))
		refuse_other_relation(rel);
	return rel;
}

/* ---- topics by OID ---- */

bool
rq_am_is_ours(Oid amoid)
{
	HeapTuple	tuple;
	bool		ours = false;

	if (amoid == InvalidOid || amoid == HEAP_TABLE_AM_OID)
		return false;
	tuple = SearchSysCache1(AMOID, ObjectIdGetDatum(amoid));
	if (HeapTupleIsValid(tuple))
	{
		Form_pg_am	form = (Form_pg_am) GETSTRUCT(tuple);

		ours = form->amtype == AMTYPE_TABLE &&
			is_topic_routine(GetTableAmRoutine(form->amhandler));
		ReleaseSysCache(tuple);
	}
	return ours;
}

bool
rq_oid_topic_key(Oid relid, RqKey *key)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	bool		found = false;

	if (HeapTupleIsValid(tuple))
	{
		Form_pg_class form = (Form_pg_class) GETSTRUCT(tuple);

		found = form->relkind == RELKIND_RELATION && rq_am_is_ours(form->relam);
		key->db = MyDatabaseId;
		key->rel = form->relfilenode;
		ReleaseSysCache(tuple);
	}
	return found;
}

bool
rq_oid_is_topic(Oid relid)
{
	RqKey		key;

	return rq_oid_topic_key(relid, &key);
}

bool
rq_relation_is_topic(Relation rel)
{
	return is_topic_routine(rel->rd_tableam);
}

RqKey
rq_relation_key(Relation rel)
{
	RqKey		key = {.db = RQ_LOCATOR_DB(rq_rel_locator(rel)),
	.rel = RQ_LOCATOR_REL(rq_rel_locator(rel))};

	return key;
}

RqTopicSettings
rq_relation_settings(Relation rel)
{
	uint32		topic = rq_topic_find(rq_relation_key(rel));

	return topic != RQ_NO_SLOT ? rq_topic_settings(topic) :
		rq_topic_label_settings(RelationGetRelid(rel));
}

uint32
rq_relation_topic(Relation rel, RqStorageUse use)
{
	RqKey		key = rq_relation_key(rel);
	uint32		topic = rq_topic_find(key);

	if (topic == RQ_NO_SLOT && use == RQ_STORAGE_CREATE)
	{
		RqTopicSettings settings = rq_topic_label_settings(RelationGetRelid(rel));

		rq_room_for_topic(settings.nqueues);
		topic = rq_topic_ensure(key, RQ_LOCATOR_SPC(rq_rel_locator(rel)),
								&settings, 0);
	}
	return topic;
}
