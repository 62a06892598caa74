/*
 * rq_extsupply.h
 *	  Make extents free before they are needed, and give back chunks.
 *
 * For the allocator, or for the startup process while there is none: only one
 * process may do this at a time.
 */
#ifndef RQ_EXTSUPPLY_H
#define RQ_EXTSUPPLY_H

#include "extent/rq_extmem.h"

/* Is an extent, of which this is a copy of the header, a queue's? */
typedef bool (*RqExtIsNeeded) (RqExtAddr addr, const RqExtentHeader *h);

/*
 * Make free what is released, then sweep or fill chunks until as many extents of
 * each class are free as "want" says.  False if there is more to do, but about
 * "most" bytes have been worked on.  "err" gets 0, or an errno: then that is all
 * there is for now.  "is_needed" is rq_extent_is_needed().  Can't throw.
 */
extern bool rq_extent_supply(const uint64 want[RQ_EXT_CLASSES], uint64 most,
							 RqExtIsNeeded is_needed, int *err);

/* Throw because no more extents can be made free, for this errno. */
extern void rq_extent_report_lacking(int err);

/*
 * Sweep so many chunks at most, though nobody needs what is in them: one that
 * turns out to be empty can be razed.
 */
extern void rq_extent_sweep(uint32 most);

/*
 * Give back the space of chunks with nothing in them, but for as many of each
 * class as "keep" says: of "most" chunks at most; looks at "look" chunks, goes on
 * where it has stopped, and returns how many it has given back.
 */
extern uint32 rq_extent_raze(const uint32 keep[RQ_EXT_CLASSES], uint32 look,
							 uint32 most);

/*
 * The disk is full, and extents of another class are needed than those that there
 * are: give back all chunks with nothing in them, or find one if there is none;
 * what is released becomes free before.  Startup process only.  Can't throw.
 */
extern void rq_extent_make_room(RqExtIsNeeded is_needed);

#endif							/* RQ_EXTSUPPLY_H */
