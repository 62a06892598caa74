/*
 * rq_serializable.c
 *	  Write skew: messages as writes of a serializable transaction.
 *
 * PostgreSQL finds a conflict between a reader and a writer from whichever
 * side comes second: the reader meets the new row and its transaction id, or
 * the writer meets the reader's lock.  A message gets its entry, with the
 * transaction's id, at pre-commit only.  So a writer looks for readers twice:
 * when it produces, which fails early, and once more behind the entries, for
 * those who have scanned the topic in between.  Who scans later finds the
 * entries.
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/xact.h"
#include "nodes/pg_list.h"
#include "storage/predicate.h"
#include "utils/memutils.h"

#include "value/rq_serializable.h"

/* A topic that got messages, and the subtransaction level it counts for. */
typedef struct Produced
{
	Oid			relid;
	int			level;
} Produced;

/* Of the current transaction, in its memory. */
static List *produced = NIL;

static void
remember(Oid relid)
{
	MemoryContext old;
	Produced   *p;
	ListCell   *cell;

	/* Those of outer levels stay when this one is rolled back. */
	foreach(cell, produced)
		if (((Produced *) lfirst(cell))->relid == relid)
		return;

	old = MemoryContextSwitchTo(TopTransactionContext);
	p = palloc(sizeof(*p));
	p->relid = relid;
	p->level = GetCurrentTransactionNestLevel();
	produced = lappend(produced, p);
	MemoryContextSwitchTo(old);
}

void
rq_serializable_produce(Relation rel)
{
	if (!IsolationIsSerializable())
		return;
	CheckForSerializableConflictIn(rel, NULL, InvalidBlockNumber);
	remember(RelationGetRelid(rel));
}

void
rq_serializable_produce_into(Oid relid)
{
	Relation	rel;

	if (!IsolationIsSerializable())
		return;
	rel = relation_open(relid, NoLock);
	rq_serializable_produce(rel);
	relation_close(rel, NoLock);
}

/* The transaction still has its locks on the topics that it did not drop. */
static void
check_again(void)
{
	ListCell   *cell;

	foreach(cell, produced)
	{
		Oid			relid = ((Produced *) lfirst(cell))->relid;
		Relation	rel = try_relation_open(relid, AccessShareLock);

		if (rel == NULL)
			continue;
		CheckForSerializableConflictIn(rel, NULL, InvalidBlockNumber);
		relation_close(rel, NoLock);
	}
}

static void
xact_callback(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
			check_again();
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			produced = NIL;
			break;
		default:
			break;
	}
}

static void
subxact_callback(SubXactEvent event, SubTransactionId subid,
				 SubTransactionId parent, void *arg)
{
	int			level = GetCurrentTransactionNestLevel();
	ListCell   *cell;

	if (event != SUBXACT_EVENT_COMMIT_SUB && event != SUBXACT_EVENT_ABORT_SUB)
		return;
	foreach(cell, produced)
	{
		Produced   *p = lfirst(cell);

		if (p->level < level)
			continue;
		if (event == SUBXACT_EVENT_COMMIT_SUB)
			p->level = level - 1;
		else
			produced = foreach_delete_current(produced, cell);
	}
}

void
rq_serializable_init(void)
{
	RegisterXactCallback(xact_callback, NULL);
	RegisterSubXactCallback(subxact_callback, NULL);
}
