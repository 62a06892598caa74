/*
 * rq_routed.c
 *	  Find out whether rows inserted into a topic are stored in it.
 *
 * An extension that distributes tables leaves an empty shell in place of the
 * table, and plans statements on the shell so that rows go to tables elsewhere.
 * Our functions bypass the planner: they would produce into the shell, where
 * nobody reads, and consume from it, where nothing arrives.
 *
 * Only the extension knows which tables are such shells.  So we ask the planner
 * for a plan of an INSERT: the functions are usable if the plan simply inserts
 * into this very table.  Only a planner_hook can make it anything else.
 */
#include "postgres.h"

#include "nodes/makefuncs.h"
#include "nodes/plannodes.h"
#include "optimizer/optimizer.h"
#include "optimizer/planner.h"
#include "parser/parse_node.h"
#include "parser/parse_relation.h"
#include "parser/parsetree.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "base/rq_compat.h"
#include "value/rq_routed.h"

/* INSERT INTO rel VALUES ($1, $2, ...), as the parser passes it to the planner. */
static Query *
insert_query(Relation rel, LOCKMODE lockmode)
{
	ParseState *pstate = make_parsestate(NULL);
	ParseNamespaceItem *item = addRangeTableEntryForRelation(pstate, rel, lockmode,
															 NULL, false, false);
	TupleDesc	desc = RelationGetDescr(rel);
	Query	   *query = makeNode(Query);

	query->commandType = CMD_INSERT;
	query->canSetTag = true;
	query->resultRelation = item->p_rtindex;
	rq_set_range_table(query, pstate);
	query->jointree = makeFromExpr(NIL, NULL);
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		Param	   *value = makeNode(Param);

		value->paramkind = PARAM_EXTERN;
		value->paramid = i + 1;
		value->paramtype = att->atttypid;
		value->paramtypmod = att->atttypmod;
		value->paramcollid = att->attcollation;
		value->location = -1;
		query->targetList = lappend(query->targetList,
									makeTargetEntry((Expr *) value, att->attnum,
													NameStr(att->attname), false));
	}
	return query;
}

static bool
inserts_plainly(const PlannedStmt *stmt, Oid relid)
{
	const ModifyTable *modify = (const ModifyTable *) stmt->planTree;

	return IsA(modify, ModifyTable) && modify->operation == CMD_INSERT &&
		list_length(modify->resultRelations) == 1 &&
		rt_fetch(linitial_int(modify->resultRelations), stmt->rtable)->relid == relid &&
		IsA(outerPlan(modify), Result);
}

void
rq_refuse_routed(Relation rel, LOCKMODE lockmode)
{
	MemoryContext cxt;
	MemoryContext old;
	bool		plain;
	bool		needs_snapshot = !ActiveSnapshotSet();

	if (planner_hook == NULL)
		return;
	/* A planner_hook may rely on a snapshot; wait_for_messages() has none. */
	if (needs_snapshot)
		PushActiveSnapshot(GetTransactionSnapshot());
	cxt = AllocSetContextCreate(CurrentMemoryContext, "rocketq plan",
								ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(cxt);
	plain = inserts_plainly(planner(insert_query(rel, lockmode), "", 0, NULL),
							RelationGetRelid(rel));
	MemoryContextSwitchTo(old);
	MemoryContextDelete(cxt);
	if (needs_snapshot)
		PopActiveSnapshot();
	if (!plain)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot use rocketq functions on topic \"%s\"",
						RelationGetRelationName(rel)),
				 errdetail("An extension redirects rows inserted into the topic to another table."),
				 errhint("Use INSERT and SELECT, or use the functions on the table that receives the rows.")));
}
