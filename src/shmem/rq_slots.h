/*
 * rq_slots.h
 *	  Slots of a fixed table, given to owners that each want many.
 *
 * A topic has a slot for each queue, a group an offset for each queue of its
 * topic.  They are given in aligned blocks of eight, so an owner with n slots
 * has n/8 blocks, rounded up.  Which blocks these are depends on who came and
 * went before, and is not the same on a primary, on a standby and after a
 * restart.  So whether an owner gets what it wants may depend on one thing only:
 * how many blocks are free, which follows from how many slots each owner has.
 * Any free block serves any owner, and finding the i-th slot of an owner costs
 * the same wherever the blocks lie.
 *
 * The first blocks of an owner stand in its map.  The others are leaves of a
 * tree of pages:
 *
 *		map		[b0 .. b7]	root -> [page | page | ..] -> [b8 .. b23]
 *
 * A tree keeps its height until the owner is back to what the map holds.  So an
 * owner with n blocks has at most n/2 pages (four for nine blocks), and a pool
 * with a page for every two blocks never lacks one while it has a block.
 *
 * Memory of a pool, and of the slots themselves, is first touched when blocks
 * are given that never were before.  So a table that is much larger than what is
 * used costs address space, but no memory.
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

#define RQ_SLOTS_NEAR		8	/* blocks in the map itself */
#define RQ_SLOTS_PAGE		16	/* in a page */
#define RQ_SLOTS_PAGE_BITS	4
#define RQ_SLOTS_HEIGHT		4	/* of the highest tree */

/* How many blocks, and slots in them, an owner of "n" slots has. */
#define RQ_SLOTS_BLOCKS(n)	(((n) + RQ_SLOTS_BLOCK - 1) / RQ_SLOTS_BLOCK)
#define RQ_SLOTS_IN_BLOCKS(n) (RQ_SLOTS_BLOCKS(n) * RQ_SLOTS_BLOCK)

StaticAssertDecl(RQ_SLOTS_BLOCKS(RQ_QUEUES_MAX) - RQ_SLOTS_NEAR <=
				 1 << (RQ_SLOTS_PAGE_BITS * RQ_SLOTS_HEIGHT),
				 "a tree holds the blocks of any owner");

typedef struct RqSlotPage
{
	uint32		at[RQ_SLOTS_PAGE];	/* pages, or blocks in a leaf */
} RqSlotPage;

typedef struct RqSlotMap
{
	uint32		n;				/* slots */
	uint32		height;			/* of the tree; 0 = there is none */
	uint32		root;
	uint32		near[RQ_SLOTS_NEAR];
} RqSlotMap;

/*
 * Blocks and pages that were given back are in lists, linked through the places
 * themselves.  Those from "begun" on have never been given.
 */
typedef struct RqPool
{
	uint32		nblocks;
	uint32		nfree;			/* blocks */
	uint32		begun;
	uint32		first_free;
	uint32		npages;
	uint32		begun_pages;
	uint32		first_free_page;
	RqSlotPage *pages;			/* npages */
	uint32	   *next_free;		/* nblocks */
} RqPool;

extern RqPool *rq_queue_pool;	/* slots of rq_queues */
extern RqPool *rq_offset_pool;	/* slots of rq_offsets */

extern const RqPart rq_slots_part;

/* How many slots an owner of "have" must get to have "want", in whole blocks. */
static inline uint32
rq_slots_needed(uint32 have, uint32 want)
{
	return want <= have ? 0 : RQ_SLOTS_IN_BLOCKS(want) - RQ_SLOTS_IN_BLOCKS(have);
}

/* How many are free.  Exact under the meta lock. */
static inline uint32
rq_slots_left(const RqPool *pool)
{
	return pool->nfree * RQ_SLOTS_BLOCK;
}

/*
 * Slots from this one on have never been given, and what is in them means
 * nothing.  Who takes some sets those up that were not given before.  Exact
 * under the meta lock.
 */
static inline uint32
rq_slots_begun(const RqPool *pool)
{
	return pool->begun * RQ_SLOTS_BLOCK;
}

/*
 * Give the owner slots until it has "want", which is no less than it has.
 * rq_slots_needed() of them must be free.  Meta lock exclusive.  Can't throw.
 */
extern void rq_slots_take(RqPool *pool, RqSlotMap *map, uint32 want);

/* Take back all but the first "keep".  Meta lock exclusive.  Can't throw. */
extern void rq_slots_cut(RqPool *pool, RqSlotMap *map, uint32 keep);

/* The owner's i-th block, if it is not in the map; see rq_slots_find(). */
extern uint32 rq_slots_find_far(const RqPool *pool, const RqSlotMap *map, uint32 i);

/*
 * The owner's i-th slot, RQ_NO_SLOT if it has fewer.  Without a lock that keeps
 * the owner and its i-th slot the answer may be about another owner, or be
 * RQ_NO_SLOT, but is never one that has not been given yet.
 */
static inline uint32
rq_slots_find(const RqPool *pool, const RqSlotMap *map, uint32 i)
{
	uint32		block;

	if (unlikely(i >= map->n))
		return RQ_NO_SLOT;
	block = likely(i < RQ_SLOTS_NEAR * RQ_SLOTS_BLOCK) ?
		map->near[i / RQ_SLOTS_BLOCK] :
		rq_slots_find_far(pool, map, i / RQ_SLOTS_BLOCK);
	return likely(block != RQ_NO_SLOT) ?
		block * RQ_SLOTS_BLOCK + i % RQ_SLOTS_BLOCK : RQ_NO_SLOT;
}

#endif							/* RQ_SLOTS_H */
