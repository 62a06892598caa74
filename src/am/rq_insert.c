/*
 * rq_insert.c
 *	  INSERT and COPY into a topic: rows become messages.
 *
 * A producer supplies the body, and optionally tag, keys, sharding key, properties
 * and queue.  The other columns are known only once the message is in its queue,
 * so supplying one of them is a mistake, with one exception: a row that has all
 * of them is a copy of a message, as made by COPY, pg_dump and SELECT *.  It is
 * produced again, with the values that its producer supplied and its time of
 * birth; everything else is new.
 *
 * A copy keeps its queue, modulo the number of queues if there are fewer, which
 * preserves the order within each of the original queues.  But if the original
 * topic had a different number of queues, a copy with a sharding key goes to the
 * queue where further messages with that key will go.
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
#include "base/rq_compat.h"
#include "produce/rq_produce.h"
#include "topic/rq_topic.h"
#include "value/rq_columns.h"
#include "value/rq_relation.h"
#include "value/rq_serializable.h"
#include "value/rq_values.h"

/* Is the row a copy of a message?  Throws if it is one only in part. */
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

/* Convert a row to the parts of a message and the queue requested. */
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
	/* Checked here, because a negative number could be taken for "any queue". */
	rq_topic_check_queue(topic, *queue_id);
}

/*
 * Set the columns that are known now, for RETURNING and transition tables.  The
 * ctid says that the offset is not known yet.
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
 * Memory for converting rows.  The executor calls us in the query's memory
 * context, where the memory of every row would accumulate until the query ends.
 */
static MemoryContext
row_context(void)
{
	static MemoryContext cxt = NULL;

	if (cxt == NULL)
		cxt = AllocSetContextCreate(TopMemoryContext, "rocketq insert",
									ALLOCSET_DEFAULT_SIZES);
	MemoryContextReset(cxt);	/* an error may have left something behind */
	return cxt;
}

/*
 * Have the statement's lock on the topic until the (sub)transaction ends.  It is
 * asked for each row, so the last one is remembered.
 */
static void
keep_lock(Relation rel)
{
	static Oid	relid = InvalidOid;
	static LocalTransactionId lxid = InvalidLocalTransactionId;
	static SubTransactionId subid = InvalidSubTransactionId;

	if (relid == RelationGetRelid(rel) && lxid == RQ_MY_LXID &&
		subid == GetCurrentSubTransactionId())
		return;
	rq_relation_lock(RelationGetRelid(rel), RowExclusiveLock);
	relid = RelationGetRelid(rel);
	lxid = RQ_MY_LXID;
	subid = GetCurrentSubTransactionId();
}

/*
 * All rows are converted before the first is produced, so that a bad row leaves
 * nothing behind.
 */
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
	keep_lock(rel);
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
