/*
 * rq_retain.h
 *	  Remove segments that nobody needs any more.
 */
#ifndef RQ_RETAIN_H
#define RQ_RETAIN_H

#include "format/rq_walrec.h"

/* Trim every segment that may go; returns how many.  Janitor only. */
extern int	rq_retain_round(void);

extern void rq_retain_redo_trim(const xl_rq_trim *rec,
								const xl_rq_queue_start *starts,
								XLogRecPtr lsn);

#endif							/* RQ_RETAIN_H */
