/*
 * rq_saved_sql.c
 *	  Consumer groups in a dump.
 *
 * Consumer groups are not rows, and pg_dump dumps only rows.  So there is a
 * configuration table, rocketq.saved_groups, which is always empty, but whose dump
 * condition adds the rows that rocketq.dump_groups() returns; and when a restore
 * copies rows into it, a trigger creates the groups.
 *
 * Everything is as of the dump's snapshot: messages are counted by a scan of the
 * topic, and the groups' offsets are those of that time, or lower ones for a
 * group that has moved too often since.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/transam.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/varlena.h"

#include "api/rq_args.h"
#include "consume/rq_consumer.h"
#include "consume/rq_moves.h"
#include "consume/rq_offset.h"
#include "consume/rq_saved.h"
#include "topic/rq_group.h"
#include "topic/rq_topic.h"
#include "value/rq_columns.h"
#include "value/rq_relation.h"

PG_FUNCTION_INFO_V1(rocketq_dump_groups);
PG_FUNCTION_INFO_V1(rocketq_restore_group);

/* ---- dump ---- */

/* Entries of a topic to examine at most to locate restored groups. */
#define PLACES_BUDGET	2000000

/* Does the snapshot see the effects of this transaction? */
static bool
is_seen(void *snapshot, uint64 xid)
{
	uint64		next = U64FromFullTransactionId(ReadNextFullTransactionId());

	/* One that is too old to be compared has ended long ago. */
	return next - xid > (uint64) PG_INT32_MAX ||
		!XidInMVCCSnapshot((TransactionId) xid, snapshot);
}

/*
 * The position of a group in one queue, and how many of the messages that the
 * snapshot sees are before it.
 */
typedef struct Position
{
	const char *group;
	uint32		queue_id;
	RqOff		next;
	uint64		passed;
} Position;

/* What the rows for one topic are made from. */
typedef struct DumpedTopic
{
	uint32		nqueues;
	uint64	   *total;			/* messages of each queue */
	uint64		npositions;
	Position   *positions;
} DumpedTopic;

/*
 * What the meta lock is held for: the next offset of the group as of the snapshot,
 * and whether it waits for its place in the queue.  False if there is no such
 * group.
 */
static bool
read_offset(uint32 topic, RqGroupRef group, uint32 queue_id, char *name,
			RqOff *next, RqSaved *saved)
{
	uint64		xid;
	bool		is_there;

	rq_meta_lock_again();
	is_there = queue_id < rq_topic_nqueues(topic) &&
		rq_groups[group.slot].id == group.id &&
		rq_group_state_locked(group.slot, &xid) == RQ_GROUP_PRESENT;
	if (is_there)
	{
		RqOffset   *o = rq_group_offset(group.slot, queue_id);

		strlcpy(name, rq_groups[group.slot].name, RQ_GROUP_NAME_MAX + 1);
		*next = rq_moves_as_of(o, is_seen, GetActiveSnapshot());
		*saved = rq_saved_of(o);
	}
	LWLockRelease(rq_meta_lock);
	return is_there;
}

/*
 * Note where a group stands in one queue, as the snapshot has it; false if there
 * is no such group, or no longer.  Whoever moves a restored group ends its wait
 * for a place, so one that still waits when the place has been found, which can
 * take long and is done without the lock, has not been moved.
 */
static bool
read_position(uint32 topic, RqGroupRef group, char *name, Position *p,
			  uint64 *budget)
{
	RqSaved		saved;
	RqSaved		now;
	RqOff		next;
	RqOff		place;

	if (!read_offset(topic, group, p->queue_id, name, &p->next, &saved))
		return false;
	if (saved.total == 0 ||
		!rq_saved_find(rq_topic_queue(topic, p->queue_id), saved,
					   budget, &place))
		return true;
	if (!read_offset(topic, group, p->queue_id, name, &next, &now))
		return false;
	p->next = now.total != 0 ? place : next;
	return true;
}

/* Note where a group stands in each queue; the topic's relation is locked. */
static void
read_group_positions(DumpedTopic *t, uint32 topic, RqGroupRef group, uint64 *budget)
{
	Position   *positions = &t->positions[t->npositions];
	char	   *name = palloc(RQ_GROUP_NAME_MAX + 1);

	for (uint32 i = 0; i < t->nqueues; i++)
	{
		positions[i].group = name;
		positions[i].queue_id = i;
		if (!read_position(topic, group, name, &positions[i], budget))
			return;
	}
	t->npositions += t->nqueues;
}

/* Record the positions of all groups of a topic, whose relation is locked. */
static void
read_positions(DumpedTopic *t, uint32 topic)
{
	uint64		budget = PLACES_BUDGET;
	int			n;
	RqGroupRef *groups = rq_group_list(topic, &n);

	t->nqueues = rq_topic_nqueues(topic);
	t->npositions = 0;
	t->positions = palloc_extended((Size) n * t->nqueues * sizeof(Position),
								   MCXT_ALLOC_HUGE);
	for (int g = 0; g < n; g++)
		read_group_positions(t, topic, groups[g], &budget);
}

static int
by_place(const void *a, const void *b)
{
	const Position *p = a;
	const Position *q = b;

	if (p->queue_id != q->queue_id)
		return p->queue_id < q->queue_id ? -1 : 1;
	return p->next < q->next ? -1 : p->next > q->next;
}

static int
by_group(const void *a, const void *b)
{
	const Position *p = a;
	const Position *q = b;
	int			result = strcmp(p->group, q->group);

	return result != 0 ? result : by_place(a, b);
}

/*
 * Count the messages of each queue, and those before each position.  A scan
 * gives a queue after the other, and each in the order of its offsets.
 */
static void
count_messages(DumpedTopic *t, Relation rel)
{
	TupleTableSlot *slot = table_slot_create(rel, NULL);
	TableScanDesc scan = table_beginscan(rel, GetActiveSnapshot(), 0, NULL);
	uint64		at = 0;

	t->total = palloc0(t->nqueues * sizeof(uint64));
	qsort(t->positions, t->npositions, sizeof(Position), by_place);
	while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		bool		isnull;
		Position	m = {.queue_id = (uint32)
			DatumGetInt32(slot_getattr(slot, RQ_COL_QUEUE_ID + 1, &isnull)),
			.next = (RqOff)
		DatumGetInt64(slot_getattr(slot, RQ_COL_QUEUE_OFFSET + 1, &isnull))};

		CHECK_FOR_INTERRUPTS();
		for (; at < t->npositions && by_place(&t->positions[at], &m) <= 0; at++)
			t->positions[at].passed = t->total[t->positions[at].queue_id];
		Assert(m.queue_id < t->nqueues);
		t->total[m.queue_id]++;
	}
	for (; at < t->npositions; at++)
		t->positions[at].passed = t->total[t->positions[at].queue_id];
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
}

static Datum
int8_array(Datum *elems, uint32 n)
{
	return PointerGetDatum(construct_array(elems, (int) n, INT8OID, sizeof(int64),
										   FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

/* A row for each group. */
static void
put_groups(ReturnSetInfo *rsinfo, DumpedTopic *t, Datum topic)
{
	Datum	   *total = palloc(t->nqueues * sizeof(Datum));
	Datum	   *left = palloc(t->nqueues * sizeof(Datum));

	qsort(t->positions, t->npositions, sizeof(Position), by_group);
	for (uint64 g = 0; g < t->npositions; g += t->nqueues)
	{
		Datum		values[4] = {topic};
		bool		nulls[4] = {false};

		for (uint32 i = 0; i < t->nqueues; i++)
		{
			total[i] = Int64GetDatum((int64) t->total[i]);
			left[i] = Int64GetDatum((int64) (t->total[i] -
											 t->positions[g + i].passed));
		}
		values[1] = CStringGetTextDatum(t->positions[g].group);
		values[2] = int8_array(total, t->nqueues);
		values[3] = int8_array(left, t->nqueues);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
}

/*
 * Nothing is looked up by the topic's name, which may belong to another relation
 * by now, such as a view whose functions would run with the caller's privileges.
 */
static void
dump_topic(ReturnSetInfo *rsinfo, Oid relid, Datum name)
{
	Relation	rel = rq_relation_open_readable(relid);
	uint32		topic;
	DumpedTopic dumped;

	if (rel == NULL)
		return;
	topic = rq_relation_topic(rel, RQ_STORAGE_OPTIONAL);
	if (topic != RQ_NO_SLOT)
	{
		read_positions(&dumped, topic);
		if (dumped.npositions > 0)
		{
			count_messages(&dumped, rel);
			put_groups(rsinfo, &dumped, name);
		}
	}
	table_close(rel, NoLock);
}

/* Schema-qualified, so that no object of another schema can take precedence. */
static const char *const topics_sql =
"SELECT c.oid, pg_catalog.format('%I.%I', n.nspname, c.relname)"
" FROM pg_catalog.pg_class c"
" JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace"
" JOIN pg_catalog.pg_am a ON a.oid OPERATOR(pg_catalog.=) c.relam"
" WHERE a.amname OPERATOR(pg_catalog.=) 'rocketq' AND c.relkind OPERATOR(pg_catalog.=) 'r'"
" ORDER BY 2";

/*
 * The groups of the topics that the caller may read.  Other topics are left out
 * without an error, since pg_dump may have been asked to exclude them.
 */
Datum
rocketq_dump_groups(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	MemoryContext cxt;
	MemoryContext old;

	rq_require_preload();
	InitMaterializedSRF(fcinfo, 0);
	SPI_connect();
	if (SPI_execute(topics_sql, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not list topics");
	cxt = AllocSetContextCreate(CurrentMemoryContext, "rocketq saved groups",
								ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(cxt);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		HeapTuple	row = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		bool		isnull;

		dump_topic(rsinfo, DatumGetObjectId(SPI_getbinval(row, desc, 1, &isnull)),
				   SPI_getbinval(row, desc, 2, &isnull));
		MemoryContextReset(cxt);
	}
	MemoryContextSwitchTo(old);
	SPI_finish();
	return (Datum) 0;
}

/* ---- restore ---- */

/* An element of the array in this column; 0 if it is missing, null or negative. */
static uint64
array_element(HeapTuple row, TupleDesc desc, int column, int i)
{
	bool		isnull;
	Datum		array = heap_getattr(row, column, desc, &isnull);
	Datum		value;

	if (isnull)
		return 0;
	i++;
	value = array_get_element(array, 1, &i, -1, sizeof(int64), FLOAT8PASSBYVAL,
							  TYPALIGN_DOUBLE, &isnull);
	return isnull || DatumGetInt64(value) < 0 ? 0 : (uint64) DatumGetInt64(value);
}

static int
count_elements(HeapTuple row, TupleDesc desc, int column)
{
	bool		isnull;
	Datum		array = heap_getattr(row, column, desc, &isnull);
	ArrayType  *a = isnull ? NULL : DatumGetArrayTypeP(array);

	return a == NULL ? 0 : ArrayGetNItems(ARR_NDIM(a), ARR_DIMS(a));
}

static char *
text_column(HeapTuple row, TupleDesc desc, int column)
{
	char	   *value = SPI_getvalue(row, desc, column);

	if (value == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("column \"%s\" of rocketq.saved_groups must not be null",
						SPI_fname(desc, column))));
	return value;
}

/* Create the group that a row of rocketq.saved_groups describes. */
static void
restore_group(Relation rel, HeapTuple row, TupleDesc desc)
{
	uint32		topic = rq_relation_topic(rel, RQ_STORAGE_CREATE);
	char	   *group = text_column(row, desc, 2);
	xl_rq_place *places = palloc0(rq_topic_nslots(topic) * sizeof(xl_rq_place));
	int			nqueues = (int) rq_topic_nqueues(topic);

	if (count_elements(row, desc, 3) != nqueues ||
		count_elements(row, desc, 4) != nqueues)
		ereport(WARNING,
				(errmsg("consumer group \"%s\" of topic \"%s\" will start from the first message",
						group, RelationGetRelationName(rel)),
				 errdetail("The group was saved from a topic with a different number of queues.")));
	else
		for (int i = 0; i < nqueues; i++)
		{
			places[i].saved_total = array_element(row, desc, 3, i);
			places[i].saved_left = array_element(row, desc, 4, i);
		}
	if (!rq_consumer_create_group_at(topic, group, places))
		ereport(WARNING,
				(errmsg("consumer group \"%s\" of topic \"%s\" already exists and keeps its offsets",
						group, RelationGetRelationName(rel))));
}

/*
 * Is this the table of the extension's script?  Anyone who may execute a trigger
 * function can use it for a table of their own.
 */
static bool
is_saved_groups(Relation rel)
{
	static const Oid types[] = {TEXTOID, TEXTOID, INT8ARRAYOID, INT8ARRAYOID};
	TupleDesc	desc = RelationGetDescr(rel);
	Oid			schema = get_namespace_oid("rocketq", true);

	if (RelationGetNamespace(rel) != schema ||
		strcmp(RelationGetRelationName(rel), "saved_groups") != 0 ||
		rel->rd_rel->relkind != RELKIND_RELATION ||
		desc->natts != lengthof(types))
		return false;
	for (int i = 0; i < desc->natts; i++)
		if (TupleDescAttr(desc, i)->attisdropped ||
			TupleDescAttr(desc, i)->atttypid != types[i])
			return false;
	return true;
}

/* Throw unless fired BEFORE INSERT ON rocketq.saved_groups FOR EACH ROW. */
static void
check_trigger(FunctionCallInfo fcinfo)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (CALLED_AS_TRIGGER(fcinfo) &&
		TRIGGER_FIRED_BY_INSERT(trigger->tg_event) &&
		TRIGGER_FIRED_BEFORE(trigger->tg_event) &&
		TRIGGER_FIRED_FOR_ROW(trigger->tg_event) &&
		is_saved_groups(trigger->tg_relation))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
			 errmsg("rocketq.restore_group() can only be called as the trigger of rocketq.saved_groups"),
			 errdetail("It must be fired BEFORE INSERT FOR EACH ROW.")));
}

/* Creating a group takes ownership of the topic, and so does restoring one. */
static void
restore_row(HeapTuple row, TupleDesc desc)
{
	char	   *name = text_column(row, desc, 1);
	Oid			relid = RangeVarGetRelid(rq_range_var(name), NoLock, true);
	Relation	rel;

	if (!OidIsValid(relid))
	{
		ereport(WARNING,
				(errmsg("could not restore consumer group \"%s\"",
						text_column(row, desc, 2)),
				 errdetail("Topic \"%s\" does not exist.", name)));
		return;
	}
	rel = rq_relation_open(relid, AccessShareLock, ACL_NO_RIGHTS);
	restore_group(rel, row, desc);
	table_close(rel, NoLock);
}

Datum
rocketq_restore_group(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	check_trigger(fcinfo);
	restore_row(trigger->tg_trigtuple, RelationGetDescr(trigger->tg_relation));
	return PointerGetDatum(NULL);
}
