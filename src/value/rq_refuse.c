/*
 * rq_refuse.c
 *	  What statements cannot do to messages, with one wording for each refusal.
 *
 * The executor hook refuses a statement before it runs, whatever rows it would
 * find; the access method refuses what gets past the hook, such as an UPDATE of
 * a partitioned table that reaches a message.
 */
#include "postgres.h"

#include "value/rq_refuse.h"

RQ_NORETURN void
rq_refuse_delete(void)
{
	RQ_REFUSE("messages of a topic cannot be deleted",
			  "Messages are removed by retention, or all at once by TRUNCATE.");
}

RQ_NORETURN void
rq_refuse_update(void)
{
	RQ_REFUSE("messages of a topic cannot be updated",
			  "Produce a new message; retention removes old ones.");
}

RQ_NORETURN void
rq_refuse_lock(void)
{
	RQ_REFUSE("messages of a topic cannot be locked",
			  "rocketq.consume() delivers messages to one transaction at a time.");
}

RQ_NORETURN void
rq_refuse_foreign_key(void)
{
	RQ_REFUSE("foreign keys from a topic are not supported",
			  "Check the message in a BEFORE ROW trigger.");
}
