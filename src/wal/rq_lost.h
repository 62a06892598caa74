/*
 * rq_lost.h
 *	  Go on without files that are lost (rocketq.ignore_missing_files).
 */
#ifndef RQ_LOST_H
#define RQ_LOST_H

/*
 * Make again, without what they held, the segments that the log and the queues
 * end in, where they are missing.  Called by the keeper if the server is to go
 * on without them, before anybody uses the store.  Takes the meta lock; throws
 * if a file cannot be made.
 */
extern void rq_files_make_lost(void);

#endif							/* RQ_LOST_H */
