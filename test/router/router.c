/*
 * router.c
 *	  An extension that sends statements about some tables elsewhere, as those
 *	  do that distribute tables: what is asked of "shell_NAME" is planned for
 *	  "NAME".  For test/t/065_routed.pl.
 */
#include "postgres.h"

#include "fmgr.h"
#include "nodes/parsenodes.h"
#include "optimizer/planner.h"
#include "parser/parsetree.h"
#include "storage/lmgr.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

PG_MODULE_MAGIC;

extern PGDLLEXPORT void _PG_init(void);

#define PREFIX	"shell_"

static planner_hook_type prev_planner = NULL;

static void
route(Query *query, RangeTblEntry *rte)
{
	char	   *name = get_rel_name(rte->relid);
	Oid			target;

	if (name == NULL || strncmp(name, PREFIX, strlen(PREFIX)) != 0)
		return;
	target = get_relname_relid(name + strlen(PREFIX), get_rel_namespace(rte->relid));
	if (!OidIsValid(target))
		return;
	LockRelationOid(target, rte->rellockmode);
	rte->relid = target;
#if PG_VERSION_NUM >= 160000
	if (rte->perminfoindex != 0)
		((RTEPermissionInfo *) list_nth(query->rteperminfos,
										rte->perminfoindex - 1))->relid = target;
#endif
}

static PlannedStmt *
router_planner(Query *parse, const char *query_string, int cursorOptions,
			   ParamListInfo boundParams)
{
	ListCell   *cell;

	if (!ActiveSnapshotSet())
		elog(ERROR, "router cannot look at its tables without a snapshot");
	foreach(cell, parse->rtable)
		if (((RangeTblEntry *) lfirst(cell))->rtekind == RTE_RELATION)
			route(parse, lfirst(cell));
	if (prev_planner)
		return prev_planner(parse, query_string, cursorOptions, boundParams);
	return standard_planner(parse, query_string, cursorOptions, boundParams);
}

void
_PG_init(void)
{
	prev_planner = planner_hook;
	planner_hook = router_planner;
}
