/*
 * rq_executor_hook.c
 *	  Refuse statements that would change or lock messages, before they run, and
 *	  mark where a statement that produces begins and ends.
 *
 * The access method is called only if there is a row to change, so a statement
 * that happens to find none would succeed, and EXPLAIN would show a plan for it.
 * Parents of topics are different: an UPDATE of a partitioned table is refused
 * only if it reaches a message.
 *
 * Messages of one statement are gathered (log/rq_gather.c), including those that
 * its triggers produce in ExecutorFinish.  After an error they are written at the
 * end of the transaction or subtransaction.
 */
#include "postgres.h"

#include "executor/executor.h"
#include "nodes/plannodes.h"
#include "parser/parsetree.h"

#include "am/rq_statement.h"
#include "base/rq_compat.h"
#include "ddl/rq_executor_hook.h"
#include "log/rq_log.h"
#include "value/rq_refuse.h"
#include "value/rq_relation.h"

static ExecutorStart_hook_type prev_executor_start = NULL;
static ExecutorRun_hook_type prev_executor_run = NULL;
static ExecutorFinish_hook_type prev_executor_finish = NULL;

/*
 * Look only at result relations with privileges to check.  A table that a rule
 * replaced keeps its required privileges but is not a result relation, and
 * partitions reached through their parent have no privileges of their own.
 */
static void
check_results(PlannedStmt *stmt)
{
	ListCell   *cell;

	foreach(cell, stmt->resultRelations)
	{
		RangeTblEntry *rte = rt_fetch(lfirst_int(cell), stmt->rtable);
		AclMode		perms = rq_required_perms(stmt, rte);

		if ((perms & (ACL_UPDATE | ACL_DELETE)) == 0 ||
			!rq_oid_is_topic(rte->relid))
			continue;
		if (perms & ACL_DELETE)
			rq_refuse_delete();
		rq_refuse_update();
	}
}

static void
check_row_marks(PlannedStmt *stmt)
{
	ListCell   *cell;

	foreach(cell, stmt->rowMarks)
	{
		PlanRowMark *mark = lfirst(cell);

		if (RowMarkRequiresRowShareLock(mark->markType) &&
			mark->rti == mark->prti &&
			rq_oid_is_topic(rt_fetch(mark->rti, stmt->rtable)->relid))
			rq_refuse_lock();
	}
}

/* PostgreSQL goes first, so that missing privileges are reported first. */
static void
rocketq_executor_start(QueryDesc *query, int eflags)
{
	if (prev_executor_start)
		prev_executor_start(query, eflags);
	else
		standard_ExecutorStart(query, eflags);
	check_results(query->plannedstmt);
	check_row_marks(query->plannedstmt);
}

/* ---- while a statement runs ---- */

/*
 * Run "call" as part of the query's statement.  On an error what was gathered is
 * not written here: that can fail, too, and is left to the transaction's end.
 */
#define RUNNING(query, call) \
	do { \
		RqStatement outer_ = rq_statement_begin((query)->plannedstmt); \
		rq_log_gather_begin(); \
		PG_TRY(); \
		{ \
			call; \
		} \
		PG_CATCH(); \
		{ \
			rq_statement_end(&outer_); \
			rq_log_gather_end(false); \
			PG_RE_THROW(); \
		} \
		PG_END_TRY(); \
		rq_statement_end(&outer_); \
		rq_log_gather_end(true); \
	} while (0)

static void
rocketq_executor_run(RQ_EXECUTOR_RUN_ARGS)
{
	if (prev_executor_run)
		RUNNING(query, prev_executor_run(RQ_EXECUTOR_RUN_PASS));
	else
		RUNNING(query, standard_ExecutorRun(RQ_EXECUTOR_RUN_PASS));
}

static void
rocketq_executor_finish(QueryDesc *query)
{
	if (prev_executor_finish)
		RUNNING(query, prev_executor_finish(query));
	else
		RUNNING(query, standard_ExecutorFinish(query));
}

void
rq_executor_hook_install(void)
{
	prev_executor_run = ExecutorRun_hook;
	ExecutorRun_hook = rocketq_executor_run;
	prev_executor_finish = ExecutorFinish_hook;
	ExecutorFinish_hook = rocketq_executor_finish;
	prev_executor_start = ExecutorStart_hook;
	ExecutorStart_hook = rocketq_executor_start;
}
