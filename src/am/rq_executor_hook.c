/*
 * rq_executor_hook.c
 *	  Refuse statements that would change or lock messages, before they run, and
 *	  tell where a statement that produces begins and ends.
 *
 * The access method is asked only when there is a row to change, so a
 * statement that finds none would pass today and fail tomorrow, and EXPLAIN
 * would show a plan for it.  The parents of topics are another matter: an
 * UPDATE of a partitioned table is refused only if it comes upon a message.
 *
 * Where the statement takes its rows from decides about the queues of copies: a
 * key's messages must stay together, with those that are produced later, too.
 *
 * Messages of one statement are gathered (log/rq_gather.c), also those that its
 * triggers produce when it finishes.  After an error it is the end of the
 * transaction or subtransaction that writes them.
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_class.h"
#include "executor/executor.h"
#include "nodes/plannodes.h"
#include "parser/parsetree.h"

#include "am/rq_am_private.h"
#include "am/rq_relation.h"
#include "base/rq_compat.h"
#include "log/rq_log.h"

/* The innermost statement that runs. */
typedef struct Running
{
	PlannedStmt *stmt;			/* NULL = none */
	Oid			topic;			/* what "keep" is about, InvalidOid = nothing */
	bool		keep;			/* see rq_copies_keep_queues() */
} Running;

static Running running =
{
	0
};

static ExecutorStart_hook_type prev_executor_start = NULL;
static ExecutorRun_hook_type prev_executor_run = NULL;
static ExecutorFinish_hook_type prev_executor_finish = NULL;

/*
 * A table that a rule has put something in place of keeps its rights but is no
 * result relation; children have no rights of their own.
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

/* After PostgreSQL has started it: missing privileges are told of first. */
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

/* ---- copies ---- */

/* What a table that is read says about its copies; a topic tells its number. */
typedef struct Sources
{
	uint32		nqueues;		/* of the target */
	bool		same;			/* a topic with as many */
	bool		different;		/* one with another number */
	bool		unknown;		/* something else that can hold copies */
} Sources;

static void
look_at_source(Sources *s, Oid relid)
{
	Relation	rel = table_open(relid, NoLock);

	if (rq_relation_is_topic(rel))
	{
		if (rq_relation_settings(rel).nqueues == s->nqueues)
			s->same = true;
		else
			s->different = true;
	}
	else if (rel->rd_rel->relkind != RELKIND_PARTITIONED_TABLE)
		s->unknown = true;
	table_close(rel, NoLock);
}

/* Rows of VALUES, as dumps have them, are told as they were in the original. */
static bool
keeps_queues(const PlannedStmt *stmt, Relation topic)
{
	Sources		s = {.nqueues = rq_relation_settings(topic).nqueues};
	ListCell   *cell;
	int			rti = 0;

	foreach(cell, stmt->rtable)
	{
		RangeTblEntry *rte = lfirst(cell);

		rti++;
		if (list_member_int(stmt->resultRelations, rti))
			continue;
		if (rte->rtekind == RTE_RELATION)
			look_at_source(&s, rte->relid);
		else if (rte->rtekind == RTE_FUNCTION)
			s.unknown = true;
	}
	return !s.different && (s.same || !s.unknown);
}

bool
rq_copies_keep_queues(Relation topic)
{
	if (running.stmt == NULL)
		return true;			/* COPY */
	if (running.topic != RelationGetRelid(topic))
	{
		running.keep = keeps_queues(running.stmt, topic);
		running.topic = RelationGetRelid(topic);
	}
	return running.keep;
}

/* ---- while a statement runs ---- */

#define RUNNING(query, call) \
	do { \
		Running		outer_ = running; \
		running = (Running) {.stmt = (query)->plannedstmt}; \
		rq_log_gather_begin(); \
		PG_TRY(); \
		{ \
			call; \
		} \
		PG_CATCH(); \
		{ \
			running = outer_; \
			rq_log_gather_end(false); \
			PG_RE_THROW(); \
		} \
		PG_END_TRY(); \
		running = outer_; \
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
