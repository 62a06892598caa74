/*
 * rq_rows.h
 *	  Memory for the rows that a call returns.
 */
#ifndef RQ_ROWS_H
#define RQ_ROWS_H

#include "utils/palloc.h"

/*
 * Where the rows of a call can be kept as long as "query", the memory of its
 * query: there, or in memory that the session keeps for this.
 */
extern MemoryContext rq_rows_memory(MemoryContext query);

#endif							/* RQ_ROWS_H */
