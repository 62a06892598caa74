/*
 * rq_admin_sql.c
 *	  SQL functions that create, alter and drop topics.
 *
 * Creating and dropping a topic run the plain DDL statement, so that all that
 * comes with DDL (ownership, event triggers, dependencies) applies.
 */
#include "postgres.h"

#include <limits.h>
#include <math.h>

#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "parser/parse_coerce.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "utils/varlena.h"

#include "api/rq_args.h"
#include "base/rq_compat.h"
#include "base/rq_guc.h"
#include "ddl/rq_label.h"
#include "topic/rq_alter.h"
#include "topic/rq_topic.h"
#include "value/rq_relation.h"
#include "value/rq_topic_label.h"

PG_FUNCTION_INFO_V1(rocketq_create_topic);
PG_FUNCTION_INFO_V1(rocketq_alter_topic);
PG_FUNCTION_INFO_V1(rocketq_drop_topic);

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

/*
 * A statement refers to the topic by name.  While it runs, others can make that
 * name refer to something else, by renaming a schema or creating one that comes
 * earlier in the search path: then throw, so that the statement is undone.
 */
RQ_NORETURN static void
refuse_swapped(const char *quoted)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_IN_USE),
			 errmsg("%s no longer refers to the topic", quoted),
			 errdetail("A schema was renamed or created concurrently."),
			 errhint("Check what the name refers to now, and call the function again.")));
}

/* The topic of that name, which this subtransaction must have created. */
static Oid
created_topic(Oid schema, const char *name, const char *quoted)
{
	Oid			relid = get_relname_relid(name, schema);
	Relation	rel;
	bool		is_ours;

	/* We hold the lock on what we have created. */
	if (!OidIsValid(relid) ||
		!CheckRelationOidLockedByMe(relid, AccessExclusiveLock, false))
		refuse_swapped(quoted);
	rel = table_open(relid, NoLock);
	is_ours = rel->rd_createSubid == GetCurrentSubTransactionId() &&
		rq_relation_is_topic(rel);
	table_close(rel, NoLock);
	if (!is_ours)
		refuse_swapped(quoted);
	return relid;
}

Datum
rocketq_create_topic(PG_FUNCTION_ARGS)
{
	char	   *name = rq_arg_text(fcinfo, 0, "name");
	int32		queues = PG_ARGISNULL(1) ? rq_default_queues : PG_GETARG_INT32(1);
	RqTopicSettings settings;
	RangeVar   *rv;
	Oid			schema;
	char	   *quoted;
	int			nest;

	rq_require_preload();
	rq_refuse_read_only("rocketq.create_topic()");
	rq_settings_init(&settings);
	settings.nqueues = queues;
	rq_check_settings(&settings, NULL);
	rv = rq_range_var(name);
	schema = RangeVarGetCreationNamespace(rv);
	quoted = quote_qualified_identifier(rv->schemaname, rv->relname);

	nest = NewGUCNestLevel();
	(void) set_config_option("rocketq.default_queues", psprintf("%d", queues),
							 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
							 true, 0, false);
	run_utility(psprintf("CREATE TABLE %s (LIKE rocketq.message) USING rocketq",
						 quoted));
	AtEOXact_GUC(true, nest);

	PG_RETURN_OID(created_topic(schema, rv->relname, quoted));
}

#define RETENTION_HINT "Use an interval, a number of seconds, -1 to keep messages forever, or \"default\" to follow rocketq.retention_time."

/* Intervals count days of 24 hours and months of 30 days. */
static int32
retention_of(const Interval *interval, const char *value)
{
	double		seconds = (double) interval->time / USECS_PER_SEC +
	(double) interval->day * SECS_PER_DAY +
	(double) interval->month * DAYS_PER_MONTH * SECS_PER_DAY;

	if (seconds < 0 || seconds > INT_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid retention time \"%s\"", value),
				 errhint(RETENTION_HINT)));
	return (int32) ceil(seconds);
}

/* A retention time as text: an interval, seconds, -1 for forever, or "default". */
static int32
parse_retention(const char *value)
{
	if (pg_strcasecmp(value, "default") == 0)
		return RQ_RETENTION_DEFAULT;
	if (strcmp(value, "-1") == 0)
		return RQ_RETENTION_FOREVER;
	return retention_of(DatumGetIntervalP(rq_parse_value(interval_in, value, RETENTION_HINT)),
						value);
}

static bool
is_number(Oid type)
{
	return type == INT2OID || type == INT4OID || type == INT8OID ||
		type == NUMERICOID || type == FLOAT4OID || type == FLOAT8OID;
}

/*
 * The argument is polymorphic (anycompatible), so that an interval, a number
 * and text are all taken, and a literal or parameter without a type is text.
 */
static int32
arg_retention(FunctionCallInfo fcinfo, int argno)
{
	Oid			type = get_fn_expr_argtype(fcinfo->flinfo, argno);
	Oid			base = OidIsValid(type) ? getBaseType(type) : TEXTOID;
	Oid			out;
	bool		varlena;
	char	   *value;

	if (base != INTERVALOID && !is_number(base) &&
		TypeCategory(base) != TYPCATEGORY_STRING)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("retention time cannot be of type %s", format_type_be(type)),
				 errhint(RETENTION_HINT)));
	getTypeOutputInfo(base, &out, &varlena);
	value = OidOutputFunctionCall(out, PG_GETARG_DATUM(argno));
	return base == INTERVALOID ? retention_of(PG_GETARG_INTERVAL_P(argno), value) :
		parse_retention(value);
}

/* Throw unless one of the arguments after the topic asks for a change. */
static void
check_changes(FunctionCallInfo fcinfo)
{
	for (int i = 1; i < PG_NARGS(); i++)
		if (!PG_ARGISNULL(i))
			return;
	ereport(ERROR,
			(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
			 errmsg("no change specified"),
			 errhint("Specify at least one setting of the topic.")));
}

Datum
rocketq_alter_topic(PG_FUNCTION_ARGS)
{
	RqTopicSettings now;
	RqTopicSettings to;
	int32		retention_s = 0;
	Relation	rel;

	rq_arg_not_null(fcinfo, 0, "topic");
	check_changes(fcinfo);
	rq_refuse_read_only("rocketq.alter_topic()");

	/* What is wrong with a value is said before anybody is waited for. */
	if (!PG_ARGISNULL(2))
		retention_s = arg_retention(fcinfo, 2);
	rel = rq_relation_open(PG_GETARG_OID(0), AccessExclusiveLock, ACL_NO_RIGHTS);
	to = now = rq_topic_settings(rq_relation_topic(rel, RQ_STORAGE_CREATE));
	if (!PG_ARGISNULL(1))
		to.nqueues = PG_GETARG_INT32(1);
	if (!PG_ARGISNULL(2))
		to.retention_s = retention_s;
	rq_check_settings(&to, &now);
	rq_label_alter(rel, &to);
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
	if (SearchSysCacheExists1(RELOID, PG_GETARG_DATUM(0)))
		refuse_swapped(quoted);
	PG_RETURN_VOID();
}
