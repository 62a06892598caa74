/*
 * rq_settle.h
 *	  Settle what ended transactions have left in slots, some in each round.
 */
#ifndef RQ_SETTLE_H
#define RQ_SETTLE_H

#include "base/rq_base.h"

/*
 * Where a pass over all slots is; all zeros at first.  Who sets "looked" to 0
 * begins another one, at the slot after the last.
 */
typedef struct RqPass
{
	uint32		next;			/* slot */
	uint32		looked;			/* at so many slots in this pass */
	bool		skip_damaged;	/* leave ids that can't be right to others */
} RqPass;

/* A slot waits for at most so many transactions. */
#define RQ_SETTLE_XIDS	3

/* For which transactions does it wait?  Asked without a lock. */
typedef int (*RqSettleInDoubt) (uint32 slot, uint64 xids[RQ_SETTLE_XIDS]);

/*
 * Call "settle", with no lock held, for slots of which a transaction has ended;
 * at most "round" of those in doubt are looked at.  True if the next call
 * should come at once, since the pass has not come to all slots yet.  Throws
 * what "settle" does; the next call goes on behind that slot.  Can be
 * interrupted.
 */
extern bool rq_settle_some(RqPass *pass, uint32 nslots, int round,
						   RqSettleInDoubt in_doubt,
						   void (*settle) (uint32 slot));

#endif							/* RQ_SETTLE_H */
