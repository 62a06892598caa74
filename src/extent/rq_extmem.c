/*
 * rq_extmem.c
 *	  Chunks and free extents in shared memory, and the lists of those that are
 *	  to become free.
 *
 * Headers of free extents are read and written under the lock, in memory that
 * the caller has mapped before.
 */
#include "postgres.h"

#include "extent/rq_extmem.h"

RqExtents  *rq_extents = NULL;
RqChunk    *rq_chunks = NULL;
LWLock	   *rq_extents_lock = NULL;

static void
extents_init(void)
{
	rq_extents_lock = &rq_part_locks(&rq_extents_part)->lock;
}

static void
extents_fill(void)
{
	rq_extents->next_seq = 1;
	rq_space_init(&rq_extents->space);
	pg_atomic_init_u32(&rq_extents->nadrift, 0);
	for (int class = 0; class < RQ_EXT_CLASSES; class++)
		rq_extents->first[class] = RQ_NO_CHUNK;
	for (int i = 0; i < RQ_AREAS_MAX; i++)
		pg_atomic_init_u32(&rq_extents->marks.dirty[i], 0);
}

const RqPart rq_extents_part = {
	.name = "extents",
	.item_size = sizeof(RqExtents),
	.table = (void **) &rq_extents,
	.fill = extents_fill,
	.shmem_init = extents_init,
	.locks_name = "RocketqExtents",
	.nlocks = 1
};

static int
chunks_items(void)
{
	return RQ_CHUNKS;
}

const RqPart rq_chunks_part = {
	.name = "chunks",
	.item_size = sizeof(RqChunk),
	.items = chunks_items,
	.table = (void **) &rq_chunks
};

/* Raw chunks at the end are cut off by a start, so they are not looked for. */
void
rq_extents_numbers(uint64 *seq, uint32 *chunks)
{
	LWLockAcquire(rq_extents_lock, LW_SHARED);
	*seq = rq_extents->next_seq;
	*chunks = rq_extents->nchunks;
	while (*chunks > 0 && rq_chunks[*chunks - 1].kind == RQ_CHUNK_RAW)
		(*chunks)--;
	LWLockRelease(rq_extents_lock);
}

/* What is released, or is yet to be swept, needs nothing but a bit of work. */
RqExtSpace
rq_extents_space(void)
{
	RqExtSpace	s = {0};
	uint64		owned = 0;
	uint64		places = 0;
	uint64		released;

	LWLockAcquire(rq_extents_lock, LW_SHARED);
	for (uint32 i = 0; i < rq_extents->nchunks; i++)
	{
		int			class = rq_chunk_class(i);

		if (class >= 0)
			places += rq_ext_places[class] * rq_ext_bytes(class);
	}
	for (int class = 0; class < RQ_EXT_CLASSES; class++)
		owned += rq_extents->nowned[class] * rq_ext_bytes(class);
	s.chunks = rq_extents->nchunks;
	s.raw = (uint64) rq_extents->nraw * RQ_CHUNK_SIZE;
	s.waiting = rq_extents->freed.bytes + rq_extents->waiting.bytes;
	released = rq_extents->released.bytes;
	LWLockRelease(rq_extents_lock);
	s.used = owned - Min(owned, s.waiting + released);
	s.free = places - Min(places, owned) + released;
	return s;
}

void
rq_extents_forget_absent(void)
{
	LWLockAcquire(rq_extents_lock, LW_EXCLUSIVE);
	for (uint32 i = 0; i < rq_extents->nchunks; i++)
		if (rq_chunks[i].kind == RQ_CHUNK_ABSENT)
		{
			rq_chunks[i].kind = RQ_CHUNK_RAW;
			rq_extents->nraw++;
		}
	rq_extents->damaged = false;
	LWLockRelease(rq_extents_lock);
}

/* ---- chunks with something free ---- */

/* All under the lock. */
static void
link_chunk(uint32 chunk, int class)
{
	RqChunk    *c = &rq_chunks[chunk];
	uint32		next = rq_extents->first[class];

	c->prev = RQ_NO_CHUNK;
	c->next = next;
	if (next != RQ_NO_CHUNK)
		rq_chunks[next].prev = chunk;
	rq_extents->first[class] = chunk;
}

static void
unlink_chunk(uint32 chunk, int class)
{
	const RqChunk *c = &rq_chunks[chunk];

	if (c->prev == RQ_NO_CHUNK)
		rq_extents->first[class] = c->next;
	else
		rq_chunks[c->prev].next = c->next;
	if (c->next != RQ_NO_CHUNK)
		rq_chunks[c->next].prev = c->prev;
}

/*
 * What is free changes by one, or by a whole chunk.  Chunks without anything
 * free are in no list, so that the first one in a list always has something.
 */
static void
change_free(uint32 chunk, int class, int by)
{
	RqChunk    *c = &rq_chunks[chunk];
	uint16		had = c->nfree;

	c->nfree += by;
	rq_extents->nfree[class] += by;
	Assert(c->nfree <= rq_ext_places[class]);
	if (had == 0)
		link_chunk(chunk, class);
	if (c->nfree == 0)
		unlink_chunk(chunk, class);
	rq_extents->nempty[class] += (c->nfree == rq_ext_places[class]) -
		(had == rq_ext_places[class]);
}

uint32
rq_free_chunk(int class)
{
	uint32		chunk;

	LWLockAcquire(rq_extents_lock, LW_SHARED);
	chunk = rq_extents->first[class];
	LWLockRelease(rq_extents_lock);
	return chunk;
}

/*
 * Links of lists are on disk, where they can be damaged, and have no checksum.
 * So a place is taken for free only if its header is zeros: that of an extent
 * which is owned is not, from the moment on that it is taken.
 *
 * What is left of a list that is damaged is not free any more, until the next
 * start finds it.
 */
static void
drop_free_list(uint32 chunk, int class)
{
	RqChunk    *c = &rq_chunks[chunk];
	int			fresh = c->sweep != RQ_SWEPT ? 0 : rq_ext_places[class] - c->fresh + 1;

	c->free_head = 0;
	if (c->nfree > fresh)
		change_free(chunk, class, fresh - c->nfree);
}

/* A place from the list, 0 if it is empty. */
static uint16
pop_place(uint32 chunk, int class, char *base)
{
	RqChunk    *c = &rq_chunks[chunk];
	uint16		place = c->free_head;
	const RqExtentHeader *h = rq_area_header(base, place);
	RqExtAddr	next = h->next;

	if (place == 0 || !rq_ext_is_free(h) || place >= c->fresh ||
		(next != RQ_EXT_NONE &&
		 (RQ_EXT_CHUNK(next) != chunk || !rq_ext_is_place(next, class))))
	{
		drop_free_list(chunk, class);
		return 0;
	}
	c->free_head = RQ_EXT_PLACE(next);
	return place;
}

/*
 * One that was never in use; 0 if there is none.  In a chunk that is being swept
 * nobody knows what those are which the sweep has not come to.
 */
static uint16
fresh_place(uint32 chunk, int class, char *base)
{
	RqChunk    *c = &rq_chunks[chunk];

	while (c->sweep == RQ_SWEPT && c->fresh <= rq_ext_places[class] && c->nfree > 0)
	{
		uint16		place = c->fresh++;

		if (rq_ext_is_free(rq_area_header(base, place)))
			return place;
		change_free(chunk, class, -1);
	}
	return 0;
}

RqExtAddr
rq_free_take(uint32 chunk, int class, char *base, RqExtentHeader *h)
{
	RqChunk    *c = &rq_chunks[chunk];
	uint16		seen = c->free_head;
	uint16		place = 0;

	/* Mostly it is this one: have its page read before others have to wait. */
	(void) *(volatile uint32 *) &rq_area_header(base, seen != 0 ? seen : c->fresh)->magic;
	LWLockAcquire(rq_extents_lock, LW_EXCLUSIVE);
	if (c->kind == class + 1 && c->nfree > 0)
		place = pop_place(chunk, class, base);
	if (place == 0 && c->kind == class + 1)
		place = fresh_place(chunk, class, base);
	if (place != 0)
	{
		h->seq = rq_extents->next_seq++;
		rq_ext_seal(h, RQ_EXT_ADDR(chunk, place));
		*rq_area_header(base, place) = *h;
		change_free(chunk, class, -1);
		rq_extents->nowned[class]++;
		rq_extents->ntaken[class]++;
	}
	LWLockRelease(rq_extents_lock);
	return place == 0 ? RQ_EXT_NONE : RQ_EXT_ADDR(chunk, place);
}

void
rq_free_put(RqExtAddr addr, char *base)
{
	uint32		chunk = RQ_EXT_CHUNK(addr);
	RqChunk    *c = &rq_chunks[chunk];
	RqExtentHeader *h = rq_area_header(base, RQ_EXT_PLACE(addr));

	Assert(rq_ext_class(addr) >= 0);
	rq_ext_touch(h);
	LWLockAcquire(rq_extents_lock, LW_EXCLUSIVE);
	memset(h, 0, sizeof(*h));
	h->next = c->free_head == 0 ? RQ_EXT_NONE : RQ_EXT_ADDR(chunk, c->free_head);
	c->free_head = RQ_EXT_PLACE(addr);
	change_free(chunk, c->kind - 1, 1);
	LWLockRelease(rq_extents_lock);
}

void
rq_free_clear(RqExtAddr addr, char *base)
{
	RqExtentHeader *h = rq_area_header(base, RQ_EXT_PLACE(addr));

	rq_ext_touch(h);
	LWLockAcquire(rq_extents_lock, LW_EXCLUSIVE);
	memset(h, 0, sizeof(*h));
	LWLockRelease(rq_extents_lock);
}

/* ---- chunks that come and go ---- */

void
rq_chunk_add(uint32 chunk, int class)
{
	RqChunk    *c = &rq_chunks[chunk];

	LWLockAcquire(rq_extents_lock, LW_EXCLUSIVE);
	Assert(c->kind == RQ_CHUNK_RAW && c->nfree == 0);
	if (chunk < rq_extents->nchunks)
		rq_extents->nraw--;
	else
	{
		Assert(chunk == rq_extents->nchunks);
		rq_extents->nchunks++;
	}
	c->sweep = RQ_SWEPT;
	c->free_head = 0;
	c->fresh = 1;
	c->kind = class + 1;
	change_free(chunk, class, rq_ext_places[class]);
	LWLockRelease(rq_extents_lock);
}

/* Of those that are not needed, first the ones that are yet to be swept. */
static bool
is_spare(const RqChunk *c, int class, uint32 keep)
{
	uint32		unowned = rq_extents->nunowned[class];

	if (rq_extents->nempty[class] + unowned <= keep)
		return false;
	if (c->sweep == RQ_SWEEP_EMPTY)
		return !rq_extents->damaged;
	return unowned == 0 && c->nfree == rq_ext_places[class];
}

/*
 * What has not been swept can be anything but an extent of a queue: the chunk is
 * filled with zeros before it is used again.
 */
bool
rq_chunk_remove(uint32 chunk, const uint32 keep[RQ_EXT_CLASSES])
{
	RqChunk    *c = &rq_chunks[chunk];
	int			class = rq_chunk_class(chunk);
	bool		removed;

	if (class < 0)
		return false;
	LWLockAcquire(rq_extents_lock, LW_EXCLUSIVE);
	removed = is_spare(c, class, keep[class]);
	if (removed && c->sweep == RQ_SWEEP_EMPTY)
	{
		rq_extents->nunswept[class]--;
		rq_extents->nunowned[class]--;
	}
	else if (removed)
		change_free(chunk, class, -(int) c->nfree);
	if (removed)
	{
		c->sweep = RQ_SWEPT;
		c->kind = RQ_CHUNK_RAW;
		rq_extents->nraw++;
	}
	LWLockRelease(rq_extents_lock);
	return removed;
}

void
rq_chunk_sweep_begin(uint32 chunk)
{
	RqChunk    *c = &rq_chunks[chunk];

	LWLockAcquire(rq_extents_lock, LW_EXCLUSIVE);
	if (c->sweep == RQ_SWEEP_EMPTY)
		rq_extents->nunowned[c->kind - 1]--;
	c->sweep = RQ_SWEEP_DUE;
	LWLockRelease(rq_extents_lock);
}

void
rq_chunk_sweep_end(uint32 chunk, uint8 sweep)
{
	RqChunk    *c = &rq_chunks[chunk];

	LWLockAcquire(rq_extents_lock, LW_EXCLUSIVE);
	Assert(c->sweep == RQ_SWEEP_DUE);
	c->sweep = sweep;
	c->fresh = rq_ext_places[c->kind - 1] + 1;
	rq_extents->nunswept[c->kind - 1]--;
	LWLockRelease(rq_extents_lock);
}

/* ---- lists ---- */

void
rq_chain_prepend(RqExtChain *list, const RqExtChain *chain,
				 RqExtentHeader *last)
{
	Assert(LWLockHeldByMeInMode(rq_extents_lock, LW_EXCLUSIVE));
	Assert(chain->head != RQ_EXT_NONE && chain->tail != RQ_EXT_NONE);
	last->next = list->head;
	if (list->head == RQ_EXT_NONE)
		list->tail = chain->tail;
	list->head = chain->head;
	list->bytes += chain->bytes;
}
