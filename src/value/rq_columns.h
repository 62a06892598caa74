/*
 * rq_columns.h
 *	  The columns of rocketq.message, which every topic has.
 */
#ifndef RQ_COLUMNS_H
#define RQ_COLUMNS_H

#include "access/tupdesc.h"
#include "utils/rel.h"

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

/* Columns that a producer cannot set. */
#define RQ_NCOMPUTED	5
extern const RqColumn rq_computed[RQ_NCOMPUTED];

/* The name of a column of rocketq.message. */
extern const char *rq_column_name(RqColumn column);

/* Is the attribute, by its number, name and type, one of rocketq.message? */
extern bool rq_column_fits(const FormData_pg_attribute *att);

/*
 * Throw if the definition of a topic's column gives it values that only rocketq
 * can set, or values that consumers would not see.
 */
extern void rq_check_computed(const FormData_pg_attribute *att);

/* Throw if the column belongs to a topic and cannot have a default. */
extern void rq_check_default(Oid relid, int attnum);

/* Throw if this column of a topic cannot be NOT NULL. */
extern void rq_check_not_null(int attnum);

/* Throw unless the relation has exactly the columns of rocketq.message. */
extern void rq_check_columns(Relation rel);

#endif							/* RQ_COLUMNS_H */
