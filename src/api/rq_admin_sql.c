/*
 * rq_admin_sql.c
 *	  SQL functions that create, alter and drop topics.
 *
 * Creating and dropping are the plain DDL statement under another name, so
 * that whatever DDL brings (ownership, event triggers, dependencies) comes
 * with them.
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/namespace.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/varlena.h"

#include "am/rq_label.h"
#include "am/rq_relation.h"
#include "api/rq_args.h"

PG_FUNCTION_INFO_V1(rocketq_create_topic);
PG_FUNCTION_INFO_V1(rocketq_alter_topic);
PG_FUNCTION_INFO_V1(rocketq_drop_topic);
PG_FUNCTION_INFO_V1(rocketq_check_preload);

static void
run_utility(const char *sql)
{
	int			rc;

	SPI_connect();
	rc = SPI_execute(sql, false, 0);
	if (rc != SPI_OK_UTILITY)
		elog(ERROR, "SPI_execute failed: %s", SPI_result_code_string(rc));
	SPI_finish();
}

Datum
rocketq_create_topic(PG_FUNCTION_ARGS)
{
	char	   *name = rq_arg_text(fcinfo, 0, "topic name");
	int32		queues = rq_arg_int32(fcinfo, 1, "queues");
	RangeVar   *rv;
	char	   *quoted;
	int			nest;

	rq_require_preload();
	rq_refuse_read_only("rocketq.create_topic()");
	rq_check_nqueues(queues);
	rv = makeRangeVarFromNameList(textToQualifiedNameList(cstring_to_text(name)));
	quoted = quote_qualified_identifier(rv->schemaname, rv->relname);

	nest = NewGUCNestLevel();
	(void) set_config_option("rocketq.default_queues", psprintf("%d", queues),
							 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
							 true, 0, false);
	run_utility(psprintf("CREATE TABLE %s (LIKE rocketq.message) USING rocketq",
						 quoted));
	AtEOXact_GUC(true, nest);

	PG_RETURN_OID(get_relname_relid(rv->relname,
									RangeVarGetCreationNamespace(rv)));
}

Datum
rocketq_alter_topic(PG_FUNCTION_ARGS)
{
	int32		queues;
	Relation	rel;

	rq_arg_not_null(fcinfo, 0, "topic");
	queues = rq_arg_int32(fcinfo, 1, "queues");
	rq_refuse_read_only("rocketq.alter_topic()");
	rq_check_nqueues(queues);
	rel = rq_relation_open(PG_GETARG_OID(0), AccessExclusiveLock, ACL_NO_RIGHTS);
	rq_label_resize(rel, (uint32) queues);
	table_close(rel, NoLock);
	PG_RETURN_VOID();
}

Datum
rocketq_drop_topic(PG_FUNCTION_ARGS)
{
	Relation	rel;
	char	   *quoted;

	rq_arg_not_null(fcinfo, 0, "topic");
	rq_refuse_read_only("rocketq.drop_topic()");
	rel = rq_relation_open(PG_GETARG_OID(0), AccessExclusiveLock, ACL_NO_RIGHTS);
	quoted = quote_qualified_identifier(get_namespace_name(RelationGetNamespace(rel)),
										RelationGetRelationName(rel));
	table_close(rel, NoLock);
	run_utility(psprintf("DROP TABLE %s", quoted));
	PG_RETURN_VOID();
}

/* Called by the extension's script. */
Datum
rocketq_check_preload(PG_FUNCTION_ARGS)
{
	rq_require_preload();
	PG_RETURN_VOID();
}
