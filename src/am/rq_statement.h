/*
 * rq_statement.h
 *	  The statement that runs, and what it says about copies of messages.
 */
#ifndef RQ_STATEMENT_H
#define RQ_STATEMENT_H

#include "nodes/plannodes.h"
#include "utils/rel.h"

/* The innermost statement that the executor runs in this process. */
typedef struct RqStatement
{
	PlannedStmt *stmt;			/* NULL = none */
	Oid			topic;			/* what "keep" is about, InvalidOid = nothing */
	bool		keep;			/* see rq_copies_keep_queues() */
} RqStatement;

/*
 * The executor begins to run a statement; the result is the one around it, which
 * rq_statement_end() brings back, also after an error.
 */
extern RqStatement rq_statement_begin(PlannedStmt *stmt);
extern void rq_statement_end(const RqStatement *outer);

/*
 * Copies of messages with a sharding key come into this topic: do they keep
 * their queues?  They do unless the statement that runs takes them from a topic
 * with another number of queues, or from something that does not tell.
 */
extern bool rq_copies_keep_queues(Relation topic);

#endif							/* RQ_STATEMENT_H */
