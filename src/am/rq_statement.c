/*
 * rq_statement.c
 *	  The running statement, and what it says about copies of messages.
 *
 * Copies of messages keep their queues only if the statement's sources allow it:
 * messages with the same sharding key must stay together, including those that
 * are produced later.
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

/* What the relations that a statement reads say about copies from them. */
typedef struct Sources
{
	uint32		nqueues;		/* of the target */
	bool		same;			/* a topic with the same number */
	bool		different;		/* a topic with a different number */
	bool		unknown;		/* something else that can hold copies */
} Sources;

static void
note_source(Sources *s, Oid relid)
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

/* Rows of VALUES, as in dumps, keep the queues of the original. */
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
			note_source(&s, rte->relid);
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
