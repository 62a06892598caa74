/*
 * rq_exthole.h
 *	  Entries of queues that are missing when the server starts.
 */
#ifndef RQ_EXTHOLE_H
#define RQ_EXTHOLE_H

#include "queue/rq_extclaim.h"

/* Entries [from, to) of a queue are missing. */
typedef void (*RqExtMissing) (RqQueue *q, RqOff from, RqOff to, void *arg);

/*
 * Entries may have come back that extents were made for, of those that are chosen;
 * tell what is missing all the same, also what is in no extent.
 */
extern void rq_holes_tell(RqClaims *claims, RqExtMissing missing, void *arg);

/* Copy what has come back.  FATAL if a file can't be written. */
extern void rq_holes_heal(RqClaims *claims);

#endif							/* RQ_EXTHOLE_H */
