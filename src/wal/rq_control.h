/*
 * rq_control.h
 *	  What PostgreSQL's control file says about the WAL that is to be replayed.
 */
#ifndef RQ_CONTROL_H
#define RQ_CONTROL_H

#include "access/xlogdefs.h"

/*
 * Where replay begins, InvalidXLogRecPtr if that can't be read.  Without replay,
 * after a clean shutdown or if WAL was reset, where WAL goes on.  Before recovery
 * begins.
 */
extern XLogRecPtr rq_redo_start(bool *replay);

#endif							/* RQ_CONTROL_H */
