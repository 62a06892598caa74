/*
 * rq_serializable.c
 *	  Write skew: messages as writes of a serializable transaction.
 *
 * PostgreSQL detects a conflict between a reader and a writer from whichever
 * side comes second: the reader finds the new row and its transaction ID, or
 * the writer finds the reader's predicate lock.  A message gets its entry, with
 * the transaction's ID, only at pre-commit.  So a writer checks for readers
 * twice: when it produces, in order to fail early, and again after its entries
 * are written, for those who have scanned the topic in between.  Whoever scans
 * later finds the entries.
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/xact.h"
#include "nodes/pg_list.h"
#include "storage/predicate.h"
#include "utils/memutils.h"

#include "value/rq_serializable.h"

/* A topic that was produced into, and the subtransaction level to forget it at. */
typedef struct Produced
{
	Oid			relid;
	int			level;
} Produced;

/* Those of the current transaction, allocated in TopTransactionContext. */
static List *produced = NIL;

static void
remember_produced(Oid relid)
{
	MemoryContext old;
	Produced   *p;
	ListCell   *cell;

	/* An entry of an outer level outlives a rollback of this one: keep that. */
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

/*
 * The check comes first: what it throws for need not be remembered.
 */
void
rq_serializable_produce(Relation rel)
{
	if (!IsolationIsSerializable())
		return;
	CheckForSerializableConflictIn(rel, NULL, InvalidBlockNumber);
	remember_produced(RelationGetRelid(rel));
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

/*
 * The entries of this transaction are written: check for readers that came
 * since rq_serializable_produce().  The transaction still holds its locks on the
 * topics; one that it has dropped itself cannot be opened, and has no readers.
 */
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
serializable_xact_callback(XactEvent event, void *arg)
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
serializable_subxact_callback(SubXactEvent event, SubTransactionId subid,
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
	RegisterXactCallback(serializable_xact_callback, NULL);
	RegisterSubXactCallback(serializable_subxact_callback, NULL);
}
