/*
 * rq_relation.c
 *	  Between a topic's relation and its storage.
 *
 * A relation is a topic if its access method is ours.  Its storage is found by
 * the number of its file, so that TRUNCATE starts with an empty one.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_namespace.h"
#include "miscadmin.h"
#include "rewrite/prs2lock.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/rls.h"
#include "utils/syscache.h"

#include "base/rq_compat.h"
#include "base/rq_guc.h"
#include "queue/rq_alter.h"
#include "queue/rq_topic.h"
#include "queue/rq_topic_create.h"
#include "value/rq_relation.h"
#include "value/rq_topic_label.h"

/* Set by rq_relation_init(), before any relation has it. */
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

/* What a statement looks up on its way to a table has to be allowed, too. */
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

/* Policies work on rows of a plan, and the functions would pass them by. */
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

/* Is there more to an INSERT into this table than the row as it is given? */
static bool
needs_executor(Relation rel)
{
	const TupleConstr *constr = rel->rd_att->constr;
	const TriggerDesc *triggers = rel->trigdesc;

	/* The expressions of generated columns are among the defaults. */
	if (constr != NULL &&
		(constr->num_check > 0 || constr->has_not_null ||
		 constr->num_defval > 0))
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
 * What the executor does for INSERT, and the functions that produce do not.
 * A message that breaks a constraint would make queries give wrong answers.
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

Relation
rq_relation_open(Oid relid, LOCKMODE lockmode, AclMode acl)
{
	Relation	rel;

	rq_require_preload();
	/* Who may do nothing shall not block others, and waiting takes time. */
	check_rights(relid, acl);
	rel = try_relation_open(relid, lockmode);
	if (rel == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relid)));
	check_rights(relid, acl);
	if (!rq_relation_is_topic(rel))
		refuse_other_relation(rel);
	check_row_security(rel);
	if (acl & ACL_INSERT)
		refuse_executor_work(rel);
	return rel;
}

/* A schema that is there is in the cache, and is so when it is asked for next. */
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

		topic = rq_topic_ensure(key, RQ_LOCATOR_SPC(rq_rel_locator(rel)),
								&settings, 0);
	}
	return topic;
}
