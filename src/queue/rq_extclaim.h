/*
 * rq_extclaim.h
 *	  Which extents a queue has, of all that say that they are its own.
 */
#ifndef RQ_EXTCLAIM_H
#define RQ_EXTCLAIM_H

#include "format/rq_extfmt.h"
#include "topic/rq_tables.h"

/* An extent that says it has entries which a queue needs; or is to be made. */
typedef struct RqClaim
{
	RqQueue    *queue;
	RqOff		first;
	uint64		seq;
	RqExtAddr	addr;			/* RQ_EXT_NONE = it is to be made */
	uint16		has;			/* so many entries are in it */
	uint16		count;			/* so many count */
	uint8		class;
	bool		hole;			/* entries of it can be missing */
	bool		chosen;
	uint32		depth;
	RqExtAddr	prev;			/* as it has to be */
	RqExtAddr	next;
} RqClaim;

/* After rq_claims_choose() sorted by queue, the last entries first. */
typedef struct RqClaims
{
	RqClaim    *all;
	uint64		n;
	uint64		room;
} RqClaims;

extern void rq_claims_init(RqClaims *claims);
extern void rq_claims_add(RqClaims *claims, const RqClaim *c);

/*
 * Choose the extents that each queue has, so that they are neighbours and have
 * all entries from its start to its end.  Where nobody claims them, claims of
 * extents that are to be made are added.
 */
extern void rq_claims_choose(RqClaims *claims);

/*
 * Call "visit" with the claims of one queue after the other, queues without any
 * left out.  They must be sorted by queue.
 */
typedef void (*RqClaimsVisit) (RqClaim *at, RqClaim *end, void *arg);
extern void rq_claims_visit(RqClaims *claims, RqClaimsVisit visit, void *arg);

/*
 * All that are chosen have addresses: set prev, next and depth, and the queues'
 * first and last extents.  Then sort by address.
 */
extern void rq_claims_link(RqClaims *claims);

#endif							/* RQ_EXTCLAIM_H */
