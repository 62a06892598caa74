/*
 * rq_tableam.h
 *	  The table access method rocketq: a topic is a table.
 */
#ifndef RQ_TABLEAM_H
#define RQ_TABLEAM_H

#include "access/tableam.h"

/* The routine that the handler of the access method returns. */
extern const TableAmRoutine rq_table_am;

#endif							/* RQ_TABLEAM_H */
