/*
 * rq_control.h
 *	  What WAL is to be replayed, by PostgreSQL's control file and the files beside
 *	  it that ask for recovery.
 */
#ifndef RQ_CONTROL_H
#define RQ_CONTROL_H

#include "access/xlogdefs.h"

/*
 * Where replay begins, InvalidXLogRecPtr if that can't be read.  Without replay,
 * after a clean shutdown or if WAL was reset, and if no standby.signal or
 * recovery.signal asks for more, where WAL goes on.  Before recovery begins.
 */
extern XLogRecPtr rq_redo_start(bool *replay);

#endif							/* RQ_CONTROL_H */
