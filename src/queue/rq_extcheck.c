/*
 * rq_extcheck.c
 *	  Check chunks and extents while everybody uses them.
 *
 * Given that extents are taken, given back and made free meanwhile, when is one
 * that seems to be nobody's really nobody's?  Extents go round: free, a queue's,
 * in the lists of those given back, free again.  One that has left a queue and
 * still has the same header (its "seq" is never used again) has not come to being
 * free, so it is in a list, or about to be put into one.  So those that are no
 * queue's are noted first, the lists are gone through after that, and who is about
 * to put something there is waited for (RqExtents.nadrift).
 *
 * Whatever seems to be wrong is looked at again under the lock that it is changed
 * under, before it is complained about.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "port/pg_bitutils.h"

#include "extent/rq_extlist.h"
#include "format/rq_segfmt.h"
#include "queue/rq_extcheck.h"
#include "queue/rq_extent.h"
#include "shmem/rq_shmem.h"
#include "topic/rq_topic.h"

/* So often, each time a millisecond later, others are waited for. */
#define WAIT_TRIES		10000

/* So many extents that are nobody's are complained about. */
#define LOOSE_MAX		100

/* One that seems to be nobody's. */
typedef struct Suspect
{
	RqExtAddr	addr;
	uint64		seq;
} Suspect;

typedef struct Check
{
	RqExtComplain complain;
	void	   *arg;
	uint32		nchunks;

	/* by address */
	uint64	   *loose;			/* in no queue when it was looked at */
	uint64	   *listed;			/* in a list */
} Check;

static void
set_bit(uint64 *bits, RqExtAddr addr)
{
	bits[addr / 64] |= UINT64CONST(1) << addr % 64;
}

static bool
bit_is_set(const uint64 *bits, RqExtAddr addr)
{
	return (bits[addr / 64] >> addr % 64 & 1) != 0;
}

static Size
bitmap_size(const Check *c)
{
	return ((Size) c->nchunks << RQ_EXT_PLACE_BITS) / 8;
}

static void
complain_chunk(const Check *c, uint32 chunk, const char *problem)
{
	char		path[MAXPGPATH];

	rq_area_path(path, chunk / RQ_AREA_CHUNKS);
	c->complain(psprintf("chunk %u of file \"%s\"", chunk % RQ_AREA_CHUNKS, path),
				problem, c->arg);
}

static void
complain_extent(const Check *c, RqExtAddr addr, const char *problem)
{
	uint32		chunk = RQ_EXT_CHUNK(addr);
	char		path[MAXPGPATH];

	rq_area_path(path, chunk / RQ_AREA_CHUNKS);
	c->complain(psprintf("extent %u of chunk %u of file \"%s\"", RQ_EXT_PLACE(addr),
						 chunk % RQ_AREA_CHUNKS, path), problem, c->arg);
}

/* A copy of its header; false if it has none any more that can be read. */
static bool
copy_header(RqExtAddr addr, RqExtentHeader *h)
{
	const RqExtentHeader *at = rq_ext_header(addr, RQ_MAP_PROBE);

	if (at == NULL)
		return false;
	*h = *at;
	return true;
}

/*
 * The queue that a header names, with its lock held, and the meta lock; NULL, with
 * neither, if there is none.
 */
static RqQueue *
lock_header_owner(const RqExtentHeader *h)
{
	uint32		topic;
	RqQueue    *q = NULL;

	LWLockAcquire(rq_meta_lock, LW_SHARED);
	topic = rq_topic_index_find(h->key);
	if (topic != RQ_NO_SLOT)
		q = rq_queue_find(topic, h->queue_id);
	if (q != NULL && q->born == h->born)
		LWLockAcquire(&q->lock, LW_SHARED);
	else
	{
		LWLockRelease(rq_meta_lock);
		q = NULL;
	}
	return q;
}

static void
unlock_owner(RqQueue *q)
{
	LWLockRelease(&q->lock);
	LWLockRelease(rq_meta_lock);
}

/* Is it its queue's, now that nobody is about to take or give back any? */
static bool
is_queues_own(RqExtAddr addr, const RqExtentHeader *h)
{
	RqQueue    *q = lock_header_owner(h);
	bool		owned;

	if (q == NULL)
		return false;
	owned = rq_extent_is_of(q, addr, h);
	unlock_owner(q);
	return owned;
}

/* ---- headers ---- */

/* Headers are complete for who holds the lock. */
static const char *
extent_problem(RqExtAddr addr)
{
	const RqExtentHeader *h = rq_ext_header(addr, RQ_MAP_PROBE);
	int			class = rq_ext_class(addr);
	const char *problem = NULL;

	if (h == NULL)
		return NULL;
	LWLockAcquire(rq_extents_lock, LW_SHARED);
	if (class >= 0 && rq_ext_class(addr) == class && !rq_ext_is_free(h))
		problem = rq_ext_problem(h, class, addr);
	LWLockRelease(rq_extents_lock);
	return problem;
}

static void
look_at_extent(Check *c, RqExtAddr addr, int class)
{
	RqExtentHeader h;
	const char *problem = NULL;

	if (!copy_header(addr, &h) || rq_ext_is_free(&h))
		return;
	if (rq_ext_problem(&h, class, addr) != NULL)
		problem = extent_problem(addr);
	if (problem != NULL)
		complain_extent(c, addr, problem);
	else if (!rq_extent_is_needed(addr, &h))
		set_bit(c->loose, addr);
}

/*
 * It can have become raw, and have been filled again, since its class was read;
 * but hardly each time.
 */
static const char *
chunk_problem(uint32 chunk, int *class)
{
	const char *problem = NULL;

	for (int i = 0; i < 3; i++)
	{
		const RqChunkHeader *h;
		RqChunkHeader copy;

		*class = rq_chunk_class(chunk);
		if (*class < 0)
			return rq_chunks[chunk].kind == RQ_CHUNK_UNUSABLE ?
				"its header was damaged, or that of another store, when the server started" : NULL;
		h = (const RqChunkHeader *) rq_area_chunk(chunk, RQ_MAP_PROBE);
		if (h == NULL)
			problem = "the file is missing, too short or cannot be read";
		else
		{
			copy = *h;
			problem = rq_chunk_problem(&copy, chunk, rq_extents->store);
			if (problem == NULL && copy.class != *class)
				problem = "the chunk header has another class than it had";
		}
		if (problem == NULL)
			break;
	}
	return problem;
}

/* ---- free extents ---- */

/*
 * What is wrong with the chunk's list.  Sets the bits of what is in it, or was
 * never in use.  The caller holds the extents lock.
 */
static const char *
free_list_problem(uint32 chunk, int class, char *base, uint64 *is_free)
{
	const RqChunk *k = &rq_chunks[chunk];
	uint32		n = 0;
	RqExtAddr	next;

	for (uint32 place = k->free_head; place != 0; place = RQ_EXT_PLACE(next), n++)
	{
		const RqExtentHeader *h = rq_area_header(base, place);

		if (place >= k->fresh || bit_is_set(is_free, place) || !rq_ext_is_free(h))
			return "its list of free extents is damaged";
		set_bit(is_free, place);
		next = h->next;
		if (next != RQ_EXT_NONE && (RQ_EXT_CHUNK(next) != chunk || !rq_ext_is_place(next, class)))
			return "its list of free extents is damaged";
	}
	for (uint32 place = k->fresh; k->sweep == RQ_SWEPT && place <= rq_ext_places[class]; place++, n++)
		set_bit(is_free, place);
	if (n != k->nfree)
		return "its number of free extents is wrong";
	for (uint32 place = 1; k->sweep == RQ_SWEPT && place <= rq_ext_places[class]; place++)
		if (rq_ext_is_free(rq_area_header(base, place)) != bit_is_set(is_free, place))
			return "an extent is free, but not in its list";
	return NULL;
}

static bool
is_all_zeros(char *base, int class, uint32 place)
{
	const char *at = (const char *) rq_area_entries(base, class, place);
	Size		len = rq_ext_entries[class] * sizeof(RqEntry);

	return at[0] == 0 && memcmp(at, at + 1, len - 1) == 0;
}

/* As long as its header is zeros, it is not taken. */
static bool
is_dirty(uint32 chunk, int class, uint32 place, char *base)
{
	bool		dirty;

	if (is_all_zeros(base, class, place))
		return false;
	LWLockAcquire(rq_extents_lock, LW_SHARED);
	dirty = rq_chunk_class(chunk) == class &&
		rq_ext_is_free(rq_area_header(base, place)) &&
		!is_all_zeros(base, class, place);
	LWLockRelease(rq_extents_lock);
	return dirty;
}

static void
check_free(Check *c, uint32 chunk, int class)
{
	uint64		is_free[(1 << RQ_EXT_PLACE_BITS) / 64] = {0};
	char	   *base = rq_area_chunk(chunk, RQ_MAP_PROBE);
	const char *problem = NULL;
	bool		swept;

	if (base == NULL)
		return;
	LWLockAcquire(rq_extents_lock, LW_SHARED);
	swept = rq_chunks[chunk].sweep == RQ_SWEPT;
	if (rq_chunk_class(chunk) == class)
		problem = free_list_problem(chunk, class, base, is_free);
	LWLockRelease(rq_extents_lock);
	if (problem != NULL)
	{
		complain_chunk(c, chunk, problem);
		return;
	}
	for (uint32 place = 1; swept && place <= rq_ext_places[class]; place++)
		if (bit_is_set(is_free, place) && is_dirty(chunk, class, place, base))
		{
			complain_extent(c, RQ_EXT_ADDR(chunk, place), "it is free, but not zeros");
			return;
		}
}

/* ---- lists ---- */

/*
 * It was in a list, and its header is still the same, so it is not free yet.  A
 * queue gives back extents under its lock, so under that it has them no more.
 */
static void
check_listed(Check *c, RqExtAddr addr, const RqExtentHeader *h)
{
	RqExtentHeader now;

	if (rq_extent_is_needed(addr, h) && is_queues_own(addr, h) &&
		copy_header(addr, &now) && now.seq == h->seq)
		complain_extent(c, addr, "it was given back, but is still its queue's");
}

/*
 * Go through a list.  Without the lock, extents at its end can be made free
 * meanwhile; with it, the end has to be reached.
 */
static bool
note_list(Check *c, const RqExtChain *list, bool locked)
{
	for (RqExtAddr addr = list->head; addr != RQ_EXT_NONE;)
	{
		RqExtentHeader h;

		if (RQ_EXT_CHUNK(addr) >= c->nchunks || !copy_header(addr, &h) ||
			rq_ext_problem(&h, rq_ext_class(addr), addr) != NULL ||
			bit_is_set(c->listed, addr))
			return false;
		set_bit(c->listed, addr);
		if (!locked)
			check_listed(c, addr, &h);
		if (addr == list->tail)
			return true;
		addr = h.next;
	}
	return list->head == RQ_EXT_NONE;
}

/* In the order in which extents go through them. */
static bool
note_lists(Check *c, bool locked)
{
	const RqExtChain *const lists[] = {&rq_extents->freed, &rq_extents->waiting,
	&rq_extents->released};
	bool		complete = true;

	memset(c->listed, 0, bitmap_size(c));
	for (int i = 0; i < lengthof(lists); i++)
	{
		RqExtChain	list;

		if (!locked)
			LWLockAcquire(rq_extents_lock, LW_SHARED);
		list = *lists[i];
		if (!locked)
			LWLockRelease(rq_extents_lock);
		complete &= note_list(c, &list, locked);
		CHECK_FOR_INTERRUPTS();
	}
	return complete;
}

/* ---- whose are they? ---- */

/* Those that were in no queue, still are in none, and in no list either. */
static int
find_suspects(const Check *c, Suspect *suspects)
{
	const uint64 nwords = bitmap_size(c) / sizeof(uint64);
	int			n = 0;

	for (uint64 word = 0; word < nwords && n < LOOSE_MAX; word++)
	{
		uint64		bits = c->loose[word] & ~c->listed[word];

		for (; bits != 0 && n < LOOSE_MAX; bits &= bits - 1)
		{
			RqExtAddr	addr = word * 64 + pg_rightmost_one_pos64(bits);
			RqExtentHeader h;

			if (copy_header(addr, &h) && !rq_ext_is_free(&h) &&
				!rq_extent_is_needed(addr, &h))
				suspects[n++] = (Suspect)
			{
				addr, h.seq
			};
		}
	}
	return n;
}

/* Until whatever left a queue before is in a list; false if that takes too long. */
static bool
wait_for_adrift(void)
{
	for (int i = 0; i < WAIT_TRIES; i++)
	{
		if (pg_atomic_read_u32(&rq_extents->nadrift) == 0)
			return true;
		CHECK_FOR_INTERRUPTS();
		pg_usleep(1000L);
	}
	return false;
}

static void
check_loose(Check *c)
{
	Suspect		suspects[LOOSE_MAX];
	bool		complete;
	int			n;

	(void) note_lists(c, false);
	n = find_suspects(c, suspects);
	if (n == 0 || !wait_for_adrift())
		return;
	LWLockAcquire(rq_extents_lock, LW_SHARED);
	complete = note_lists(c, true);
	LWLockRelease(rq_extents_lock);
	if (!complete)
		c->complain("lists of extents that were given back", "one of them is damaged",
					c->arg);
	for (int i = 0; i < n; i++)
	{
		RqExtAddr	addr = suspects[i].addr;
		RqExtentHeader h;

		if (!bit_is_set(c->listed, addr) && copy_header(addr, &h) &&
			h.seq == suspects[i].seq && !is_queues_own(addr, &h))
			complain_extent(c, addr, "it is neither free nor a queue's");
	}
}

/* ---- counts ---- */

/* The allocator makes one extent free at a time: it is not owned any more first. */
static const char *
counts_problem(void)
{
	uint64		nfree[RQ_EXT_CLASSES] = {0};
	uint64		places[RQ_EXT_CLASSES] = {0};
	uint32		nempty[RQ_EXT_CLASSES] = {0};
	uint32		nunswept[RQ_EXT_CLASSES] = {0};
	uint32		nunowned[RQ_EXT_CLASSES] = {0};
	bool		unknown[RQ_EXT_CLASSES] = {false};
	uint32		nraw = 0;

	for (uint32 i = 0; i < rq_extents->nchunks; i++)
	{
		int			class = rq_chunk_class(i);

		nraw += rq_chunks[i].kind == RQ_CHUNK_RAW;
		if (class < 0)
			continue;
		nfree[class] += rq_chunks[i].nfree;
		places[class] += rq_ext_places[class];
		nempty[class] += rq_chunks[i].nfree == rq_ext_places[class];
		nunowned[class] += rq_chunks[i].sweep == RQ_SWEEP_EMPTY;
		nunswept[class] += rq_chunks[i].sweep == RQ_SWEEP_DUE ||
			rq_chunks[i].sweep == RQ_SWEEP_EMPTY;
		unknown[class] |= rq_chunks[i].sweep != RQ_SWEPT;
	}
	for (int i = 0; i < RQ_EXT_CLASSES; i++)
	{
		uint64		known = nfree[i] + rq_extents->nowned[i];

		if (nfree[i] != rq_extents->nfree[i] || nempty[i] != rq_extents->nempty[i] ||
			nunswept[i] != rq_extents->nunswept[i] ||
			nunowned[i] != rq_extents->nunowned[i] || known > places[i] ||
			(!unknown[i] && known + 1 < places[i]))
			return "there are more or fewer free ones than in all chunks together";
	}
	return nraw == rq_extents->nraw ? NULL : "there are more or fewer raw chunks than counted";
}

/* ---- all ---- */

static void
check_counts(const Check *c)
{
	const char *problem;

	LWLockAcquire(rq_extents_lock, LW_SHARED);
	problem = counts_problem();
	LWLockRelease(rq_extents_lock);
	if (problem != NULL)
		c->complain("counts of extents", problem, c->arg);
}

static void
check_chunk(Check *c, uint32 chunk)
{
	int			class;
	const char *problem = chunk_problem(chunk, &class);

	if (problem != NULL)
		complain_chunk(c, chunk, problem);
	if (problem != NULL || class < 0)
		return;
	for (uint32 place = 1; place <= rq_ext_places[class]; place++)
		look_at_extent(c, RQ_EXT_ADDR(chunk, place), class);
	check_free(c, chunk, class);
}

static void
check_everything(Check *c)
{
	for (uint32 i = 0; i < c->nchunks; i++)
	{
		CHECK_FOR_INTERRUPTS();
		check_chunk(c, i);
	}
	check_loose(c);
	check_counts(c);
}

/* As with a queue, a page that cannot be read can be an error under a lock. */
void
rq_extcheck_all(RqExtComplain complain, void *arg)
{
	Check		c = {.complain = complain, .arg = arg};

	c.nchunks = *(volatile uint32 *) &rq_extents->nchunks;
	if (c.nchunks == 0)
		return;
	c.loose = palloc_extended(bitmap_size(&c), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	c.listed = palloc_extended(bitmap_size(&c), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	PG_TRY();
	{
		check_everything(&c);
	}
	PG_CATCH();
	{
		LWLockReleaseAll();
		PG_RE_THROW();
	}
	PG_END_TRY();
	pfree(c.loose);
	pfree(c.listed);
}
