/*
 * rq_sight.c
 *	  Which topics and groups the monitoring views show to a caller.
 *
 * PostgreSQL checks EXECUTE privilege for the functions in a view against the
 * user who runs the query, not the owner of the view.  So everyone may execute
 * the functions behind the views, which filter the rows themselves.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_class.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "utils/acl.h"

#include "api/rq_sight.h"
#include "value/rq_relation.h"

/* The relfilenodes of the topics that the current user may read. */
static HTAB *
readable_topics(void)
{
	HASHCTL		ctl = {.keysize = sizeof(Oid), .entrysize = sizeof(Oid),
	.hcxt = CurrentMemoryContext};
	HTAB	   *readable = hash_create("rocketq readable topics", 64, &ctl,
									   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	Oid			am = get_table_am_oid("rocketq", true);
	Relation	pg_class = table_open(RelationRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(pg_class, InvalidOid, false, NULL, 0, NULL);
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_class form = (Form_pg_class) GETSTRUCT(tuple);

		if (form->relam == am && OidIsValid(am) &&
			rq_may_read_all(form->oid))
			(void) hash_search(readable, &form->relfilenode, HASH_ENTER, NULL);
	}
	systable_endscan(scan);
	table_close(pg_class, AccessShareLock);
	return readable;
}

RqSight
rq_sight(void)
{
	RqSight		sight = {NULL};

	if (!has_privs_of_role(GetUserId(), ROLE_PG_MONITOR))
		sight.readable = readable_topics();
	return sight;
}

bool
rq_sees(const RqSight *sight, RqKey key)
{
	if (sight->readable == NULL)
		return true;
	return key.db == MyDatabaseId &&
		hash_search(sight->readable, &key.rel, HASH_FIND, NULL) != NULL;
}
