/*
 * rq_args.c
 *	  Arguments of SQL functions: fetch and check.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "miscadmin.h"
#include "parser/scansup.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/varlena.h"

#include "api/rq_args.h"
#include "consume/rq_tagfilter.h"
#include "topic/rq_topic.h"
#include "value/rq_lookup.h"
#include "value/rq_relation.h"

void
rq_arg_not_null(FunctionCallInfo fcinfo, int argno, const char *name)
{
	if (PG_ARGISNULL(argno))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"%s\" must not be null", name)));
}

char *
rq_arg_text(FunctionCallInfo fcinfo, int argno, const char *name)
{
	rq_arg_not_null(fcinfo, argno, name);
	return text_to_cstring(PG_GETARG_TEXT_PP(argno));
}

int64
rq_arg_int64(FunctionCallInfo fcinfo, int argno, const char *name)
{
	rq_arg_not_null(fcinfo, argno, name);
	return PG_GETARG_INT64(argno);
}

int32
rq_arg_int32(FunctionCallInfo fcinfo, int argno, const char *name)
{
	rq_arg_not_null(fcinfo, argno, name);
	return PG_GETARG_INT32(argno);
}

/* PostgreSQL would silently truncate each part of the name. */
static void
check_name_length(const char *name)
{
	bool		quoted = false;
	int			len = 0;

	for (const char *p = name; *p != '\0'; p++)
	{
		if (*p == '"')
		{
			quoted = !quoted;
			/* The second one of a pair within quotes is part of the name. */
			if (quoted && p > name && p[-1] == '"')
				len++;
		}
		else if (*p == '.' && !quoted)
			len = 0;
		else if (quoted || !scanner_isspace(*p))
			len++;
		if (len > RQ_TOPIC_NAME_MAX)
			ereport(ERROR,
					(errcode(ERRCODE_NAME_TOO_LONG),
					 errmsg("topic name \"%s\" is too long", name),
					 errdetail("A name can have at most %d bytes.",
							   RQ_TOPIC_NAME_MAX)));
	}
}

static List *
string_list(List *names)
{
	List	   *strings = NIL;
	ListCell   *c;

	foreach(c, names)
		strings = lappend(strings, makeString(pstrdup(lfirst(c))));
	return strings;
}

RangeVar *
rq_range_var(const char *name)
{
	List	   *parts;

	check_name_length(name);
	if (!SplitIdentifierString(pstrdup(name), '.', &parts) || parts == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("invalid topic name \"%s\"", name),
				 errhint("A name that is not a plain identifier must be double-quoted, as in '\"my topic\"' or 'my_schema.\"my topic\"'.")));
	return makeRangeVarFromNameList(string_list(parts));
}

int
rq_arg_max_messages(FunctionCallInfo fcinfo, int argno)
{
	int			max = rq_arg_int32(fcinfo, argno, "max_messages");

	if (max < 1 || max > RQ_BATCH_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"max_messages\" must be between 1 and %d", RQ_BATCH_MAX)));
	return max;
}

RqFilter *
rq_arg_filter(FunctionCallInfo fcinfo, int argno)
{
	if (PG_ARGISNULL(argno))
		return rq_tagfilter_parse("*");
	return rq_tagfilter_parse(text_to_cstring(PG_GETARG_TEXT_PP(argno)));
}

int64
rq_arg_wait(FunctionCallInfo fcinfo, int argno, const char *name)
{
	Interval   *wait;
	int64		days;
	int64		ms;

	if (PG_ARGISNULL(argno))
		return 0;
	wait = PG_GETARG_INTERVAL_P(argno);
	days = (int64) wait->month * DAYS_PER_MONTH + wait->day;
	ms = days * SECS_PER_DAY * 1000 + wait->time / 1000;
	if (ms < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" must not be negative", name)));
	/* Round up what is less than a millisecond: 0 would mean not to wait. */
	return ms == 0 && wait->time > 0 ? 1 : ms;
}

/* Error context callback: the hint is about the value, not about other errors. */
static void
add_hint(void *hint)
{
	if (ERRCODE_TO_CATEGORY(geterrcode()) == ERRCODE_DATA_EXCEPTION)
		errhint("%s", (const char *) hint);
}

Datum
rq_parse_value(PGFunction input, const char *value, const char *hint)
{
	ErrorContextCallback context = {.previous = error_context_stack,
	.callback = add_hint, .arg = unconstify(char *, hint)};
	Datum		result;

	error_context_stack = &context;
	result = DirectFunctionCall3(input, CStringGetDatum(value),
								 ObjectIdGetDatum(InvalidOid),
								 Int32GetDatum(-1));
	error_context_stack = context.previous;
	return result;
}

RqStart
rq_arg_start(FunctionCallInfo fcinfo, int argno)
{
	RqStart		start = {.kind = RQ_START_FIRST};
	char	   *word = rq_arg_text(fcinfo, argno, "start_from");

	if (pg_strcasecmp(word, "first") == 0)
		return start;
	if (pg_strcasecmp(word, "last") == 0)
	{
		start.kind = RQ_START_LAST;
		return start;
	}
	start.kind = RQ_START_TIME;
	start.when = DatumGetTimestampTz(rq_parse_value(timestamptz_in, word,
													"Use 'first', 'last' or a timestamp."));
	return start;
}

RqStart
rq_arg_start_time(FunctionCallInfo fcinfo, int argno)
{
	RqStart		start = {.kind = RQ_START_TIME};

	rq_arg_not_null(fcinfo, argno, "start_from");
	start.when = PG_GETARG_TIMESTAMPTZ(argno);
	return start;
}

uint32
rq_arg_topic(FunctionCallInfo fcinfo, LOCKMODE lockmode, AclMode acl,
			 RqStorageUse use)
{
	rq_arg_not_null(fcinfo, 0, "topic");
	return rq_relation_lookup(PG_GETARG_OID(0), lockmode, acl, use);
}

void
rq_refuse_read_only(const char *function)
{
	PreventCommandIfReadOnly(function);
	PreventCommandIfParallelMode(function);
	PreventCommandDuringRecovery(function);
}

uint32
rq_arg_queue(FunctionCallInfo fcinfo, int argno, uint32 topic)
{
	int32		queue_id = rq_arg_int32(fcinfo, argno, "queue_id");

	if (topic == RQ_NO_SLOT)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("queue %d does not exist", queue_id),
				 errdetail("A topic that was copied by CREATE DATABASE, or whose store is new, has no queues until it is produced to, consumed from, or altered.")));
	rq_topic_check_queue(topic, queue_id);
	return (uint32) queue_id;
}
