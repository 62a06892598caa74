/*
 * rq_needs.h
 *	  The lowest position that somebody needs.
 */
#ifndef RQ_NEEDS_H
#define RQ_NEEDS_H

#include "retain/rq_round.h"

/*
 * Find what of the log must stay, and put it into the round.  Changes nothing;
 * takes the meta lock, for a bounded time under each hold.  Janitor only.
 */
extern void rq_needs_find(RqRound *r);

#endif							/* RQ_NEEDS_H */
