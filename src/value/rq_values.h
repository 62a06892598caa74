/*
 * rq_values.h
 *	  Convert between SQL values and the parts of a message.
 */
#ifndef RQ_VALUES_H
#define RQ_VALUES_H

#include "consume/rq_consume.h"
#include "value/rq_columns.h"

/* The delivery attempt of every message, until messages are retried. */
#define RQ_FIRST_DELIVERY	1

/*
 * Set one part of a message from a SQL value, detoasting it if necessary.  The
 * part points into the value or into memory allocated in the current context.
 * Not called for nulls: a part that is all zeros is missing.  Those for keys and
 * properties throw if the value is not of the form required.
 */
extern void rq_set_tag(RqParts *m, Datum text_value);
extern void rq_set_keys(RqParts *m, Datum text_array);	/* no NULL elements */
extern void rq_set_sharding_key(RqParts *m, Datum text_value);
extern void rq_set_properties(RqParts *m, Datum jsonb_value);	/* an object */
extern void rq_set_body(RqParts *m, Datum varlena_value);	/* text or bytea */
extern void rq_set_body_jsonb(RqParts *m, Datum jsonb_value);	/* as JSON text */

/*
 * Build the first "ncolumns" columns of a message that was read, in the current
 * memory context.  Throws if text is not valid in the database's encoding.
 */
extern void rq_message_values(const RqMessage *m, int ncolumns,
							  Datum *values, bool *nulls);

/*
 * The keys and the properties of a message that has them, as values allocated in
 * the current memory context.  They throw like rq_message_values().
 */
extern Datum rq_keys_value(const RqParts *p);
extern Datum rq_properties_value(const RqParts *p);

/* What some text is, for the error if it is not valid. */
typedef enum RqTextKind
{
	RQ_TEXT_TAG,
	RQ_TEXT_KEY,
	RQ_TEXT_SHARDING_KEY,
	RQ_TEXT_PROPERTIES,
	RQ_TEXT_BODY
} RqTextKind;

/* Throw unless these bytes are valid text in the database's encoding. */
extern void rq_check_text(RqTextKind kind, const char *bytes, uint32 len);

#endif							/* RQ_VALUES_H */
