/*
 * rq_body.c
 *	  Convert SQL values to message bodies.
 *
 * The functions that produce accept a body of any type (anycompatible) instead of
 * being overloaded for each type, because of values without a type: drivers send
 * parameters of unknown type, which PostgreSQL resolves to text if the argument
 * is the only one of its polymorphic type, and an array of them to text[].  It
 * could not choose between functions for text[], bytea[] and jsonb[].
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "parser/parse_coerce.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "api/rq_body.h"
#include "value/rq_values.h"

/* The blanks that pad a value of type char(n) are insignificant. */
static void
set_bpchar(RqParts *m, Datum value)
{
	rq_set_body(m, DirectFunctionCall1(rtrim1, value));
}

static void
refuse_type(Oid type)
{
	if (!OidIsValid(type))
		ereport(ERROR,
				(errcode(ERRCODE_INDETERMINATE_DATATYPE),
				 errmsg("could not determine the type of the message body")));
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("message body cannot be of type %s", format_type_be(type)),
			 errdetail("A message body must be of type text, bytea, json, or jsonb."),
			 OidIsValid(get_element_type(type)) ?
			 errhint("Use rocketq.produce_batch() for an array of bodies.") :
			 errhint("Cast the value to one of these types, or use to_jsonb().")));
}

typedef void (*SetBody) (RqParts *m, Datum value);

/* NULL for a type whose values are not bodies by themselves. */
static SetBody
set_for(Oid type)
{
	switch (type)
	{
		case TEXTOID:
		case BYTEAOID:
		case VARCHAROID:
		case JSONOID:
			return rq_set_body;
		case JSONBOID:
			return rq_set_body_jsonb;
		case BPCHAROID:
			return set_bpchar;
		default:
			return NULL;
	}
}

void
rq_body_type(RqBodyType *t, Oid type, MemoryContext cxt)
{
	Oid			base;
	Oid			out;
	bool		varlena;

	t->type = type;
	t->set = set_for(type);
	if (t->set != NULL)
		return;
	base = OidIsValid(type) ? getBaseType(type) : InvalidOid;
	t->set = set_for(base);
	if (t->set != NULL)
		return;
	if (!OidIsValid(base) || TypeCategory(base) != TYPCATEGORY_STRING)
		refuse_type(type);
	getTypeOutputInfo(base, &out, &varlena);
	fmgr_info_cxt(out, &t->out, cxt);
}

const RqBodyType *
rq_body_type_of_arg(FunctionCallInfo fcinfo, int argno)
{
	FmgrInfo   *flinfo = fcinfo->flinfo;

	if (flinfo->fn_extra == NULL)
	{
		RqBodyType *t = MemoryContextAlloc(flinfo->fn_mcxt, sizeof(RqBodyType));

		rq_body_type(t, get_fn_expr_argtype(flinfo, argno), flinfo->fn_mcxt);
		flinfo->fn_extra = t;
	}
	return flinfo->fn_extra;
}

void
rq_body_set(const RqBodyType *t, RqParts *m, Datum value)
{
	if (t->set != NULL)
		t->set(m, value);
	else
		rq_set_body(m, CStringGetTextDatum(OutputFunctionCall((FmgrInfo *) &t->out,
															  value)));
}
