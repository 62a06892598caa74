/*
 * rq_slots.c
 *	  Slots of a fixed table, given to owners that each want many.
 *
 * Nothing here takes a lock or can fail.  Whoever changes something holds the
 * meta lock exclusively and has checked rq_slots_left(); a page is there
 * whenever a block is (see the head of rq_slots.h).
 */
#include "postgres.h"

#include "storage/shmem.h"

#include "base/rq_guc.h"
#include "shmem/rq_slots.h"

RqPool	   *rq_queue_pool = NULL;
RqPool	   *rq_offset_pool = NULL;

/* ---- pools ---- */

/* Enough for any owners; see the head of the header. */
static uint32
pages_for(uint32 nblocks)
{
	return nblocks / 2 + 1;
}

static Size
pool_size(uint32 nslots)
{
	uint32		nblocks = RQ_SLOTS_BLOCKS(nslots);
	Size		size = MAXALIGN(sizeof(RqPool));

	size = add_size(size, mul_size(pages_for(nblocks), sizeof(RqSlotPage)));
	return CACHELINEALIGN(add_size(size, mul_size(nblocks, sizeof(uint32))));
}

static Size
slots_size(void)
{
	return add_size(pool_size(rq_max_queues), pool_size(rq_max_consumer_slots));
}

/* Pages and lists are left as they are; see "begun". */
static RqPool *
init_pool(const char *name, uint32 nslots)
{
	bool		found;
	RqPool	   *p = ShmemInitStruct(name, pool_size(nslots), &found);

	if (found)
		return p;
	p->nblocks = p->nfree = RQ_SLOTS_BLOCKS(nslots);
	p->npages = pages_for(p->nblocks);
	p->pages = (RqSlotPage *) ((char *) p + MAXALIGN(sizeof(RqPool)));
	p->next_free = (uint32 *) (p->pages + p->npages);
	p->begun = p->begun_pages = 0;
	p->first_free = p->first_free_page = RQ_NO_SLOT;
	return p;
}

static void
slots_init(void)
{
	rq_queue_pool = init_pool("rocketq queue slots", rq_max_queues);
	rq_offset_pool = init_pool("rocketq consumer slots", rq_max_consumer_slots);
}

const RqPart rq_slots_part = {
	.name = "slots",
	.shmem_size = slots_size,
	.shmem_init = slots_init
};

/*
 * The list is a stack, so the block that was given back last is the next one to
 * be given.  Nothing may depend on that: redo gives blocks in another order than
 * the primary did.
 */
static uint32
take_block(RqPool *pool)
{
	uint32		block = pool->first_free;

	Assert(pool->nfree > 0);
	pool->nfree--;
	if (block == RQ_NO_SLOT)
		block = pool->begun++;
	else
		pool->first_free = pool->next_free[block];
	Assert(block < pool->begun && pool->begun <= pool->nblocks);
	return block;
}

static void
give_back(RqPool *pool, uint32 block)
{
	pool->next_free[block] = pool->first_free;
	pool->first_free = block;
	pool->nfree++;
}

static uint32
take_page(RqPool *pool)
{
	uint32		page = pool->first_free_page;

	if (page == RQ_NO_SLOT)
		page = pool->begun_pages++;
	else
		pool->first_free_page = pool->pages[page].at[0];
	Assert(page < pool->begun_pages && pool->begun_pages <= pool->npages);
	return page;
}

static void
free_page(RqPool *pool, uint32 page)
{
	pool->pages[page].at[0] = pool->first_free_page;
	pool->first_free_page = page;
}

/* ---- trees ---- */

/* How many blocks are below one place of a page at this height; 1 in a leaf. */
static inline uint32
span(uint32 height)
{
	return 1U << (RQ_SLOTS_PAGE_BITS * (height - 1));
}

/* Which place of its page at this height leads to number "far" of the tree. */
static inline uint32
place(uint32 far, uint32 height)
{
	return (far / span(height)) % RQ_SLOTS_PAGE;
}

/*
 * Every number that is read on the way is checked against its table, since a
 * caller without a lock can read a page that has another owner by now, or is
 * in the free list.  The height is read once, so the walk ends.
 */
uint32
rq_slots_find_far(const RqPool *pool, const RqSlotMap *map, uint32 i)
{
	uint32		far = i - RQ_SLOTS_NEAR;
	uint32		at = map->root;

	for (uint32 height = map->height; height > 0; height--)
	{
		if (at >= pool->begun_pages)
			return RQ_NO_SLOT;
		at = pool->pages[at].at[place(far, height)];
	}
	return at < pool->begun ? at : RQ_NO_SLOT;
}

/*
 * The tree is full, or there is none: what there is becomes the first part of
 * a higher one.  The caller fills in the first block of a new tree.
 */
static void
grow_tree(RqPool *pool, RqSlotMap *map)
{
	uint32		page = take_page(pool);

	Assert(map->height < RQ_SLOTS_HEIGHT);
	pool->pages[page].at[0] = map->root;
	map->root = page;
	map->height++;
}

/*
 * Add the block as number "far" of the tree, the next one.  The tree can be
 * higher than that needs (free_pages_of()), so pages are taken where the
 * number begins a new one, and the root only when the tree is full.
 */
static void
add_far(RqPool *pool, RqSlotMap *map, uint32 far, uint32 block)
{
	uint32		page;

	if (map->height == 0 || far == span(map->height + 1))
		grow_tree(pool, map);
	page = map->root;
	for (uint32 height = map->height; height > 1; height--)
	{
		uint32	   *child = &pool->pages[page].at[place(far, height)];

		if (far % span(height) == 0)
			*child = take_page(pool);
		page = *child;
	}
	pool->pages[page].at[place(far, 1)] = block;
}

/*
 * Free the pages that hold nothing but this block, which is the last one: those
 * of which it is the first.  Pages above stay, so that the way to blocks that
 * others use does not change, and the tree keeps its height until it is
 * empty.
 */
static void
free_pages_of(RqPool *pool, RqSlotMap *map, uint32 far)
{
	uint32		path[RQ_SLOTS_HEIGHT + 1];

	path[map->height] = map->root;
	for (uint32 height = map->height; height > 1; height--)
		path[height - 1] = pool->pages[path[height]].at[place(far, height)];
	for (uint32 height = 1; height <= map->height; height++)
		if (far % span(height + 1) == 0)
			free_page(pool, path[height]);
	if (far == 0)
		map->height = 0;
}

/* ---- maps ---- */

static void
add_block(RqPool *pool, RqSlotMap *map, uint32 i)
{
	uint32		block = take_block(pool);

	if (i < RQ_SLOTS_NEAR)
		map->near[i] = block;
	else
		add_far(pool, map, i - RQ_SLOTS_NEAR, block);
}

/* Block "i" is the last one. */
static void
remove_block(RqPool *pool, RqSlotMap *map, uint32 i)
{
	uint32		block = i < RQ_SLOTS_NEAR ? map->near[i] :
	rq_slots_find_far(pool, map, i);

	if (i >= RQ_SLOTS_NEAR)
		free_pages_of(pool, map, i - RQ_SLOTS_NEAR);
	give_back(pool, block);
}

/* No barriers: a map grows only while nobody else uses its owner. */
void
rq_slots_take(RqPool *pool, RqSlotMap *map, uint32 want)
{
	Assert(want >= map->n && rq_slots_needed(map->n, want) <= rq_slots_left(pool));
	for (uint32 i = RQ_SLOTS_BLOCKS(map->n); i < RQ_SLOTS_BLOCKS(want); i++)
		add_block(pool, map, i);
	map->n = want;
}

/*
 * From the last one down.  The count is lowered before blocks and pages go to
 * the free lists.  That is no barrier: those who may still ask for one that goes
 * can get any answer that is within bounds.
 */
void
rq_slots_cut(RqPool *pool, RqSlotMap *map, uint32 keep)
{
	uint32		have = RQ_SLOTS_BLOCKS(map->n);

	if (keep >= map->n)
		return;
	map->n = keep;
	for (uint32 i = have; i > RQ_SLOTS_BLOCKS(keep); i--)
		remove_block(pool, map, i - 1);
}
