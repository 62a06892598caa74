/*
 * rq_rows.c
 *	  Memory for the rows that a call returns.
 *
 * A consumer gets rows of some hundred kilobytes with each call, and is done with
 * them at the end of the query.  If their memory went back to the system then,
 * as malloc sees fit, each call would fault in hundreds of pages again, which
 * takes as long as reading the messages.  So each session that reads messages
 * keeps KEPT bytes, of which pages that were never needed take no memory.
 *
 * It is given to one query at a time, and is that query's until its own memory
 * goes, by its end or by an error.  Others, such as one that runs while a cursor
 * is open, use their own.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "value/rq_rows.h"

/* The rows of 1000 messages of some hundred bytes.  What does not fit is freed. */
#define KEPT		(1024 * 1024)

static MemoryContext kept = NULL;
static MemoryContext kept_for = NULL;	/* the query's, NULL = nobody has it */

static void
take_back(void *query)
{
	Assert(kept_for == query);
	kept_for = NULL;
	MemoryContextReset(kept);
}

/* Nothing can fail between giving it and having it taken back. */
static void
give_to(MemoryContext query)
{
	MemoryContextCallback *at_reset = MemoryContextAlloc(query, sizeof(*at_reset));

	at_reset->func = take_back;
	at_reset->arg = query;
	MemoryContextRegisterResetCallback(query, at_reset);
	kept_for = query;
}

MemoryContext
rq_rows_memory(MemoryContext query)
{
	if (kept == NULL)
		kept = AllocSetContextCreate(TopMemoryContext, "rocketq rows",
									 KEPT, KEPT, ALLOCSET_DEFAULT_MAXSIZE);
	if (kept_for == NULL)
		give_to(query);
	return kept_for == query ? kept : query;
}
