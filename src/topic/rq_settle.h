/*
 * rq_settle.h
 *	  Settle what ended transactions have left in slots, some in each round.
 */
#ifndef RQ_SETTLE_H
#define RQ_SETTLE_H

/* Where a pass over all slots is; all zeros at first. */
typedef struct RqPass
{
	uint32		next;			/* slot */
	uint32		looked;			/* at so many slots in this pass */
} RqPass;

/*
 * Call "settle", with no lock held, for slots for which "in_doubt" says yes, which
 * is asked without a lock; at most "round" of them.  True if the next call
 * should come at once, since the pass has not come to all slots yet.  Throws
 * what "settle" does; the next call goes on behind that slot.
 */
extern bool rq_settle_some(RqPass *pass, uint32 nslots, int round,
						   bool (*in_doubt) (uint32 slot),
						   void (*settle) (uint32 slot));

#endif							/* RQ_SETTLE_H */
