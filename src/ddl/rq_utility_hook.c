/*
 * rq_utility_hook.c
 *	  Let VACUUM FULL skip topics, and mark where ANALYZE runs and constraints are
 *	  checked.
 *
 * A topic cannot be rewritten.  VACUUM FULL of several tables would stop at the
 * first topic, and so would vacuumdb --full, leaving the tables and databases
 * after it undone.  So it gets a list of the other tables, with a warning if the
 * user named a topic, or a table that has topics as partitions.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "commands/defrem.h"
#include "nodes/makefuncs.h"
#include "tcop/utility.h"
#include "utils/lsyscache.h"

#include "am/rq_sample.h"
#include "am/rq_scan.h"
#include "ddl/rq_utility_hook.h"
#include "value/rq_relation.h"

static ProcessUtility_hook_type prev_process_utility = NULL;

/* VACUUM takes this for a relation that was dropped concurrently, and skips it. */
#define NO_RELATION		((Oid) 1)

static bool
is_full_vacuum(const Node *stmt)
{
	const VacuumStmt *vacuum = (const VacuumStmt *) stmt;
	bool		full = false;
	ListCell   *cell;

	if (!IsA(stmt, VacuumStmt) || !vacuum->is_vacuumcmd)
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
 * What VACUUM would choose if given no tables, but without topics.  By OID, as it
 * does itself, so that a concurrently dropped table is skipped silently.
 * Privileges are checked later.
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
warn_skipped(Oid relid)
{
	char	   *name = get_rel_name(relid);

	if (name != NULL)
		ereport(WARNING,
				(errmsg("skipping \"%s\" --- VACUUM FULL does not work on topics",
						name),
				 errdetail("A topic never needs VACUUM.")));
}

/* Is it a topic, or does it have topics among its partitions? */
static bool
has_topics(Oid relid)
{
	ListCell   *cell;

	if (get_rel_relkind(relid) != RELKIND_PARTITIONED_TABLE)
		return rq_oid_is_topic(relid);
	foreach(cell, find_all_inheritors(relid, NoLock, NULL))
		if (rq_oid_is_topic(lfirst_oid(cell)))
		return true;
	return false;
}

/* The topic-free rest of a table or partition tree, as VACUUM's parse nodes. */
static List *
without_topics(Oid relid, const VacuumRelation *named)
{
	List	   *rels = NIL;
	ListCell   *cell;

	foreach(cell, find_all_inheritors(relid, NoLock, NULL))
	{
		if (rq_oid_is_topic(lfirst_oid(cell)))
			warn_skipped(lfirst_oid(cell));
		else
			rels = lappend(rels, makeVacuumRelation(NULL, lfirst_oid(cell),
													named->va_cols));
	}
	return rels;
}

/* The tables that were named, including names that VACUUM will not find. */
static List *
named_but_topics(List *named)
{
	List	   *rels = NIL;
	ListCell   *cell;

	foreach(cell, named)
	{
		VacuumRelation *v = lfirst_node(VacuumRelation, cell);
		Oid			relid = v->oid;

		if (!OidIsValid(relid))
			relid = RangeVarGetRelid(v->relation, NoLock, true);
		if (has_topics(relid))
			rels = list_concat(rels, without_topics(relid, v));
		else
			rels = lappend(rels, v);
	}
	/* An empty list would mean all tables. */
	if (rels == NIL)
		rels = list_make1(makeVacuumRelation(NULL, NO_RELATION, NIL));
	return rels;
}

/* The statement itself, or for VACUUM FULL a copy of it without topics. */
static PlannedStmt *
skip_topics(PlannedStmt *pstmt)
{
	PlannedStmt *copy;
	VacuumStmt *vacuum;

	if (!is_full_vacuum(pstmt->utilityStmt))
		return pstmt;
	copy = copyObject(pstmt);
	vacuum = castNode(VacuumStmt, copy->utilityStmt);
	vacuum->rels = vacuum->rels == NIL ? all_but_topics() :
		named_but_topics(vacuum->rels);
	return copy;
}

/* What encloses the statement; NULL if nothing does. */
typedef struct Enclosure
{
	void		(*begin) (void);
	void		(*end) (void);
} Enclosure;

static const Enclosure *
enclosure_of(const Node *stmt)
{
	static const Enclosure analyze = {rq_analyze_begin, rq_analyze_end};
	static const Enclosure check = {rq_constraint_check_begin,
	rq_constraint_check_end};

	if (IsA(stmt, VacuumStmt))
		return &analyze;
	/* CREATE TABLE ... PARTITION OF checks the default partition. */
	if (IsA(stmt, AlterTableStmt) || IsA(stmt, CreateStmt))
		return &check;
	return NULL;
}

static void
process_on(PlannedStmt *pstmt, const char *queryString, bool readOnlyTree,
		   ProcessUtilityContext context, ParamListInfo params,
		   QueryEnvironment *queryEnv, DestReceiver *dest, QueryCompletion *qc)
{
	ProcessUtility_hook_type next = prev_process_utility ?
	prev_process_utility : standard_ProcessUtility;

	next(pstmt, queryString, readOnlyTree, context, params, queryEnv, dest, qc);
}

static void
rocketq_process_utility(PlannedStmt *pstmt, const char *queryString,
						bool readOnlyTree, ProcessUtilityContext context,
						ParamListInfo params, QueryEnvironment *queryEnv,
						DestReceiver *dest, QueryCompletion *qc)
{
	const Enclosure *volatile around = enclosure_of(pstmt->utilityStmt);

	if (around == NULL)
	{
		process_on(pstmt, queryString, readOnlyTree, context, params, queryEnv,
				   dest, qc);
		return;
	}
	around->begin();
	PG_TRY();
	{
		process_on(skip_topics(pstmt), queryString, readOnlyTree, context, params,
				   queryEnv, dest, qc);
	}
	PG_FINALLY();
	{
		around->end();
	}
	PG_END_TRY();
}

void
rq_utility_hook_install(void)
{
	prev_process_utility = ProcessUtility_hook;
	ProcessUtility_hook = rocketq_process_utility;
}
