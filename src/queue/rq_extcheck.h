/*
 * rq_extcheck.h
 *	  Check chunks and extents while everybody uses them.
 */
#ifndef RQ_EXTCHECK_H
#define RQ_EXTCHECK_H

typedef void (*RqExtComplain) (const char *what, const char *problem, void *arg);

/*
 * Check the headers of all chunks and extents, that each extent is free, a
 * queue's, or given back, and that free ones are zeros and are counted right.
 * Takes the meta lock, locks of queues and the extents lock, for an extent or a
 * chunk at a time; for longer only when something seems to be wrong.  Can be
 * interrupted.
 */
extern void rq_extcheck_all(RqExtComplain complain, void *arg);

#endif							/* RQ_EXTCHECK_H */
