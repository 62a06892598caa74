/*
 * rq_consume_sql.c
 *	  SQL functions that read messages and move consumer groups.
 */
#include "postgres.h"

#include "access/xact.h"
#include "executor/execdesc.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/execnodes.h"
#include "tcop/pquery.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "api/rq_args.h"
#include "consume/rq_consumer.h"
#include "consume/rq_position.h"
#include "topic/rq_topic.h"
#include "value/rq_lookup.h"
#include "value/rq_relation.h"
#include "value/rq_rows.h"
#include "value/rq_tuple.h"
#include "value/rq_values.h"

PG_FUNCTION_INFO_V1(rocketq_consume);
PG_FUNCTION_INFO_V1(rocketq_pull);
PG_FUNCTION_INFO_V1(rocketq_commit_consumed);
PG_FUNCTION_INFO_V1(rocketq_commit_offset);
PG_FUNCTION_INFO_V1(rocketq_create_group);
PG_FUNCTION_INFO_V1(rocketq_create_group_time);
PG_FUNCTION_INFO_V1(rocketq_drop_group);
PG_FUNCTION_INFO_V1(rocketq_reset_group);
PG_FUNCTION_INFO_V1(rocketq_reset_group_time);
PG_FUNCTION_INFO_V1(rocketq_reset_offset);
PG_FUNCTION_INFO_V1(rocketq_committed_offset);
PG_FUNCTION_INFO_V1(rocketq_min_offset);
PG_FUNCTION_INFO_V1(rocketq_max_offset);
PG_FUNCTION_INFO_V1(rocketq_offset_at);
PG_FUNCTION_INFO_V1(rocketq_text);
PG_FUNCTION_INFO_V1(rocketq_json);

/* Collects messages into the result of a set-returning function. */
typedef struct Rows
{
	Tuplestorestate *store;
	TupleTableSlot *slot;
	MemoryContext cxt;			/* reset after each message */
} Rows;

/* As InitMaterializedSRF(), but with rows in memory that need not be the query's. */
static void
begin_rows(FunctionCallInfo fcinfo)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	MemoryContext query;
	MemoryContext old;

	InitMaterializedSRF(fcinfo, 0);
	query = rsinfo->econtext->ecxt_per_query_memory;
	old = MemoryContextSwitchTo(rq_rows_memory(query));
	if (CurrentMemoryContext != query)
	{
		tuplestore_end(rsinfo->setResult);
		rsinfo->setResult =
			tuplestore_begin_heap((rsinfo->allowedModes & SFRM_Materialize_Random) != 0,
								  false, work_mem);
	}
	MemoryContextSwitchTo(old);
}

static Rows
begin_result(FunctionCallInfo fcinfo)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Rows		r;

	begin_rows(fcinfo);
	r.store = rsinfo->setResult;
	r.slot = rq_message_slot(rsinfo->setDesc);
	r.cxt = AllocSetContextCreate(CurrentMemoryContext, "rocketq message",
								  ALLOCSET_DEFAULT_SIZES);
	return r;
}

static void
put_message(void *arg, const RqMessage *m)
{
	Rows	   *r = arg;
	MemoryContext old = MemoryContextSwitchTo(r->cxt);

	rq_message_slot_set(r->slot, m);
	tuplestore_puttupleslot(r->store, r->slot);
	MemoryContextSwitchTo(old);
	MemoryContextReset(r->cxt);
}

/*
 * Look up the topic of a call that can wait for messages; "hold" is what it needs
 * to release its lock while it waits.
 */
static uint32
get_topic_to_wait(FunctionCallInfo fcinfo, int64 wait_ms, RqStorageUse use,
				  RqRelationHold *hold)
{
	uint32		topic;

	rq_arg_not_null(fcinfo, 0, "topic");
	if (wait_ms > 0)
		*hold = rq_relation_hold(PG_GETARG_OID(0));
	topic = rq_arg_topic(fcinfo, AccessShareLock, ACL_SELECT, use);
	if (wait_ms > 0)
		rq_relation_held(hold, topic);
	return topic;
}

#define WAIT_LOCK(hold) { \
	.release = rq_relation_release, \
	.acquire = rq_relation_acquire, \
	.is_in_the_way = rq_relation_is_in_the_way, \
	.arg = (hold)}

Datum
rocketq_consume(PG_FUNCTION_ARGS)
{
	RqConsumeRequest req;
	RqRelationHold hold;
	const RqWaitLock lock = WAIT_LOCK(&hold);
	Rows		result;

	rq_refuse_read_only("rocketq.consume()");
	req.group = rq_arg_text(fcinfo, 1, "consumer_group");
	req.max = rq_arg_max_messages(fcinfo, 2);
	req.filter = rq_arg_filter(fcinfo, 3);
	req.auto_commit = !PG_ARGISNULL(4) && PG_GETARG_BOOL(4);
	req.wait_ms = rq_arg_wait(fcinfo, 5, "wait");
	req.topic = get_topic_to_wait(fcinfo, req.wait_ms, RQ_STORAGE_CREATE, &hold);
	req.lock = &lock;

	result = begin_result(fcinfo);
	req.sink = put_message;
	req.sink_arg = &result;
	rq_consume(&req);
	return (Datum) 0;
}

Datum
rocketq_pull(PG_FUNCTION_ARGS)
{
	int64		from = rq_arg_int64(fcinfo, 2, "from_offset");
	RqPullRequest req;
	RqRelationHold hold;
	const RqWaitLock lock = WAIT_LOCK(&hold);
	Rows		result;

	req.max = rq_arg_max_messages(fcinfo, 3);
	req.filter = rq_arg_filter(fcinfo, 4);
	req.wait_ms = rq_arg_wait(fcinfo, 5, "wait");
	if (from < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"from_offset\" must not be negative")));
	req.from = (RqOff) from;
	req.topic = get_topic_to_wait(fcinfo, req.wait_ms, RQ_STORAGE_OPTIONAL,
								  &hold);
	req.lock = &lock;
	req.queue_id = rq_arg_queue(fcinfo, 1, req.topic);
	result = begin_result(fcinfo);
	req.sink = put_message;
	req.sink_arg = &result;
	rq_pull(&req);
	return (Datum) 0;
}

/* The topic and the group's name, for a function that changes a group. */
static uint32
get_group_args(FunctionCallInfo fcinfo, const char *function, AclMode acl,
			   char **group)
{
	rq_refuse_read_only(function);
	*group = rq_arg_text(fcinfo, 1, "consumer_group");
	return rq_arg_topic(fcinfo, AccessShareLock, acl, RQ_STORAGE_CREATE);
}

/*
 * Is the function called by the query that the client sent, rather than by one
 * within a function or DO block?  The executor looks up functions in the memory
 * context of their query.
 */
static bool
is_of_clients_statement(FunctionCallInfo fcinfo)
{
	const QueryDesc *query = ActivePortal ? ActivePortal->queryDesc : NULL;

	return query != NULL && query->estate != NULL &&
		fcinfo->flinfo->fn_mcxt == query->estate->es_query_cxt;
}

Datum
rocketq_commit_consumed(PG_FUNCTION_ARGS)
{
	char	   *group;
	uint32		topic = get_group_args(fcinfo, "rocketq.commit_offset()",
									   ACL_SELECT, &group);
	int			count = rq_position_commit_all(topic, group);

	if (count == 0 && !rq_has_consumed() && is_of_clients_statement(fcinfo) &&
		!IsInTransactionBlock(true))
		ereport(WARNING,
				(errcode(ERRCODE_NO_ACTIVE_SQL_TRANSACTION),
				 errmsg("rocketq.commit_offset() had nothing to commit outside a transaction block"),
				 errdetail("The function commits what its own transaction has consumed."),
				 errhint("Use BEGIN before rocketq.consume() and COMMIT after rocketq.commit_offset(), or consume with auto_commit => true.")));
	PG_RETURN_INT32(count);
}

Datum
rocketq_commit_offset(PG_FUNCTION_ARGS)
{
	char	   *group;
	uint32		topic = get_group_args(fcinfo, "rocketq.commit_offset()",
									   ACL_SELECT, &group);
	uint32		queue_id = rq_arg_queue(fcinfo, 2, topic);

	rq_position_commit(topic, group, queue_id,
					   rq_arg_int64(fcinfo, 3, "next_offset"));
	PG_RETURN_VOID();
}

Datum
rocketq_create_group(PG_FUNCTION_ARGS)
{
	char	   *group;
	uint32		topic = get_group_args(fcinfo, "rocketq.create_group()",
									   ACL_NO_RIGHTS, &group);
	RqStart		start = rq_arg_start(fcinfo, 2);

	rq_consumer_create_group(topic, group, &start);
	PG_RETURN_VOID();
}

Datum
rocketq_create_group_time(PG_FUNCTION_ARGS)
{
	char	   *group;
	uint32		topic = get_group_args(fcinfo, "rocketq.create_group()",
									   ACL_NO_RIGHTS, &group);
	RqStart		start = rq_arg_start_time(fcinfo, 2);

	rq_consumer_create_group(topic, group, &start);
	PG_RETURN_VOID();
}

Datum
rocketq_drop_group(PG_FUNCTION_ARGS)
{
	char	   *group;
	uint32		topic = get_group_args(fcinfo, "rocketq.drop_group()",
									   ACL_NO_RIGHTS, &group);

	rq_consumer_drop_group(topic, group);
	PG_RETURN_VOID();
}

Datum
rocketq_reset_group(PG_FUNCTION_ARGS)
{
	char	   *group;
	uint32		topic = get_group_args(fcinfo, "rocketq.reset_offset()",
									   ACL_NO_RIGHTS, &group);
	RqStart		start = rq_arg_start(fcinfo, 2);

	rq_position_reset_all(topic, group, &start);
	PG_RETURN_VOID();
}

Datum
rocketq_reset_group_time(PG_FUNCTION_ARGS)
{
	char	   *group;
	uint32		topic = get_group_args(fcinfo, "rocketq.reset_offset()",
									   ACL_NO_RIGHTS, &group);
	RqStart		start = rq_arg_start_time(fcinfo, 2);

	rq_position_reset_all(topic, group, &start);
	PG_RETURN_VOID();
}

Datum
rocketq_reset_offset(PG_FUNCTION_ARGS)
{
	char	   *group;
	uint32		topic = get_group_args(fcinfo, "rocketq.reset_offset()",
									   ACL_NO_RIGHTS, &group);
	uint32		queue_id = rq_arg_queue(fcinfo, 2, topic);

	rq_position_reset(topic, group, queue_id,
					  rq_arg_int64(fcinfo, 3, "next_offset"));
	PG_RETURN_VOID();
}

/* ---- looking up offsets ---- */

Datum
rocketq_committed_offset(PG_FUNCTION_ARGS)
{
	char	   *group = rq_arg_text(fcinfo, 1, "consumer_group");
	uint32		topic = rq_arg_topic(fcinfo, AccessShareLock, ACL_SELECT, RQ_STORAGE_OPTIONAL);
	uint32		queue_id = rq_arg_queue(fcinfo, 2, topic);

	PG_RETURN_INT64((int64) rq_position_committed(topic, group, queue_id));
}

static Datum
queue_bound(FunctionCallInfo fcinfo, RqStart start)
{
	uint32		topic = rq_arg_topic(fcinfo, AccessShareLock, ACL_SELECT, RQ_STORAGE_OPTIONAL);
	uint32		queue_id = rq_arg_queue(fcinfo, 1, topic);

	PG_RETURN_INT64((int64) rq_consumer_start(rq_topic_queue(topic, queue_id),
											  &start));
}

Datum
rocketq_min_offset(PG_FUNCTION_ARGS)
{
	RqStart		start = {.kind = RQ_START_FIRST};

	return queue_bound(fcinfo, start);
}

Datum
rocketq_max_offset(PG_FUNCTION_ARGS)
{
	RqStart		start = {.kind = RQ_START_LAST};

	return queue_bound(fcinfo, start);
}

Datum
rocketq_offset_at(PG_FUNCTION_ARGS)
{
	RqStart		start = {.kind = RQ_START_TIME};

	rq_arg_not_null(fcinfo, 2, "at_time");
	start.when = PG_GETARG_TIMESTAMPTZ(2);
	return queue_bound(fcinfo, start);
}

/* ---- bodies ---- */

Datum
rocketq_text(PG_FUNCTION_ARGS)
{
	bytea	   *body = PG_GETARG_BYTEA_PP(0);

	rq_check_text(RQ_TEXT_BODY, VARDATA_ANY(body), VARSIZE_ANY_EXHDR(body));
	PG_RETURN_TEXT_P(cstring_to_text_with_len(VARDATA_ANY(body),
											  VARSIZE_ANY_EXHDR(body)));
}

Datum
rocketq_json(PG_FUNCTION_ARGS)
{
	bytea	   *body = PG_GETARG_BYTEA_PP(0);

	rq_check_text(RQ_TEXT_BODY, VARDATA_ANY(body), VARSIZE_ANY_EXHDR(body));
	return DirectFunctionCall1(jsonb_in,
							   CStringGetDatum(text_to_cstring((text *) body)));
}
