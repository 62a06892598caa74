/*
 * rq_statement.h
 *	  The running statement, and what it says about copies of messages.
 */
#ifndef RQ_STATEMENT_H
#define RQ_STATEMENT_H

#include "nodes/plannodes.h"
#include "utils/rel.h"

/* The innermost statement that the executor is running in this process. */
typedef struct RqStatement
{
	PlannedStmt *stmt;			/* NULL = none */
	Oid			topic;			/* what "keep" applies to, InvalidOid = unset */
	bool		keep;			/* see rq_copies_keep_queues() */
} RqStatement;

/*
 * The executor starts to run a statement.  The result is the enclosing statement,
 * which the caller passes to rq_statement_end() when the executor returns, even
 * by an error.
 */
extern RqStatement rq_statement_begin(PlannedStmt *stmt);
extern void rq_statement_end(const RqStatement *outer);

/*
 * Do copies of messages with a sharding key keep their queues in this topic?  They
 * do unless the running statement reads from a topic with a different number of
 * queues, or from something whose number of queues is unknown.
 */
extern bool rq_copies_keep_queues(Relation topic);

#endif							/* RQ_STATEMENT_H */
