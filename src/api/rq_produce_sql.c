/*
 * rq_produce_sql.c
 *	  SQL functions that produce messages.
 */
#include "postgres.h"

#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/lsyscache.h"

#include "api/rq_args.h"
#include "api/rq_body.h"
#include "produce/rq_produce.h"
#include "topic/rq_topic.h"
#include "value/rq_relation.h"
#include "value/rq_serializable.h"
#include "value/rq_values.h"

PG_FUNCTION_INFO_V1(rocketq_produce);
PG_FUNCTION_INFO_V1(rocketq_produce_batch);

/* Arguments of produce() and produce_batch(). */
enum
{
	ARG_TOPIC,
	ARG_BODY,
	ARG_TAG,
	ARG_KEYS,
	ARG_PROPERTIES,
	ARG_SHARDING_KEY,
	ARG_QUEUE_ID,
	ARG_TRANSACTIONAL
};

static RqTarget
get_target(FunctionCallInfo fcinfo, const char *function)
{
	RqTarget	target = {.queue_id = RQ_ANY_QUEUE, .transactional = true};

	rq_arg_not_null(fcinfo, ARG_TOPIC, "topic");
	rq_refuse_read_only(function);
	target.topic = rq_arg_topic(fcinfo, RowExclusiveLock, ACL_INSERT,
								RQ_STORAGE_CREATE);
	rq_serializable_produce_into(PG_GETARG_OID(ARG_TOPIC));
	if (!PG_ARGISNULL(ARG_QUEUE_ID))
	{
		target.queue_id = PG_GETARG_INT32(ARG_QUEUE_ID);
		rq_topic_check_queue(target.topic, target.queue_id);
	}
	if (!PG_ARGISNULL(ARG_TRANSACTIONAL))
		target.transactional = PG_GETARG_BOOL(ARG_TRANSACTIONAL);
	return target;
}

/* The parts of a message, except its body. */
static RqParts
get_parts(FunctionCallInfo fcinfo)
{
	RqParts		m;

	memset(&m, 0, sizeof(m));
	if (!PG_ARGISNULL(ARG_TAG))
		rq_set_tag(&m, PG_GETARG_DATUM(ARG_TAG));
	if (!PG_ARGISNULL(ARG_KEYS))
		rq_set_keys(&m, PG_GETARG_DATUM(ARG_KEYS));
	if (!PG_ARGISNULL(ARG_PROPERTIES))
		rq_set_properties(&m, PG_GETARG_DATUM(ARG_PROPERTIES));
	if (!PG_ARGISNULL(ARG_SHARDING_KEY))
		rq_set_sharding_key(&m, PG_GETARG_DATUM(ARG_SHARDING_KEY));
	return m;
}

Datum
rocketq_produce(PG_FUNCTION_ARGS)
{
	const RqBodyType *type = rq_body_type_of_arg(fcinfo, ARG_BODY);
	RqTarget	target = get_target(fcinfo, "rocketq.produce()");
	RqParts		m = get_parts(fcinfo);
	RqPos		id;

	if (!PG_ARGISNULL(ARG_BODY))
		rq_body_set(type, &m, PG_GETARG_DATUM(ARG_BODY));
	rq_produce(&target, &m, 1, &id, NULL);
	PG_RETURN_INT64((int64) id);
}

/* One message for each body of the array; they share all other parts. */
static RqParts *
get_batch(FunctionCallInfo fcinfo, int *count)
{
	ArrayType  *bodies;
	RqBodyType	type;
	int16		typlen;
	bool		typbyval;
	char		typalign;
	Datum	   *values;
	bool	   *nulls;
	RqParts		common = get_parts(fcinfo);
	RqParts    *batch;

	rq_arg_not_null(fcinfo, ARG_BODY, "bodies");
	bodies = PG_GETARG_ARRAYTYPE_P(ARG_BODY);
	rq_body_type(&type, ARR_ELEMTYPE(bodies), CurrentMemoryContext);
	get_typlenbyvalalign(type.type, &typlen, &typbyval, &typalign);
	deconstruct_array(bodies, type.type, typlen, typbyval, typalign,
					  &values, &nulls, count);
	batch = palloc_extended(Max(*count, 1) * sizeof(RqParts), MCXT_ALLOC_HUGE);
	for (int i = 0; i < *count; i++)
	{
		batch[i] = common;
		if (!nulls[i])
			rq_body_set(&type, &batch[i], values[i]);
	}
	return batch;
}

Datum
rocketq_produce_batch(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	RqTarget	target = get_target(fcinfo, "rocketq.produce_batch()");
	int			count;
	RqParts    *batch = get_batch(fcinfo, &count);
	RqPos	   *ids = palloc_extended(Max(count, 1) * sizeof(RqPos),
									  MCXT_ALLOC_HUGE);

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	rq_produce(&target, batch, count, ids, NULL);
	for (int i = 0; i < count; i++)
	{
		Datum		value = Int64GetDatum((int64) ids[i]);
		bool		null = false;

		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, &value, &null);
	}
	return (Datum) 0;
}
