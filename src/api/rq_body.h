/*
 * rq_body.h
 *	  Convert SQL values to message bodies.
 */
#ifndef RQ_BODY_H
#define RQ_BODY_H

#include "fmgr.h"

#include "produce/rq_produce.h"

/* How values of one type become bodies. */
typedef struct RqBodyType
{
	Oid			type;			/* the type of the values */
	void		(*set) (RqParts *m, Datum value);	/* NULL = use "out" */
	FmgrInfo	out;			/* the type's output function */
} RqBodyType;

/*
 * Determine how values of a type, or of a domain over one, become bodies: bytea,
 * text, json and other string types unchanged, jsonb as its text.  Throws for any
 * other type, whose text representation is seldom what is meant.  Memory is
 * allocated in "cxt".
 */
extern void rq_body_type(RqBodyType *t, Oid type, MemoryContext cxt);

/*
 * The same for an argument of a polymorphic type, determined once for all calls
 * of a statement.
 */
extern const RqBodyType *rq_body_type_of_arg(FunctionCallInfo fcinfo, int argno);

/*
 * Set the body of a message.  It points into the value, or into memory allocated
 * in the current context.
 */
extern void rq_body_set(const RqBodyType *t, RqParts *m, Datum value);

#endif							/* RQ_BODY_H */
