/*
 * rq_values.h
 *	  Between SQL values and the parts of a message, and rocketq.message's
 *	  columns.
 */
#ifndef RQ_VALUES_H
#define RQ_VALUES_H

#include "executor/tuptable.h"

#include "queue/rq_consume.h"

/* The columns of rocketq.message, in order. */
typedef enum RqColumn
{
	RQ_COL_QUEUE_ID,			/* int4 */
	RQ_COL_QUEUE_OFFSET,		/* int8 */
	RQ_COL_MESSAGE_ID,			/* int8 */
	RQ_COL_TAG,					/* text */
	RQ_COL_KEYS,				/* text[] */
	RQ_COL_SHARDING_KEY,		/* text */
	RQ_COL_PROPERTIES,			/* jsonb */
	RQ_COL_BORN_AT,				/* timestamptz */
	RQ_COL_STORED_AT,			/* timestamptz */
	RQ_COL_DELIVERY_ATTEMPT,	/* int4 */
	RQ_COL_BODY					/* bytea */
} RqColumn;

#define RQ_NCOLUMNS		11

/* Of every message, as long as nothing is delivered again by itself. */
#define RQ_FIRST_DELIVERY	1

/*
 * Set one part of a message from a SQL value, detoasted; memory of the result
 * is in the current context or is the value's own.  Not called for NULLs,
 * which leave the part as memset(0) has it.
 */
extern void rq_set_tag(RqParts *m, Datum text_value);
extern void rq_set_keys(RqParts *m, Datum text_array);	/* no NULL elements */
extern void rq_set_sharding_key(RqParts *m, Datum text_value);
extern void rq_set_properties(RqParts *m, Datum jsonb_value);	/* an object */
extern void rq_set_body(RqParts *m, Datum varlena_value);	/* text or bytea */
extern void rq_set_body_jsonb(RqParts *m, Datum jsonb_value);	/* as JSON text */

/*
 * The columns of a message that was read, in the current memory context.
 * Only the first "ncolumns" are built.
 */
extern void rq_message_values(const RqMessage *m, int ncolumns,
							  Datum *values, bool *nulls);

/* Columns of a message that has them, in the current memory context. */
extern Datum rq_keys_value(const RqParts *p);
extern Datum rq_properties_value(const RqParts *p);

/* ---- rq_tuple.c: rows for a tuplestore ---- */

/*
 * A slot for rq_message_slot_set().  Throws unless the columns are those of
 * rocketq.message.
 */
extern TupleTableSlot *rq_message_slot(TupleDesc desc);

/*
 * Let it hold a message, which must stay as long as somebody asks for it, as
 * must the current memory context.  All it can do is be put into a tuplestore.
 */
extern void rq_message_slot_set(TupleTableSlot *slot, const RqMessage *m);

/* Throw unless these bytes are valid text in the database's encoding. */
extern void rq_check_text(const char *what, const char *bytes, uint32 len);

#endif							/* RQ_VALUES_H */
