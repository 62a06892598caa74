/*
 * rq_retain.h
 *	  Remove messages that nobody needs any more.
 */
#ifndef RQ_RETAIN_H
#define RQ_RETAIN_H

#include "shmem/rq_shmem.h"

/* Trim what may go.  Janitor only. */
extern void rq_retain_round(void);

/*
 * How long messages of a topic are kept, in seconds; -1 = for ever.  The
 * caller holds the meta lock.
 */
extern int	rq_retain_time(uint32 topic);

/* Who or what keeps the log from being trimmed, for people; palloc'd. */
extern char *rq_retain_kept_by(const RqKept *kept);

#endif							/* RQ_RETAIN_H */
