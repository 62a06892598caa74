/*
 * rq_utility_hook.c
 *	  VACUUM FULL of a whole database passes topics by.
 *
 * A topic cannot be rewritten, and says so to whoever names it in VACUUM FULL.
 * But a command for all tables would stop there, with the tables behind it not
 * done.  So it is given the list of the others.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_class.h"
#include "commands/defrem.h"
#include "nodes/makefuncs.h"
#include "tcop/utility.h"

#include "am/rq_am_private.h"

static ProcessUtility_hook_type prev_process_utility = NULL;

static bool
is_full_vacuum_of_all(const Node *stmt)
{
	const VacuumStmt *vacuum = (const VacuumStmt *) stmt;
	bool		full = false;
	ListCell   *cell;

	if (!IsA(stmt, VacuumStmt) || !vacuum->is_vacuumcmd || vacuum->rels != NIL)
		return false;
	foreach(cell, vacuum->options)
	{
		DefElem    *option = lfirst(cell);

		if (strcmp(option->defname, "full") == 0)
			full = defGetBoolean(option);
	}
	return full;
}

/*
 * What VACUUM would choose by itself, as it names it: by OID, so that nobody
 * complains of a table that is dropped meanwhile.  Rights are checked later.
 */
static List *
all_but_topics(void)
{
	Relation	rel = table_open(RelationRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	HeapTuple	tuple;
	List	   *rels = NIL;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_class form = (Form_pg_class) GETSTRUCT(tuple);

		if ((form->relkind == RELKIND_RELATION ||
			 form->relkind == RELKIND_MATVIEW) && !rq_oid_is_topic(form->oid))
			rels = lappend(rels, makeVacuumRelation(NULL, form->oid, NIL));
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return rels;
}

static void
rocketq_process_utility(PlannedStmt *pstmt, const char *queryString,
						bool readOnlyTree, ProcessUtilityContext context,
						ParamListInfo params, QueryEnvironment *queryEnv,
						DestReceiver *dest, QueryCompletion *qc)
{
	if (is_full_vacuum_of_all(pstmt->utilityStmt))
	{
		pstmt = copyObject(pstmt);
		castNode(VacuumStmt, pstmt->utilityStmt)->rels = all_but_topics();
	}
	if (prev_process_utility)
		prev_process_utility(pstmt, queryString, readOnlyTree, context,
							 params, queryEnv, dest, qc);
	else
		standard_ProcessUtility(pstmt, queryString, readOnlyTree, context,
								params, queryEnv, dest, qc);
}

void
rq_utility_hook_install(void)
{
	prev_process_utility = ProcessUtility_hook;
	ProcessUtility_hook = rocketq_process_utility;
}
