/*
 * rq_extlist.h
 *	  Extents that queues have given back, and what a sync makes of them.
 */
#ifndef RQ_EXTLIST_H
#define RQ_EXTLIST_H

#include "extent/rq_extmem.h"

/*
 * The header of an extent in memory; NULL if there is no such extent or, with a
 * mode that probes, if it can't be mapped; else throws then.
 */
extern RqExtentHeader *rq_ext_header(RqExtAddr addr, RqMapMode mode);

/*
 * Call "touch", and return what it returns: false, too, if it throws, as when a
 * page of an area file cannot be read.  The error is in the server log then, and
 * the extents lock is not held; what else it has taken is its own affair.  For
 * those who have to go on whatever comes; in no critical section.  Can't throw.
 */
typedef bool (*RqExtTouch) (void *arg);
extern bool rq_extent_try(RqExtTouch touch, void *arg);

/*
 * Give back the extents of a queue, or those at its beginning.  The queue's own
 * words about them change afterwards, or have already.  False, and nothing is
 * changed, if a header cannot be mapped or read.  Can't throw.
 */
extern bool rq_chain_give_back(RqExtChain chain);

/*
 * Chains of queues that go.  Memory for "most" of them is taken before anything
 * is changed, and may throw; to add one, or to give back all, can't.  What cannot
 * be given back is reported in the server log, and free after the next start.
 */
typedef struct RqExtChains
{
	uint32		n;
	uint32		most;
	RqExtChain *chains;
} RqExtChains;

extern void rq_chains_begin(RqExtChains *c, uint32 most);
extern void rq_chains_add(RqExtChains *c, RqExtChain chain);
extern void rq_chains_give_back(RqExtChains *c);

/*
 * Around a sync, by whoever syncs, who is the only one: before it copies the
 * first slot, and after what it has copied is on disk.  If that fails, the
 * second is not called, and the next sync takes all along.  May throw, with
 * nothing changed.
 */
extern void rq_extent_sync_begin(void);
extern void rq_extent_sync_done(void);

/*
 * Is so much not free before a sync that one should be made for that?  Little is
 * enough while no others can be made free, or if somebody else lacks room on the
 * file system.
 */
extern bool rq_extent_wants_sync(bool others_lack_room);

/* Would one be of any use for that? */
extern bool rq_extent_awaits_sync(void);

#endif							/* RQ_EXTLIST_H */
