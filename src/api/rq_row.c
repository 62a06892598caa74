/*
 * rq_row.c
 *	  Rows that a set-returning function puts together column by column.
 */
#include "postgres.h"

#include "funcapi.h"
#include "utils/timestamp.h"

#include "api/rq_row.h"
#include "shmem/rq_shmem.h"

void
rq_row_value(RqRow *row, Datum value)
{
	row->values[row->n] = value;
	row->nulls[row->n++] = false;
}

void
rq_row_null(RqRow *row)
{
	row->values[row->n] = (Datum) 0;
	row->nulls[row->n++] = true;
}

void
rq_row_if(RqRow *row, bool known, Datum value)
{
	if (known)
		rq_row_value(row, value);
	else
		rq_row_null(row);
}

void
rq_row_time(RqRow *row, TimestampTz t)
{
	rq_row_if(row, t != 0, TimestampTzGetDatum(t));
}

void
rq_row_pid(RqRow *row, int pid)
{
	rq_row_if(row, pid != 0, Int32GetDatum(pid));
}

ReturnSetInfo *
rq_rows_begin(FunctionCallInfo fcinfo)
{
	rq_require_preload();
	InitMaterializedSRF(fcinfo, 0);
	return (ReturnSetInfo *) fcinfo->resultinfo;
}

void
rq_row_finish(ReturnSetInfo *rsinfo, RqRow *row)
{
	Assert(row->n == rsinfo->setDesc->natts);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc,
						 row->values, row->nulls);
}
