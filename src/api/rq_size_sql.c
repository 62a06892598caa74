/*
 * rq_size_sql.c
 *	  rocketq.topic_size(), the equivalent of pg_table_size() for topics.
 */
#include "postgres.h"

#include "access/table.h"
#include "fmgr.h"

#include "format/rq_queuefmt.h"
#include "queue/rq_queue.h"
#include "topic/rq_topic.h"
#include "value/rq_relation.h"

PG_FUNCTION_INFO_V1(rocketq_topic_size);

/* Bytes of its messages in the log and of their entries in its queues. */
static uint64
topic_bytes(uint32 topic)
{
	uint64		bytes = 0;

	for (uint32 i = 0; i < rq_topic_nqueues(topic); i++)
	{
		RqQueueCounts c = rq_queue_counts(rq_topic_queue(topic, i));

		bytes += (c.end - c.start) * sizeof(RqEntry);
		if (c.bytes_end > c.bytes_start)
			bytes += c.bytes_end - c.bytes_start;
	}
	return bytes;
}

Datum
rocketq_topic_size(PG_FUNCTION_ARGS)
{
	Relation	rel = rq_relation_open_to_measure(PG_GETARG_OID(0));
	uint32		topic;
	uint64		bytes;

	if (rel == NULL)
		PG_RETURN_NULL();
	topic = rq_relation_topic(rel, RQ_STORAGE_OPTIONAL);
	bytes = topic == RQ_NO_SLOT ? 0 : topic_bytes(topic);
	table_close(rel, AccessShareLock);
	PG_RETURN_INT64((int64) bytes);
}
