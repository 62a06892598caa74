/*
 * rq_body.h
 *	  Bodies of messages from SQL values of the types that can be one.
 */
#ifndef RQ_BODY_H
#define RQ_BODY_H

#include "fmgr.h"

#include "queue/rq_produce.h"

/* How values of one type become bodies. */
typedef struct RqBodyType
{
	Oid			type;			/* what it was asked for */
	void		(*set) (RqParts *m, Datum value);	/* NULL = by "out" */
	FmgrInfo	out;			/* the type's output function */
} RqBodyType;

/*
 * How values of a type, or of a domain over one, become bodies: bytea, text,
 * json and other strings as they are, jsonb as its text.  Throws for all other
 * types, whose values are seldom meant as they would be printed.
 */
extern void rq_body_type(RqBodyType *t, Oid type, MemoryContext cxt);

/*
 * The same for an argument of a polymorphic type, which is found out once for
 * all calls of a statement.
 */
extern const RqBodyType *rq_body_type_of_arg(FunctionCallInfo fcinfo, int argno);

/* Memory of the body is in the current context or is the value's own. */
extern void rq_body_set(const RqBodyType *t, RqParts *m, Datum value);

#endif							/* RQ_BODY_H */
