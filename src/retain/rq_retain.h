/*
 * rq_retain.h
 *	  Remove messages that nobody needs any more.
 */
#ifndef RQ_RETAIN_H
#define RQ_RETAIN_H

/*
 * Trim what may go.  Janitor only; throws the first error of a queue that
 * cannot be read, when all else is done.
 */
extern void rq_retain_round(void);

#endif							/* RQ_RETAIN_H */
