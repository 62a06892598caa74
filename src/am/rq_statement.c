/*
 * rq_statement.c
 *	  The statement that runs, and what it says about copies of messages.
 *
 * Where the statement takes its rows from decides about the queues of copies: a
 * key's messages must stay together, with those that are produced later, too.
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_class.h"
#include "nodes/parsenodes.h"

#include "am/rq_statement.h"
#include "value/rq_relation.h"

static RqStatement running =
{
	0
};

RqStatement
rq_statement_begin(PlannedStmt *stmt)
{
	RqStatement outer = running;

	running = (RqStatement)
	{
		.stmt = stmt
	};
	return outer;
}

void
rq_statement_end(const RqStatement *outer)
{
	running = *outer;
}

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
