/*
 * rq_slots.h
 *	  Slots of a fixed table, given to owners that each want many.
 *
 * A topic has a slot for each queue, a group an offset for each queue of its
 * topic.  Which slots these are depends on who came and went before, and is
 * not the same on a primary, on a standby and after a restart.  So whether an
 * owner gets what it wants may depend on one thing only: how many slots are
 * free.  Any free slot serves any owner, and finding the i-th slot of an owner
 * costs the same wherever the slots lie.
 *
 * The first slots of an owner stand in its map.  The others are leaves of a
 * tree of pages:
 *
 *		map		[s0 .. s7]	root -> [page | page | ..] -> [s8 .. s23]
 *
 * A tree keeps its height until the owner is back to what the map holds.  So an
 * owner with n slots has at most n/2 pages (four for nine slots), and a pool
 * with a page for every two slots never lacks one while it has a slot.
 *
 * Maps and pools change under the meta lock held exclusively, or in the startup
 * process.  A map grows only while nobody else uses its owner.  It is cut while
 * others use what stays, which they find without the lock: the pages on the way
 * to a slot that stays are not touched.
 */
#ifndef RQ_SLOTS_H
#define RQ_SLOTS_H

#include "port/atomics.h"

#include "base/rq_base.h"
#include "shmem/rq_parts.h"

#define RQ_NO_SLOT			PG_UINT32_MAX

#define RQ_SLOTS_NEAR		8	/* in the map itself */
#define RQ_SLOTS_PAGE		16	/* in a page */
#define RQ_SLOTS_PAGE_BITS	4
#define RQ_SLOTS_HEIGHT		4	/* of the highest tree */

StaticAssertDecl(RQ_QUEUES_MAX - RQ_SLOTS_NEAR <=
				 1 << (RQ_SLOTS_PAGE_BITS * RQ_SLOTS_HEIGHT),
				 "a tree holds the slots of any owner");

typedef struct RqSlotPage
{
	uint32		at[RQ_SLOTS_PAGE];	/* pages, or slots in a leaf */
} RqSlotPage;

typedef struct RqSlotMap
{
	uint32		n;
	uint32		height;			/* of the tree; 0 = there is none */
	uint32		root;
	uint32		near[RQ_SLOTS_NEAR];
} RqSlotMap;

/* Lists of free slots and pages are linked through the places themselves. */
typedef struct RqPool
{
	uint32		nslots;
	uint32		nfree;
	uint32		first_free;
	uint32		npages;
	uint32		first_free_page;
	RqSlotPage *pages;			/* npages */
	uint32	   *next_free;		/* nslots */
} RqPool;

extern RqPool *rq_queue_pool;	/* slots of rq_queues */
extern RqPool *rq_offset_pool;	/* slots of rq_offsets */

extern const RqPart rq_slots_part;

/*
 * Give the owner "count" more slots; there must be as many free.  Meta lock
 * exclusive.  Can't throw.
 */
extern void rq_slots_take(RqPool *pool, RqSlotMap *map, uint32 count);

/* Take back all but the first "keep".  Meta lock exclusive.  Can't throw. */
extern void rq_slots_cut(RqPool *pool, RqSlotMap *map, uint32 keep);

/*
 * The owner's i-th slot, RQ_NO_SLOT if it has fewer.  Without a lock that keeps
 * the owner and its i-th slot the answer may be about another owner, or be
 * RQ_NO_SLOT, but is never out of the table's bounds.
 */
extern uint32 rq_slots_find_far(const RqPool *pool, const RqSlotMap *map, uint32 i);

static inline uint32
rq_slots_find(const RqPool *pool, const RqSlotMap *map, uint32 i)
{
	if (unlikely(i >= map->n))
		return RQ_NO_SLOT;
	return likely(i < RQ_SLOTS_NEAR) ? map->near[i] :
		rq_slots_find_far(pool, map, i);
}

#endif							/* RQ_SLOTS_H */
