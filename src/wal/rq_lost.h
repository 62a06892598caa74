/*
 * rq_lost.h
 *	  Go on without files that are lost (rocketq.ignore_missing_files).
 */
#ifndef RQ_LOST_H
#define RQ_LOST_H

/*
 * Make again, without what it held, the segment that the log ends in, if it is
 * missing.  Called by the keeper if the server is to go on without it, before
 * anybody uses the store.  Throws if the file cannot be made.
 */
extern void rq_files_make_lost(void);

#endif							/* RQ_LOST_H */
