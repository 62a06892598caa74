/*
 * rq_install_sql.c
 *	  Check the schema before CREATE EXTENSION creates anything.
 *
 * The script runs as a superuser.  CREATE EXTENSION creates the schema rocketq if
 * it does not exist, and otherwise uses the existing one.  Whoever owns a schema,
 * or may create objects in it, could have planted objects for the script to trip
 * over, and could later add functions that take precedence over ours in calls by
 * others.  So such a schema is refused.  An empty one that belongs to a superuser
 * is accepted: that is what restoring a dump creates and DROP EXTENSION leaves.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/fmgroids.h"
#include "utils/syscache.h"

#include "shmem/rq_shmem.h"

PG_FUNCTION_INFO_V1(rocketq_check_install);

#define SCHEMA	"rocketq"

static void
refuse_schema(const char *detail, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("cannot install extension \"rocketq\" into schema \"%s\"", SCHEMA),
			 errdetail_internal("%s", detail),
			 errhint("%s", hint)));
}

static void
check_owner(Form_pg_namespace schema)
{
	if (superuser_arg(schema->nspowner))
		return;
	refuse_schema(psprintf("The schema is owned by role \"%s\", which is not a superuser and could replace functions of the extension.",
						   GetUserNameFromId(schema->nspowner, false)),
				  "Drop or rename the schema, or make a superuser its owner after inspecting its contents.");
}

/* May anyone but superusers create objects in the schema? */
static void
check_grants(HeapTuple tuple, Form_pg_namespace schema)
{
	bool		is_null;
	Datum		datum = SysCacheGetAttr(NAMESPACEOID, tuple,
										Anum_pg_namespace_nspacl, &is_null);
	Acl		   *acl;

	if (is_null)
		return;
	acl = DatumGetAclP(datum);
	for (int i = 0; i < ACL_NUM(acl); i++)
	{
		const AclItem *item = &ACL_DAT(acl)[i];

		if ((ACLITEM_GET_PRIVS(*item) & ACL_CREATE) == 0 ||
			(item->ai_grantee != ACL_ID_PUBLIC && superuser_arg(item->ai_grantee)))
			continue;
		refuse_schema(psprintf("%s can create objects in the schema and could replace functions of the extension.",
							   item->ai_grantee == ACL_ID_PUBLIC ? "PUBLIC" :
							   psprintf("Role \"%s\"", GetUserNameFromId(item->ai_grantee, false))),
					  "Revoke CREATE on schema \"" SCHEMA "\" from all roles that are not superusers.");
	}
}

/* Throw unless only the extension and the calling function depend on the schema. */
static void
check_empty(Oid schema, Oid caller)
{
	Relation	depend = table_open(DependRelationId, AccessShareLock);
	ScanKeyData key[2];
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(NamespaceRelationId));
	ScanKeyInit(&key[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(schema));
	scan = systable_beginscan(depend, DependReferenceIndexId, true, NULL, 2, key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend d = (Form_pg_depend) GETSTRUCT(tuple);
		ObjectAddress object = {d->classid, d->objid, d->objsubid};

		if (d->classid == ExtensionRelationId ||
			(d->classid == ProcedureRelationId && d->objid == caller))
			continue;
		refuse_schema(psprintf("The schema is not empty: it contains %s.",
							   getObjectDescription(&object, false)),
					  "Drop the objects in the schema, or move them to another schema.");
	}
	systable_endscan(scan);
	table_close(depend, AccessShareLock);
}

/* Called by the extension's script before anything else. */
Datum
rocketq_check_install(PG_FUNCTION_ARGS)
{
	Oid			schema = get_namespace_oid(SCHEMA, false);
	HeapTuple	tuple = SearchSysCache1(NAMESPACEOID, ObjectIdGetDatum(schema));

	rq_require_preload();
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for schema %u", schema);
	check_owner((Form_pg_namespace) GETSTRUCT(tuple));
	check_grants(tuple, (Form_pg_namespace) GETSTRUCT(tuple));
	ReleaseSysCache(tuple);
	check_empty(schema, fcinfo->flinfo->fn_oid);
	PG_RETURN_VOID();
}
