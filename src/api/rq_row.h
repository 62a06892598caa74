/*
 * rq_row.h
 *	  Rows that a set-returning function puts together column by column.
 */
#ifndef RQ_ROW_H
#define RQ_ROW_H

#include "datatype/timestamp.h"
#include "fmgr.h"
#include "nodes/execnodes.h"

#define RQ_ROW_COLUMNS	24

/* A row under construction; begin with {.n = 0}. */
typedef struct RqRow
{
	Datum		values[RQ_ROW_COLUMNS];
	bool		nulls[RQ_ROW_COLUMNS];
	int			n;
} RqRow;

/*
 * Begin the result of a function that returns all rows at once.  ERROR unless
 * the library was preloaded.
 */
extern ReturnSetInfo *rq_rows_begin(FunctionCallInfo fcinfo);

/* Add the next column: a value, NULL, or a value only if it is known. */
extern void rq_row_value(RqRow *row, Datum value);
extern void rq_row_null(RqRow *row);
extern void rq_row_if(RqRow *row, bool known, Datum value);

/* The same for a time and a process, which are not known if they are 0. */
extern void rq_row_time(RqRow *row, TimestampTz t);
extern void rq_row_pid(RqRow *row, int pid);

/* The row has all columns: add it to the result. */
extern void rq_row_finish(ReturnSetInfo *rsinfo, RqRow *row);

#endif							/* RQ_ROW_H */
