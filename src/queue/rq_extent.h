/*
 * rq_extent.h
 *	  The extents of a queue: added, found, given back.
 */
#ifndef RQ_EXTENT_H
#define RQ_EXTENT_H

#include "format/rq_extfmt.h"
#include "extent/rq_extmem.h"
#include "store/rq_map.h"
#include "topic/rq_tables.h"

/*
 * Whose extents, for a reader that does not keep the queue (see RqQueue): it
 * copies this while it does.
 */
typedef struct RqExtOwner
{
	RqKey		key;			/* of the topic */
	uint32		queue_id;
	XLogRecPtr	born;
} RqExtOwner;

extern RqExtOwner rq_extent_owner(const RqQueue *q);

typedef enum RqExtResult
{
	RQ_EXT_DONE,
	RQ_EXT_LACKING				/* nothing is free: release locks, wait for
								 * the allocator, try again */
} RqExtResult;

/*
 * Give the queue another extent, which begins at "first", the end of its last
 * one, or of the queue if it has none.  It gets "coming" entries next.  The
 * caller holds the queue's lock exclusively and is in no critical section;
 * throws, with nothing changed, when a file can't be mapped.  In recovery nothing
 * is lacking: chunks are filled on the spot, or this throws.  While RqExtents.space
 * has an error, the extent can be smaller than "coming", or larger.
 */
extern RqExtResult rq_extent_add(RqQueue *q, RqOff first, uint64 coming);

/*
 * How many entries have room from the queue's end on.  Under its lock; without
 * it, a guess.
 */
extern uint64 rq_extent_room(const RqQueue *q);

/*
 * Fetch the place of the next entry from memory, for who will enqueue, if its area
 * file is mapped.  A hint.  Takes no lock; can't throw.
 */
extern void rq_extent_fetch_end(RqQueue *q);

/* The class of an extent that begins at "first" and gets "coming" entries. */
static inline int
rq_extent_next_class(RqQueue *q, RqOff first, uint64 coming)
{
	return rq_ext_class_for(first - pg_atomic_read_u64(&q->start), coming);
}

/* The entries of one extent, which are neighbours in memory. */
typedef struct RqExtRun
{
	RqExtAddr	addr;			/* RQ_EXT_NONE = none */
	RqOff		first;
	uint32		count;			/* not all of them need be below the end */
	RqEntry    *entries;		/* of "first" */
	uint64		mapped;			/* rq_map_areas_gone then */
} RqExtRun;

/* Is the entry in the extent, and that still mapped as it was? */
static inline bool
rq_run_has(const RqExtRun *run, RqOff off)
{
	return off - run->first < run->count && run->mapped == rq_map_areas_gone;
}

/*
 * Find the extent that has an entry; false if there is none, if a header that
 * leads there is damaged, or if it can't be mapped and the mode probes.  "run" is all zeros or the one found before, which
 * helps if that ends at "off".  "owner" is NULL for who keeps the queue.
 *
 * Takes no lock.  The caller has seen "off" below end, with a read barrier after
 * that, or holds the queue's lock.  When it has copied what it wants it checks
 * that start has not passed "off": else what it has found can be anything.
 */
extern bool rq_extent_find(RqQueue *q, const RqExtOwner *owner, RqOff off,
						   RqMapMode mode, RqExtRun *run);

/*
 * Is the extent, of which this is the header, one of the queue's?  True at some
 * moment during the call if the queue's lock is not held.  Throws if a page can't
 * be read.  The second one looks for the queue, and takes the meta lock for that
 * but in recovery; it can't throw, and is true if a page can't be read.
 */
extern bool rq_extent_is_of(RqQueue *q, RqExtAddr addr, const RqExtentHeader *h);
extern bool rq_extent_is_needed(RqExtAddr addr, const RqExtentHeader *h);

/*
 * Give back what lies below the queue's start, and all if it is empty but for a
 * small extent with room.  Under its lock, after start has been raised, in no
 * critical section.  What cannot be mapped or read stays until the next call.
 * Can't throw.
 */
extern void rq_extent_cut(RqQueue *q);

#endif							/* RQ_EXTENT_H */
