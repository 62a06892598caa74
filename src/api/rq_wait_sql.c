/*
 * rq_wait_sql.c
 *	  CALL rocketq.wait_for_messages(): wait outside any transaction that others
 *	  could notice.
 *
 * The transaction that looked up topic and group is committed first, as COMMIT
 * in a procedure does.  The one that waits takes no snapshot, so it holds back
 * no vacuum, has no transaction id and no lock.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "utils/snapmgr.h"

#include "api/rq_args.h"
#include "queue/rq_topic.h"

PG_FUNCTION_INFO_V1(rocketq_wait_for_messages);

/* The part of the call that needs a snapshot is over: end its transaction. */
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
				 errdetail("It waits without holding a transaction open."),
				 errhint("CALL it on its own, or wait in a transaction with rocketq.consume(..., wait => ...).")));
}

Datum
rocketq_wait_for_messages(PG_FUNCTION_ARGS)
{
	char	   *name = rq_arg_text(fcinfo, 1, "consumer_group");
	int64		timeout = rq_arg_wait(fcinfo, 2, "timeout");
	RqFilter   *filter = rq_arg_filter(fcinfo, 3);
	RqGroupRef	group = {0};
	TupleDesc	desc;
	uint32		topic;
	uint64		incarnation;
	Datum		available;
	bool		is_null = false;

	check_top_level(fcinfo);
	rq_refuse_read_only("rocketq.wait_for_messages()");
	topic = rq_arg_topic(fcinfo, AccessShareLock, ACL_SELECT, true);
	incarnation = rq_topics[topic].incarnation;
	if (!rq_find_group(topic, name, true, &group))
		group.id = 0;
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "rocketq.wait_for_messages() must return a row");
	desc = BlessTupleDesc(CreateTupleDescCopy(desc));

	leave_transaction();
	available = BoolGetDatum(rq_wait_for_messages(topic, incarnation, group,
												  filter, timeout));
	SPI_finish();
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, &available,
													  &is_null)));
}
