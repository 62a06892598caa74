/*
 * rq_wait_sql.c
 *	  CALL rocketq.wait_for_messages(): wait without holding a transaction open.
 *
 * The transaction that looks up topic and group is committed before waiting, as
 * by COMMIT in a procedure.  The transaction that waits takes no snapshot, so it
 * does not hold back vacuum, and it has no transaction ID and no locks.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "portability/instr_time.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "api/rq_args.h"
#include "consume/rq_consumer.h"
#include "consume/rq_idle.h"
#include "topic/rq_topic.h"
#include "value/rq_relation.h"

PG_FUNCTION_INFO_V1(rocketq_wait_for_messages);

/* Commit the transaction that did what needs a snapshot. */
static void
leave_transaction(void)
{
	SPI_connect_ext(SPI_OPT_NONATOMIC);
	SPI_commit();
	Assert(!HaveRegisteredOrActiveSnapshot());
}

static void
check_top_level(FunctionCallInfo fcinfo)
{
	CallContext *call = (CallContext *) fcinfo->context;

	if (call == NULL || !IsA(call, CallContext) || call->atomic)
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("rocketq.wait_for_messages() cannot run inside a transaction block"),
				 errdetail("The procedure waits without holding a transaction open."),
				 errhint("Call it outside a transaction block, or wait within a transaction with rocketq.consume(..., wait => ...).")));
}

/* Look up topic and group, end that transaction, and wait. */
static RqIdleEnd
wait_once(FunctionCallInfo fcinfo, const char *name, const RqFilter *filter,
		  int64 timeout_ms)
{
	uint32		topic = rq_arg_topic(fcinfo, AccessShareLock, ACL_SELECT, RQ_STORAGE_CREATE);
	uint64		incarnation = rq_topics[topic].incarnation;
	RqGroupRef	group = {0};
	RqIdleEnd	end;

	if (!rq_consumer_find_group(topic, name, rq_consumer_hint(), &group))
		group.id = 0;
	leave_transaction();
	end = rq_wait_for_messages(topic, incarnation, group, filter, timeout_ms);
	SPI_finish();
	return end;
}

/*
 * The storage goes before the relation is seen to be gone: whoever drops it has
 * the lock until then.
 */
static void
check_still_there(FunctionCallInfo fcinfo, const char *topic)
{
	rq_relation_lock(PG_GETARG_OID(0), AccessShareLock);
	if (!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(PG_GETARG_OID(0))))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("topic \"%s\" was dropped concurrently", topic)));
}

/*
 * Wait until there is something to consume; false if the timeout expires first.
 * The topic's storage may be dropped while we wait, without any lock: by DROP,
 * which is an error, or by TRUNCATE, after which we wait for messages in the new
 * storage for the rest of the time.
 */
static bool
wait_for_messages(FunctionCallInfo fcinfo, const char *name,
				  const RqFilter *filter, int64 timeout_ms)
{
	char	   *topic;
	int64		left = timeout_ms;
	RqIdleEnd	end;
	instr_time	start;

	rq_arg_not_null(fcinfo, 0, "topic");
	topic = get_rel_name(PG_GETARG_OID(0));
	INSTR_TIME_SET_CURRENT(start);
	while ((end = wait_once(fcinfo, name, filter, left)) == RQ_IDLE_TOPIC_GONE)
	{
		instr_time	now;

		check_still_there(fcinfo, topic);
		INSTR_TIME_SET_CURRENT(now);
		INSTR_TIME_SUBTRACT(now, start);
		left = Max(timeout_ms - (int64) INSTR_TIME_GET_MILLISEC(now), 0);
	}
	return end == RQ_IDLE_MESSAGES;
}

Datum
rocketq_wait_for_messages(PG_FUNCTION_ARGS)
{
	char	   *name = rq_arg_text(fcinfo, 1, "consumer_group");
	int64		timeout = rq_arg_wait(fcinfo, 2, "timeout");
	RqFilter   *filter = rq_arg_filter(fcinfo, 3);
	TupleDesc	desc;
	Datum		available;
	bool		is_null = false;

	check_top_level(fcinfo);
	rq_refuse_read_only("rocketq.wait_for_messages()");
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "rocketq.wait_for_messages() must return a row");
	desc = BlessTupleDesc(CreateTupleDescCopy(desc));

	available = BoolGetDatum(wait_for_messages(fcinfo, name, filter, timeout));
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, &available,
													  &is_null)));
}
