/*
 * rq_publication.c
 *	  Keep topics out of publications, which do not replicate messages.
 *
 * Logical replication decodes changes of heaps; a topic in a publication would
 * silently stay empty on the subscriber.  So a publication that names a topic,
 * or a partitioned table that has one, is refused.  One for all tables, or for a
 * schema, covers topics only incidentally: it is accepted, with a warning, and
 * so is a topic that it comes to cover later.
 *
 * These functions are called by the object access hook, when ordinary lookups
 * cannot see the new catalog row yet.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_publication.h"
#include "catalog/pg_publication_namespace.h"
#include "catalog/pg_publication_rel.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

#include "ddl/rq_publication.h"
#include "value/rq_relation.h"

#define HINT_NOT_PUBLISHED \
	"Exclude the topic.  To replicate its messages, consume them and produce them elsewhere."

/* ---- the topics in question ---- */

/* The topics among the relation and its partitions. */
static List *
topics_of(Oid relid)
{
	List	   *members;
	List	   *topics = NIL;
	ListCell   *cell;

	if (get_rel_relkind(relid) == RELKIND_PARTITIONED_TABLE)
		members = find_all_inheritors(relid, NoLock, NULL);
	else
		members = list_make1_oid(relid);
	foreach(cell, members)
		if (rq_oid_is_topic(lfirst_oid(cell)))
		topics = lappend_oid(topics, lfirst_oid(cell));
	return topics;
}

List *
rq_topics_in(Oid nspid)
{
	Relation	rel = table_open(RelationRelationId, AccessShareLock);
	SysScanDesc scan;
	ScanKeyData key;
	HeapTuple	tuple;
	List	   *topics = NIL;

	ScanKeyInit(&key, Anum_pg_class_relnamespace, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(nspid));
	scan = systable_beginscan(rel, InvalidOid, false, NULL,
							  OidIsValid(nspid) ? 1 : 0, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_class form = (Form_pg_class) GETSTRUCT(tuple);

		if (form->relkind == RELKIND_RELATION ||
			form->relkind == RELKIND_PARTITIONED_TABLE)
			topics = list_concat_unique_oid(topics, topics_of(form->oid));
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return topics;
}

/* ---- publications that come to cover topics ---- */

/*
 * The OIDs in "column" of those rows of a catalog that have "oid" in
 * "key_column", including rows written by the current command.
 */
static List *
member_oids(Oid catalog, Oid index, AttrNumber key_column, Oid oid,
			AttrNumber column)
{
	Relation	rel = table_open(catalog, AccessShareLock);
	SysScanDesc scan;
	ScanKeyData key;
	HeapTuple	tuple;
	List	   *oids = NIL;

	ScanKeyInit(&key, key_column, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(oid));
	scan = systable_beginscan(rel, index, OidIsValid(index), SnapshotSelf,
							  1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool		isnull;
		Datum		value = heap_getattr(tuple, column, RelationGetDescr(rel),
										 &isnull);

		oids = lappend_oid(oids, DatumGetObjectId(value));
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return oids;
}

static void
check_tables(const List *tables)
{
	ListCell   *cell;

	foreach(cell, tables)
	{
		Oid			relid = lfirst_oid(cell);
		List	   *topics = topics_of(relid);

		if (topics != NIL)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("topic \"%s\" cannot be published",
							get_rel_name(linitial_oid(topics))),
					 relid == linitial_oid(topics) ?
					 errdetail("Logical replication does not carry messages.") :
					 errdetail("The topic is a partition of \"%s\".", get_rel_name(relid)),
					 errhint(HINT_NOT_PUBLISHED)));
	}
}

static List *
topics_in_schemas(const List *schemas)
{
	List	   *topics = NIL;
	ListCell   *cell;

	foreach(cell, schemas)
		topics = list_concat_unique_oid(topics, rq_topics_in(lfirst_oid(cell)));
	return topics;
}

static void
warn_of_topics(const char *publication, const List *topics)
{
	int			n = list_length(topics);

	if (n == 0)
		return;
	ereport(WARNING,
			(errmsg("publication \"%s\" does not replicate topics",
					publication),
			 errdetail_plural("The publication covers %d topic, \"%s\".",
							  "The publication covers %d topics, including \"%s\".",
							  n, n, get_rel_name(linitial_oid(topics))),
			 errhint(HINT_NOT_PUBLISHED)));
}

/* The members of a new publication are not reported to the hook one by one. */
void
rq_publication_created(Oid pub)
{
	Publication *publication = GetPublication(pub);
	List	   *topics;

	if (publication->alltables)
		topics = rq_topics_in(InvalidOid);
	else
	{
		check_tables(member_oids(PublicationRelRelationId,
								 PublicationRelPrpubidIndexId,
								 Anum_pg_publication_rel_prpubid, pub,
								 Anum_pg_publication_rel_prrelid));
		topics = topics_in_schemas(member_oids(PublicationNamespaceRelationId,
											   InvalidOid,
											   Anum_pg_publication_namespace_pnpubid, pub,
											   Anum_pg_publication_namespace_pnnspid));
	}
	warn_of_topics(publication->name, topics);
}

void
rq_publication_got_table(Oid member)
{
	check_tables(member_oids(PublicationRelRelationId,
							 PublicationRelObjectIndexId,
							 Anum_pg_publication_rel_oid, member,
							 Anum_pg_publication_rel_prrelid));
}

void
rq_publication_got_schema(Oid member)
{
	List	   *pubs = member_oids(PublicationNamespaceRelationId,
								   PublicationNamespaceObjectIndexId,
								   Anum_pg_publication_namespace_oid, member,
								   Anum_pg_publication_namespace_pnpubid);
	List	   *schemas = member_oids(PublicationNamespaceRelationId,
									  PublicationNamespaceObjectIndexId,
									  Anum_pg_publication_namespace_oid, member,
									  Anum_pg_publication_namespace_pnnspid);

	if (pubs != NIL)
		warn_of_topics(get_publication_name(linitial_oid(pubs), false),
					   topics_in_schemas(schemas));
}

/* ---- topics that come to be covered ---- */

static void
warn_of_publications(const char *topic, List *pubs)
{
	ListCell   *cell;

	foreach(cell, pubs)
		ereport(WARNING,
				(errmsg("topic \"%s\" is not replicated by publication \"%s\"",
						topic, get_publication_name(lfirst_oid(cell), false)),
				 errdetail("The publication covers the topic, but logical replication does not carry messages."),
				 errhint("To replicate its messages, consume them and produce them elsewhere.")));
}

void
rq_publication_topic_created(const char *topic, Oid nspid)
{
	warn_of_publications(topic, list_concat_unique_oid(GetAllTablesPublications(),
													   GetSchemaPublications(nspid)));
}

void
rq_publication_schema_changed(Oid relid, Oid new_nspid)
{
	List	   *pubs = GetSchemaPublications(new_nspid);
	ListCell   *cell;

	if (pubs == NIL)
		return;
	foreach(cell, topics_of(relid))
		warn_of_publications(get_rel_name(lfirst_oid(cell)), pubs);
}

/*
 * A topic is becoming a descendant of this table.  Publications of the topic's own
 * schema cover it already, and were warned about then.
 */
static void
check_ancestor(Oid topic, Oid ancestor)
{
	List	   *pubs = GetRelationPublications(ancestor);

	if (pubs != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("topic \"%s\" cannot be a partition of a published table",
						get_rel_name(topic)),
				 errdetail("Table \"%s\" is in publication \"%s\", and logical replication does not carry messages.",
						   get_rel_name(ancestor),
						   get_publication_name(linitial_oid(pubs), false)),
				 errhint("Remove the table from the publication, and add its partitions that are not topics.")));
	pubs = list_difference_oid(GetSchemaPublications(get_rel_namespace(ancestor)),
							   GetSchemaPublications(get_rel_namespace(topic)));
	warn_of_publications(get_rel_name(topic), pubs);
}

void
rq_publication_child_comes(Oid child, Oid parent)
{
	List	   *topics;
	List	   *ancestors;
	ListCell   *topic;
	ListCell   *ancestor;

	if (get_rel_relkind(parent) != RELKIND_PARTITIONED_TABLE)
		return;
	topics = topics_of(child);
	if (topics == NIL)
		return;
	ancestors = lcons_oid(parent, get_partition_ancestors(parent));
	foreach(topic, topics)
		foreach(ancestor, ancestors)
		check_ancestor(lfirst_oid(topic), lfirst_oid(ancestor));
}
