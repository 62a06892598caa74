/*
 * rq_saved_sql.c
 *	  Consumer groups in a dump.
 *
 * Groups are not rows, and pg_dump knows rows only.  So rocketq.saved_groups,
 * which is always empty, is an extension's configuration table whose condition
 * adds what rocketq.dump_groups() returns; and when a restore copies rows into
 * it, a trigger makes groups of them.
 *
 * Everything is as the dump's snapshot has it: the messages are counted by a
 * scan of the topic, and the groups' offsets are those of its time, or, of a
 * group that has moved too often since, smaller ones.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/varlena.h"

#include "am/rq_relation.h"
#include "api/rq_args.h"
#include "queue/rq_group.h"
#include "queue/rq_saved.h"
#include "queue/rq_topic.h"

PG_FUNCTION_INFO_V1(rocketq_group_positions);
PG_FUNCTION_INFO_V1(rocketq_dump_groups);
PG_FUNCTION_INFO_V1(rocketq_restore_group);

/* ---- dump ---- */

/* Entries of a topic that are looked at to find the places of restored groups. */
#define PLACES_BUDGET	2000000

/* Does the snapshot see what that transaction has done? */
static bool
is_seen(void *snapshot, uint64 xid)
{
	uint64		next = U64FromFullTransactionId(ReadNextFullTransactionId());

	/* One that can't be compared any more has ended long ago. */
	return next - xid > (uint64) PG_INT32_MAX ||
		!XidInMVCCSnapshot((TransactionId) xid, snapshot);
}

/*
 * Where a group goes on, as the snapshot has it.  Whoever moves a restored group
 * ends its wait for a place, so one that waits has not been moved.
 */
static RqOff
position(uint32 topic, RqOffset *o, uint64 *budget)
{
	RqOff		place;

	if (rq_saved_find(topic, o, budget, &place))
		return place;
	return rq_offset_as_of(o, is_seen, GetActiveSnapshot());
}

/*
 * Read where a group stands in each queue, and copy its name; returns how many
 * queues there are, 0 if there is no such group or it goes meanwhile.
 */
static uint32
read_positions(uint32 topic, RqGroupRef group, RqOff *offsets,
			   uint32 nqueues, uint64 *budget, char *name)
{
	for (uint32 i = 0; i < nqueues; i++)
	{
		uint64		xid;

		rq_meta_lock_again();
		nqueues = Min(nqueues, rq_topic_nqueues(topic));
		if (rq_groups[group.slot].id != group.id ||
			rq_group_state_locked(group.slot, &xid) != RQ_GROUP_PRESENT)
			nqueues = 0;
		if (i < nqueues)
		{
			strlcpy(name, rq_groups[group.slot].name, RQ_GROUP_NAME_MAX + 1);
			offsets[i] = position(topic, rq_group_offset(group.slot, i), budget);
		}
		LWLockRelease(rq_meta_lock);
	}
	return nqueues;
}

static void
put_positions(ReturnSetInfo *rsinfo, uint32 topic)
{
	uint64		budget = PLACES_BUDGET;
	int			n;
	RqGroupRef *groups = rq_group_list(topic, &n);
	uint32		nqueues = rq_topic_nqueues(topic);
	RqOff	   *offsets = palloc0(Max(nqueues, 1) * sizeof(RqOff));

	for (int g = 0; g < n; g++)
	{
		char		name[RQ_GROUP_NAME_MAX + 1] = "";
		uint32		known = read_positions(topic, groups[g], offsets, nqueues,
										   &budget, name);

		for (uint32 i = 0; i < known; i++)
		{
			Datum		values[3] = {CStringGetTextDatum(name),
			Int32GetDatum((int32) i), Int64GetDatum((int64) offsets[i])};
			bool		nulls[3] = {false};

			tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc,
								 values, nulls);
		}
	}
}

/*
 * Where a topic's groups stand, a row for each of their queues.  Others need the
 * meta lock: it is held for one queue at a time.
 */
Datum
rocketq_group_positions(PG_FUNCTION_ARGS)
{
	Relation	rel;
	uint32		topic;

	/* A dump comes by topics, too, that no other function would take. */
	rq_arg_not_null(fcinfo, 0, "topic");
	rel = rq_relation_open(PG_GETARG_OID(0), AccessShareLock, ACL_SELECT);
	topic = rq_relation_topic(rel, false);
	table_close(rel, NoLock);
	InitMaterializedSRF(fcinfo, 0);
	if (topic != RQ_NO_SLOT)
		put_positions((ReturnSetInfo *) fcinfo->resultinfo, topic);
	return (Datum) 0;
}

/* Run a query and hand on its rows. */
static void
put_rows(ReturnSetInfo *rsinfo, const char *sql)
{
	if (SPI_execute(sql, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not run query \"%s\"", sql);
	for (uint64 i = 0; i < SPI_processed; i++)
		tuplestore_puttuple(rsinfo->setResult, SPI_tuptable->vals[i]);
	SPI_freetuptable(SPI_tuptable);
}

/*
 * The topics that the caller may read, as SELECT from all rows of the table
 * would have it; what pg_dump is told to leave out must not stop it.
 */
static const char *const topics_sql =
"SELECT pg_catalog.format('%I.%I', n.nspname, c.relname)"
" FROM pg_catalog.pg_class c"
" JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace"
" JOIN pg_catalog.pg_am a ON a.oid OPERATOR(pg_catalog.=) c.relam"
" WHERE a.amname OPERATOR(pg_catalog.=) 'rocketq' AND c.relkind OPERATOR(pg_catalog.=) 'r'"
" AND pg_catalog.has_schema_privilege(n.oid, 'USAGE')"
" AND pg_catalog.has_table_privilege(c.oid, 'SELECT')"
" AND NOT pg_catalog.row_security_active(c.oid) ORDER BY 1";

/* The groups of one of them: its name as a literal, twice, and as it is. */
static const char *const groups_sql =
"SELECT %s::pg_catalog.text, consumer_group,"
" pg_catalog.array_agg(total ORDER BY queue_id), pg_catalog.array_agg(remaining ORDER BY queue_id)"
" FROM (SELECT p.consumer_group, p.queue_id, pg_catalog.count(m.queue_id) AS total,"
" pg_catalog.count(m.queue_id)"
" FILTER (WHERE m.queue_offset OPERATOR(pg_catalog.>=) p.next_offset) AS remaining"
" FROM rocketq.group_positions(%s) p"
" LEFT JOIN ONLY %s m ON m.queue_id OPERATOR(pg_catalog.=) p.queue_id"
" GROUP BY 1, 2) q GROUP BY consumer_group ORDER BY consumer_group";

Datum
rocketq_dump_groups(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	SPITupleTable *topics;
	uint64		ntopics;

	rq_require_preload();
	InitMaterializedSRF(fcinfo, 0);
	SPI_connect();
	if (SPI_execute(topics_sql, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not list topics");
	topics = SPI_tuptable;
	ntopics = SPI_processed;
	for (uint64 i = 0; i < ntopics; i++)
	{
		char	   *topic = SPI_getvalue(topics->vals[i], topics->tupdesc, 1);
		char	   *literal = quote_literal_cstr(topic);

		put_rows(rsinfo, psprintf(groups_sql, literal, literal, topic));
	}
	SPI_finish();
	return (Datum) 0;
}

/* ---- restore ---- */

/* An element of the array in this column, 0 if there is none. */
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

/* Make the group that a row of rocketq.saved_groups tells of. */
static void
restore_group(Relation rel, HeapTuple row, TupleDesc desc)
{
	uint32		topic = rq_relation_topic(rel, true);
	char	   *group = text_column(row, desc, 2);
	xl_rq_place *places = palloc0(rq_topic_nslots(topic) * sizeof(xl_rq_place));
	int			nqueues = (int) rq_topic_nqueues(topic);

	if (count_elements(row, desc, 3) != nqueues ||
		count_elements(row, desc, 4) != nqueues)
		ereport(WARNING,
				(errmsg("consumer group \"%s\" of topic \"%s\" starts from the first message",
						group, RelationGetRelationName(rel)),
				 errdetail("It was saved from a topic with another number of queues.")));
	else
		for (int i = 0; i < nqueues; i++)
		{
			places[i].saved_total = array_element(row, desc, 3, i);
			places[i].saved_left = array_element(row, desc, 4, i);
		}
	if (!rq_create_group_at(topic, group, places))
		ereport(WARNING,
				(errmsg("consumer group \"%s\" of topic \"%s\" exists and stays where it is",
						group, RelationGetRelationName(rel))));
}

/*
 * Anybody may make a function the trigger of a table once he may execute it.
 * The columns are those that the extension's script gives the table, unless its
 * owner has meddled with it.
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

/* BEFORE INSERT ON rocketq.saved_groups FOR EACH ROW, and nothing else. */
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
			 errmsg("rocketq.restore_group() is the trigger of rocketq.saved_groups"),
			 errdetail("It cannot be called in any other way, nor be the trigger of another table.")));
}

/* The owner makes groups, and so it is the owner who restores them. */
static void
restore_row(HeapTuple row, TupleDesc desc)
{
	char	   *name = text_column(row, desc, 1);
	Oid			relid = RangeVarGetRelid(rq_range_var(name), NoLock, true);
	Relation	rel;

	if (!OidIsValid(relid))
	{
		ereport(WARNING,
				(errmsg("consumer group \"%s\" is not restored",
						text_column(row, desc, 2)),
				 errdetail("Its topic \"%s\" does not exist.", name)));
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
