/*
 * rq_values.h
 *	  Between SQL values and the parts of a message.
 */
#ifndef RQ_VALUES_H
#define RQ_VALUES_H

#include "queue/rq_consume.h"
#include "value/rq_columns.h"

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

/* Throw unless these bytes are valid text in the database's encoding. */
extern void rq_check_text(const char *what, const char *bytes, uint32 len);

#endif							/* RQ_VALUES_H */
