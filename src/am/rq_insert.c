/*
 * rq_insert.c
 *	  INSERT and COPY into a topic: rows become messages.
 *
 * A producer gives the body, and may give tag, keys, sharding key, properties
 * and the queue.  The other columns are known only when the message is in its
 * queue, so a value for one of them is a mistake, with one exception: a row
 * that has all of them is the copy of a message, as COPY, pg_dump and SELECT *
 * make it.  It is produced again: what a producer gives and the time of birth
 * are taken over, the rest is new.
 *
 * A copy keeps its queue, or, where there are not as many, gets it modulo their
 * number, which keeps the order within each queue of the original.  But if the
 * original had another number of queues, a copy with a sharding key goes where
 * that key's messages go from now on.
 */
#include "postgres.h"

#include "access/xact.h"
#include "executor/tuptable.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "am/rq_insert.h"
#include "am/rq_slot.h"
#include "am/rq_statement.h"
#include "am/rq_tid.h"
#include "queue/rq_produce.h"
#include "queue/rq_topic.h"
#include "value/rq_columns.h"
#include "value/rq_relation.h"
#include "value/rq_serializable.h"
#include "value/rq_values.h"

/* Is the row a whole message?  Throws if it is one in part only. */
static bool
is_copy(const bool *nulls)
{
	int			given = 0;
	RqColumn	one = RQ_COL_MESSAGE_ID;

	for (int i = 0; i < RQ_NCOMPUTED; i++)
	{
		if (nulls[rq_computed[i]])
			continue;
		if (given++ == 0)
			one = rq_computed[i];
	}
	if (given == RQ_NCOMPUTED && !nulls[RQ_COL_QUEUE_ID])
		return true;
	if (given > 0)
		ereport(ERROR,
				(errcode(ERRCODE_GENERATED_ALWAYS),
				 errmsg("cannot insert a non-DEFAULT value into column \"%s\"",
						rq_column_name(one)),
				 errdetail("rocketq sets this column when the message enters its queue."),
				 errhint("Omit the column.  Only a row with all columns of a message is accepted as a copy of that message.")));
	return false;
}

/* The parts of a message and the queue that is asked for, from a row. */
static void
row_to_message(TupleTableSlot *slot, Relation rel, uint32 topic, RqParts *m,
			   int64 *queue_id)
{
	Datum	   *values = slot->tts_values;
	bool	   *nulls = slot->tts_isnull;

	slot_getallattrs(slot);
	memset(m, 0, sizeof(*m));
	m->is_copy = is_copy(nulls);
	if (m->is_copy)
		m->born_at = DatumGetTimestampTz(values[RQ_COL_BORN_AT]);
	if (!nulls[RQ_COL_TAG])
		rq_set_tag(m, values[RQ_COL_TAG]);
	if (!nulls[RQ_COL_KEYS])
		rq_set_keys(m, values[RQ_COL_KEYS]);
	if (!nulls[RQ_COL_SHARDING_KEY])
		rq_set_sharding_key(m, values[RQ_COL_SHARDING_KEY]);
	if (!nulls[RQ_COL_PROPERTIES])
		rq_set_properties(m, values[RQ_COL_PROPERTIES]);
	if (!nulls[RQ_COL_BODY])
		rq_set_body(m, values[RQ_COL_BODY]);

	*queue_id = RQ_ANY_QUEUE;
	if (nulls[RQ_COL_QUEUE_ID])
		return;
	*queue_id = DatumGetInt32(values[RQ_COL_QUEUE_ID]);
	if (m->is_copy && *queue_id >= 0)
	{
		uint32		nqueues = rq_topic_nqueues(topic);

		if (m->sharding_key != NULL &&
			(*queue_id >= nqueues || !rq_copies_keep_queues(rel)))
		{
			*queue_id = RQ_ANY_QUEUE;
			return;
		}
		*queue_id %= nqueues;
	}
	/* Here, because a negative one must not be taken for "any queue". */
	rq_topic_check_queue(topic, *queue_id);
}

/*
 * Let RETURNING and transition tables see what is known by now.  The row gets
 * a ctid that says that its offset is not.
 */
static void
set_result(Relation rel, TupleTableSlot *slot, const RqParts *m, RqPos id,
		   uint32 queue_id)
{
	slot->tts_tableOid = RelationGetRelid(rel);
	ItemPointerSet(&slot->tts_tid, RQ_TID_UNKNOWN, queue_id + 1);
	if (slot->tts_ops != rq_slot_ops() && !TTS_IS_VIRTUAL(slot))
		return;
	for (int i = 0; i < RQ_NCOMPUTED; i++)
		slot->tts_isnull[rq_computed[i]] = true;
	slot->tts_values[RQ_COL_QUEUE_ID] = Int32GetDatum((int32) queue_id);
	slot->tts_isnull[RQ_COL_QUEUE_ID] = false;
	slot->tts_values[RQ_COL_MESSAGE_ID] = Int64GetDatum((int64) id);
	slot->tts_isnull[RQ_COL_MESSAGE_ID] = false;
	slot->tts_values[RQ_COL_BORN_AT] =
		TimestampTzGetDatum(m->is_copy ? m->born_at :
							GetCurrentStatementStartTimestamp());
	slot->tts_isnull[RQ_COL_BORN_AT] = false;
}

/*
 * Memory for the conversion of rows.  The executor inserts in the query's own
 * context, where what a row needs would pile up until the query ends.
 */
static MemoryContext
row_context(void)
{
	static MemoryContext cxt = NULL;

	if (cxt == NULL)
		cxt = AllocSetContextCreate(TopMemoryContext, "rocketq insert",
									ALLOCSET_DEFAULT_SIZES);
	MemoryContextReset(cxt);	/* an error may have left something */
	return cxt;
}

void
rq_multi_insert(Relation rel, TupleTableSlot **slots, int nslots,
				CommandId cid, int options,
				struct BulkInsertStateData *bistate)
{
	MemoryContext cxt;
	MemoryContext old;
	RqTarget	target = {.queue_id = RQ_ANY_QUEUE, .transactional = true};
	RqParts    *messages;
	int64	   *asked;
	RqPos	   *ids;
	uint32	   *queues;

	rq_require_preload();
	rq_serializable_produce(rel);
	target.topic = rq_relation_topic(rel, RQ_STORAGE_CREATE);
	cxt = row_context();
	old = MemoryContextSwitchTo(cxt);
	messages = palloc(nslots * sizeof(RqParts));
	asked = palloc(nslots * sizeof(int64));
	ids = palloc(nslots * sizeof(RqPos));
	queues = palloc(nslots * sizeof(uint32));
	for (int i = 0; i < nslots; i++)
		row_to_message(slots[i], rel, target.topic, &messages[i], &asked[i]);
	target.queue_ids = asked;
	rq_produce(&target, messages, nslots, ids, queues);
	MemoryContextSwitchTo(old);
	for (int i = 0; i < nslots; i++)
		set_result(rel, slots[i], &messages[i], ids[i], queues[i]);
	MemoryContextReset(cxt);
}

void
rq_tuple_insert(Relation rel, TupleTableSlot *slot, CommandId cid,
				int options, struct BulkInsertStateData *bistate)
{
	rq_multi_insert(rel, &slot, 1, cid, options, bistate);
}
