/*
 * rq_access_hook.c
 *	  Track what happens to topics in the catalogs.
 *
 * A table access method is not notified when its table is dropped, nor when
 * columns, indexes or triggers are added.  PostgreSQL's object access hook is: it
 * is called for every object, after its catalog row is written and before anyone
 * else can see that row, so it is looked up with SnapshotSelf.
 *
 * What is refused here would otherwise be refused too late, leaving something
 * behind (an invalid index), or not at all (ADD COLUMN).
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_database.h"
#include "catalog/pg_index.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_publication.h"
#include "catalog/pg_publication_namespace.h"
#include "catalog/pg_publication_rel.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "base/rq_compat.h"
#include "ddl/rq_access_hook.h"
#include "ddl/rq_label.h"
#include "ddl/rq_publication.h"
#include "ddl/rq_topic_name.h"
#include "topic/rq_topic.h"
#include "topic/rq_topic_drop.h"
#include "topic/rq_topic_txn.h"
#include "value/rq_columns.h"
#include "value/rq_refuse.h"
#include "value/rq_relation.h"

static object_access_hook_type prev_object_access = NULL;

/* ---- catalog rows that only we can see ---- */

/* A copy of the row that matches the scan keys; NULL if there is none. */
static HeapTuple
fetch_row(Oid catalog, Oid index, int nkeys, ScanKeyData *keys)
{
	Relation	rel = table_open(catalog, AccessShareLock);
	SysScanDesc scan = systable_beginscan(rel, index, true, SnapshotSelf,
										  nkeys, keys);
	HeapTuple	tuple = systable_getnext(scan);

	if (HeapTupleIsValid(tuple))
		tuple = heap_copytuple(tuple);
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return tuple;
}

static HeapTuple
fetch_by_oid(Oid catalog, Oid index, AttrNumber column, Oid oid)
{
	ScanKeyData key;

	ScanKeyInit(&key, column, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(oid));
	return fetch_row(catalog, index, 1, &key);
}

/* ---- what happens to topics ---- */

static void
refuse_index(Oid index)
{
	HeapTuple	tuple = fetch_by_oid(IndexRelationId, IndexRelidIndexId,
									 Anum_pg_index_indexrelid, index);

	if (!HeapTupleIsValid(tuple))
		return;
	if (rq_oid_is_topic(((Form_pg_index) GETSTRUCT(tuple))->indrelid))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("indexes and unique constraints on topics are not supported"),
				 errhint("Filter by tag, or consume into a table that has the index.")));
	heap_freetuple(tuple);
}

/*
 * A relation was created.  One that is to replace a topic (relrewrite) means a
 * rewrite into another access method, for which none of our callbacks is called;
 * the topic's groups, and what this transaction has produced, would be lost.
 */
static void
relation_created(Oid relid)
{
	HeapTuple	tuple = fetch_by_oid(RelationRelationId, ClassOidIndexId,
									 Anum_pg_class_oid, relid);
	Form_pg_class form;

	if (!HeapTupleIsValid(tuple))
		return;
	form = (Form_pg_class) GETSTRUCT(tuple);
	if (form->relkind == RELKIND_INDEX &&
		form->relnamespace != PG_TOAST_NAMESPACE)
		refuse_index(relid);
	else if (OidIsValid(form->relrewrite) && rq_oid_is_topic(form->relrewrite))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("access method of topic \"%s\" cannot be changed",
						get_rel_name(form->relrewrite)),
				 errhint("Use CREATE TABLE ... AS SELECT * FROM topic to copy its messages into a table.")));
	else if (form->relkind == RELKIND_RELATION && rq_am_is_ours(form->relam))
	{
		RqKey		key = {.db = MyDatabaseId, .rel = form->relfilenode};

		rq_topic_name_check(NameStr(form->relname), form->relnamespace);
		rq_label_created(relid, key);
		rq_publication_topic_created(NameStr(form->relname),
									 form->relnamespace);
	}
	heap_freetuple(tuple);
}

static void
refuse_column_change(Oid relid)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("columns of topic \"%s\" cannot be changed",
					get_rel_name(relid)),
			 errdetail("Every topic has the columns of rocketq.message."),
			 errhint("Store additional data in the body or the properties of a message.")));
}

/* Is it a member of the extension? */
static bool
is_ours(Oid classId, Oid objectId)
{
	Oid			extension = getExtensionOfObject(classId, objectId);

	return OidIsValid(extension) &&
		extension == get_extension_oid("rocketq", true);
}

/*
 * An attribute of rocketq.message is being added, altered or dropped: refuse it,
 * because its attributes are compiled into the functions that return messages.
 * A script of the extension may change them, together with the library.
 */
static void
refuse_type_change(Oid relid)
{
	if (creating_extension || get_rel_relkind(relid) != RELKIND_COMPOSITE_TYPE ||
		!is_ours(TypeRelationId, get_rel_type_id(relid)))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("attributes of type %s cannot be changed",
					format_type_be_qualified(get_rel_type_id(relid))),
			 errdetail("Functions of extension \"rocketq\" return rows with these attributes."),
			 errhint("Store additional data in the body or the properties of a message.")));
}

/* Before the lock that the change has taken is released: see rq_topic_note_columns(). */
static void
forget_columns(Oid relid)
{
	uint32		topic = RQ_NO_SLOT;
	RqKey		key;

	if (rq_ctl != NULL && rq_oid_topic_key(relid, &key))
		topic = rq_topic_find(key);
	if (topic != RQ_NO_SLOT)
		rq_topic_note_columns(topic, false);
}

/* A column was added or altered: it must still match rocketq.message. */
static void
column_changed(Oid relid, int attnum)
{
	ScanKeyData keys[2];
	HeapTuple	tuple;

	refuse_type_change(relid);
	if (!rq_oid_is_topic(relid))
		return;
	forget_columns(relid);
	ScanKeyInit(&keys[0], Anum_pg_attribute_attrelid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(relid));
	ScanKeyInit(&keys[1], Anum_pg_attribute_attnum, BTEqualStrategyNumber,
				F_INT2EQ, Int16GetDatum(attnum));
	tuple = fetch_row(AttributeRelationId, AttributeRelidNumIndexId, 2, keys);
	if (!HeapTupleIsValid(tuple))
		return;
	if (!rq_column_fits((Form_pg_attribute) GETSTRUCT(tuple)))
		refuse_column_change(relid);
	rq_check_computed((Form_pg_attribute) GETSTRUCT(tuple));
	heap_freetuple(tuple);
}

/*
 * From 18 on NOT NULL is a constraint.  That is created before the column says
 * so, and ALTER TABLE of a parent or ADD CONSTRAINT changes the column without
 * saying so here.
 */
static void
constraint_created(Oid constraint)
{
	HeapTuple	tuple = fetch_by_oid(ConstraintRelationId, ConstraintOidIndexId,
									 Anum_pg_constraint_oid, constraint);
	Form_pg_constraint form;

	if (!HeapTupleIsValid(tuple))
		return;
	form = (Form_pg_constraint) GETSTRUCT(tuple);
	if (form->contype == CONSTRAINT_NOTNULL && rq_oid_is_topic(form->conrelid))
	{
		bool		isnull;
		Datum		columns = SysCacheGetAttr(CONSTROID, tuple,
											  Anum_pg_constraint_conkey, &isnull);

		Assert(!isnull);
		forget_columns(form->conrelid);
		rq_check_not_null(*(int16 *) ARR_DATA_PTR(DatumGetArrayTypeP(columns)));
	}
	heap_freetuple(tuple);
}

/*
 * An AFTER ROW trigger reads its row back, and a message cannot be read before
 * its transaction commits.  Foreign keys are implemented by such triggers.
 */
static void
trigger_created(Oid trigger)
{
	HeapTuple	tuple = fetch_by_oid(TriggerRelationId, TriggerOidIndexId,
									 Anum_pg_trigger_oid, trigger);
	Form_pg_trigger form;

	if (!HeapTupleIsValid(tuple))
		return;
	form = (Form_pg_trigger) GETSTRUCT(tuple);
	if (TRIGGER_FOR_ROW(form->tgtype) && TRIGGER_FOR_AFTER(form->tgtype) &&
		TRIGGER_FOR_INSERT(form->tgtype) && rq_oid_is_topic(form->tgrelid))
	{
		if (form->tgisinternal)
			rq_refuse_foreign_key();
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("row triggers AFTER INSERT on a topic are not supported"),
				 errhint("Use a BEFORE ROW trigger, or an AFTER STATEMENT trigger with a transition table.")));
	}
	heap_freetuple(tuple);
}

/* A relation, or a column of one, is about to be dropped. */
static void
relation_dropped(Oid relid, int attnum)
{
	RqKey		key;

	if (attnum != 0)
		refuse_type_change(relid);
	if (!rq_oid_topic_key(relid, &key))
		return;
	if (attnum != 0)
		refuse_column_change(relid);
	rq_relation_lock(relid, AccessExclusiveLock);
	if (rq_ctl != NULL)
		rq_topic_note_dropped(key);
}

/* The server has the lock, as for a drop, but see rq_relation_lock(). */
static void
relation_truncated(Oid relid)
{
	if (rq_oid_is_topic(relid))
		rq_relation_lock(relid, AccessExclusiveLock);
}

/*
 * A database was created.  Storage that exists under its OID belongs to a dropped
 * database; the janitor would mistake it for that of a topic copied from the
 * template that has the same relfilenode.
 */
static void
database_created(Oid db)
{
	if (rq_ctl != NULL)
		rq_topic_drop_database(db);
}

/*
 * A topic was moved to a tablespace, which assigns a new relfilenode.  Put the old
 * one back, since the topic's storage is found by it, and the tablespace too.
 */
static void
undo_move(Oid relid, Form_pg_class now)
{
	HeapTuple	before = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Form_pg_class old = (Form_pg_class) GETSTRUCT(before);
	Relation	pg_class;
	HeapTuple	tuple;

	if (old->relfilenode != now->relfilenode &&
		old->reltablespace != now->reltablespace)
	{
		/* The row must be visible before it can be updated again. */
		CommandCounterIncrement();
		pg_class = table_open(RelationRelationId, RowExclusiveLock);
		tuple = SearchSysCacheCopy1(RELOID, ObjectIdGetDatum(relid));
		((Form_pg_class) GETSTRUCT(tuple))->relfilenode = old->relfilenode;
		((Form_pg_class) GETSTRUCT(tuple))->reltablespace = old->reltablespace;
		CatalogTupleUpdate(pg_class, &tuple->t_self, tuple);
		heap_freetuple(tuple);
		table_close(pg_class, RowExclusiveLock);
	}
	ReleaseSysCache(before);
}

/*
 * ALTER TABLE ... SET SCHEMA of a topic or of a table with topics as partitions;
 * RENAME TO and SET TABLESPACE of a topic.
 */
static void
relation_altered(Oid relid)
{
	char		relkind = get_rel_relkind(relid);
	HeapTuple	tuple;
	Form_pg_class form;

	if (relkind != RELKIND_PARTITIONED_TABLE && !rq_oid_is_topic(relid))
		return;
	tuple = fetch_by_oid(RelationRelationId, ClassOidIndexId,
						 Anum_pg_class_oid, relid);
	if (!HeapTupleIsValid(tuple))
		return;
	form = (Form_pg_class) GETSTRUCT(tuple);
	if (form->relnamespace != get_rel_namespace(relid))
		rq_publication_schema_changed(relid, form->relnamespace);
	if (relkind == RELKIND_RELATION)
	{
		rq_topic_name_check(NameStr(form->relname), form->relnamespace);
		undo_move(relid, form);
	}
	heap_freetuple(tuple);
}

/* The library looks up types of the extension, and its schema, by their names. */
static void
refuse_other_name(const char *what, const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("%s %s of extension rocketq cannot be renamed or moved",
					what, name),
			 errdetail("The library of the extension looks it up by its name.")));
}

/* ALTER TYPE ... RENAME TO or SET SCHEMA; the cache has the row as it was. */
static void
type_altered(Oid typid)
{
	HeapTuple	now = fetch_by_oid(TypeRelationId, TypeOidIndexId,
								   Anum_pg_type_oid, typid);
	HeapTuple	before = SearchSysCache1(TYPEOID, ObjectIdGetDatum(typid));

	if (HeapTupleIsValid(now) && HeapTupleIsValid(before) && !creating_extension)
	{
		Form_pg_type is = (Form_pg_type) GETSTRUCT(now);
		Form_pg_type was = (Form_pg_type) GETSTRUCT(before);

		if ((is->typnamespace != was->typnamespace ||
			 strcmp(NameStr(is->typname), NameStr(was->typname)) != 0) &&
			is_ours(TypeRelationId, typid))
			refuse_other_name("type", format_type_be_qualified(typid));
	}
	if (HeapTupleIsValid(before))
		ReleaseSysCache(before);
}

/* ALTER SCHEMA ... RENAME TO; the cache has the row as it was. */
static void
schema_altered(Oid nspid)
{
	HeapTuple	tuple = fetch_by_oid(NamespaceRelationId, NamespaceOidIndexId,
									 Anum_pg_namespace_oid, nspid);
	const char *was = get_namespace_name(nspid);
	const char *is;

	if (!HeapTupleIsValid(tuple) || was == NULL)
		return;
	is = NameStr(((Form_pg_namespace) GETSTRUCT(tuple))->nspname);
	if (strcmp(was, "rocketq") == 0 && strcmp(is, was) != 0 &&
		OidIsValid(get_extension_oid("rocketq", true)))
		refuse_other_name("schema", was);
	rq_topic_name_check_schema(is, nspid);
	heap_freetuple(tuple);
}

/* Before version 16, a rule ON SELECT turned a table into a view. */
static void
rule_created(Oid rule)
{
	HeapTuple	tuple = fetch_by_oid(RewriteRelationId, RewriteOidIndexId,
									 Anum_pg_rewrite_oid, rule);
	Form_pg_rewrite form;

	if (!HeapTupleIsValid(tuple))
		return;
	form = (Form_pg_rewrite) GETSTRUCT(tuple);
	if (form->ev_type == '0' + CMD_SELECT && rq_oid_is_topic(form->ev_class))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("topic \"%s\" cannot be turned into a view",
						get_rel_name(form->ev_class)),
				 errhint("Use CREATE VIEW.")));
	heap_freetuple(tuple);
}

/* ---- the hook ---- */

static void
object_created(Oid classId, Oid objectId, int subId)
{
	switch (classId)
	{
		case RelationRelationId:
			if (subId == 0)
				relation_created(objectId);
			else if (subId > 0)
				column_changed(objectId, subId);
			break;
		case AttrDefaultRelationId:
			forget_columns(objectId);
			rq_check_default(objectId, subId);
			break;
		case ConstraintRelationId:
			constraint_created(objectId);
			break;
		case TriggerRelationId:
			trigger_created(objectId);
			break;
		case RewriteRelationId:
			rule_created(objectId);
			break;
		case PublicationRelationId:
			rq_publication_created(objectId);
			break;
		case PublicationNamespaceRelationId:
			rq_publication_got_schema(objectId);
			break;
		case PublicationRelRelationId:
			rq_publication_got_table(objectId);
			break;
		case DatabaseRelationId:
			database_created(objectId);
			break;
		default:
			break;
	}
}

static void
object_altered(Oid classId, Oid objectId, int subId,
			   const ObjectAccessPostAlter *arg)
{
	if (classId == RelationRelationId && subId > 0)
		column_changed(objectId, subId);
	else if (classId == RelationRelationId && subId == 0)
		relation_altered(objectId);
	else if (classId == NamespaceRelationId)
		schema_altered(objectId);
	else if (classId == TypeRelationId)
		type_altered(objectId);
	else if (classId == InheritsRelationId && OidIsValid(arg->auxiliary_id))
		rq_publication_child_comes(objectId, arg->auxiliary_id);
}

static void
rocketq_object_access(ObjectAccessType access, Oid classId, Oid objectId,
					  int subId, void *arg)
{
	if (prev_object_access)
		prev_object_access(access, classId, objectId, subId, arg);
	switch (access)
	{
		case OAT_DROP:
			if (classId == RelationRelationId)
				relation_dropped(objectId, subId);
			break;
		case OAT_TRUNCATE:
			relation_truncated(objectId);
			break;
		case OAT_POST_CREATE:
			object_created(classId, objectId, subId);
			break;
		case OAT_POST_ALTER:
			object_altered(classId, objectId, subId, arg);
			break;
		default:
			break;
	}
}

void
rq_access_hook_install(void)
{
	prev_object_access = object_access_hook;
	object_access_hook = rocketq_object_access;
}
