/*
 * rq_extsupply.c
 *	  Make extents free before they are needed, and give back chunks.
 *
 * Free extents are all zeros, so that whoever takes one has nothing to do but to
 * fill in its header.  Three kinds of work lead there: an extent that was
 * released is zeroed; in a chunk that was found at the start, with extents that
 * nobody owns, those are checked, since a crash can have left anything in them;
 * and a chunk that is raw, or beyond the end of the last area file, is filled.
 */
#include "postgres.h"

#include "base/rq_fault.h"
#include "extent/rq_extlist.h"
#include "extent/rq_extsupply.h"
#include "format/rq_segfmt.h"

/* By pages, so that one that is zeros already is not written. */
static void
zero_entries(char *base, int class, uint32 place)
{
	static const char zeros[4096];
	char	   *at = (char *) rq_area_entries(base, class, place);
	Size		len = rq_ext_entries[class] * sizeof(RqEntry);
	Size		step = Min(len, sizeof(zeros));

	for (char *end = at + len; at < end; at += step)
		if (memcmp(at, zeros, step) != 0)
			memset(at, 0, step);
}

/* ---- what has been released ---- */

static RqExtAddr
first_released(void)
{
	RqExtAddr	addr;

	LWLockAcquire(rq_extents_lock, LW_SHARED);
	addr = rq_extents->released.head;
	LWLockRelease(rq_extents_lock);
	return addr;
}

/*
 * False if it is not the first one any more.  Where the list goes on is read under
 * the lock, since one can have been added behind the last; and before anything
 * changes, since to read it can throw.
 */
static bool
pop_released(RqExtAddr addr, const RqExtentHeader *h)
{
	RqExtChain *list = &rq_extents->released;
	bool		popped;

	LWLockAcquire(rq_extents_lock, LW_EXCLUSIVE);
	popped = list->head == addr;
	if (popped)
	{
		int			class = rq_ext_class(addr);
		bool		is_last = addr == list->tail;
		RqExtAddr	next = is_last ? RQ_EXT_NONE : *(const volatile RqExtAddr *) &h->next;

		rq_extents->nowned[class]--;
		list->bytes -= Min(list->bytes, rq_ext_bytes(class));
		if (is_last)
			memset(list, 0, sizeof(*list));
		else
			list->head = next;
	}
	LWLockRelease(rq_extents_lock);
	return popped;
}

/* A link of the list is damaged: the rest of it is free after the next start. */
static void
forget_released(void)
{
	LWLockAcquire(rq_extents_lock, LW_EXCLUSIVE);
	memset(&rq_extents->released, 0, sizeof(RqExtChain));
	LWLockRelease(rq_extents_lock);
	ereport(LOG,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("a list of unused extents of queues is damaged"),
			 errdetail("They are not used before the server is restarted.")));
}

/* The first released extent, on its way to be free. */
typedef struct Release
{
	RqExtIsNeeded is_needed;
	RqExtAddr	addr;
	bool		popped;
	int			err;			/* it cannot be mapped */
} Release;

/*
 * Take it from the list; false if it cannot be made free.  Links of the list are
 * on disk, where they can be damaged, and have no checksum; so what one leads to
 * is looked at before it is zeroed.
 */
static bool
pop_checked(void *arg)
{
	Release    *r = arg;
	int			class = rq_ext_class(r->addr);
	const RqExtentHeader *h;
	RqExtentHeader copy;

	if (class < 0)
		return false;
	h = rq_ext_header(r->addr, RQ_MAP_PROBE_WRITE);
	if (h != NULL)
	{
		copy = *h;
		if (rq_ext_problem(&copy, class, r->addr) != NULL ||
			r->is_needed(r->addr, &copy))
			return false;
		/* Again: others have been mapped since. */
		h = rq_ext_header(r->addr, RQ_MAP_PROBE_WRITE);
	}
	if (h == NULL)
		r->err = EIO;
	else
		r->popped = pop_released(r->addr, h);
	return true;
}

/*
 * Entries first: a header of zeros says that they are zeros, too, to whoever looks
 * at both while the server runs.  In a chunk that is yet to be swept it becomes
 * free then.
 */
static bool
make_free(void *arg)
{
	const Release *r = arg;
	uint32		chunk = RQ_EXT_CHUNK(r->addr);
	uint32		place = RQ_EXT_PLACE(r->addr);
	char	   *base = rq_area_chunk(chunk, RQ_MAP_WRITE);

	zero_entries(base, rq_ext_class(r->addr), place);
	RQ_FAULT("extent-zeroing");
	if (rq_chunks[chunk].sweep == RQ_SWEEP_DUE && place >= rq_chunks[chunk].fresh)
		rq_free_clear(r->addr, base);
	else
		rq_free_put(r->addr, base);
	return true;
}

/*
 * The next released extent becomes free; how many bytes that was, 0 if there is
 * none.  One whose page cannot be read is not used before the next start; if it is
 * the header, nor are those after it.  So whoever makes room can't throw, and an
 * error does not come back in each round.
 */
static uint64
free_released(RqExtIsNeeded is_needed, int *err)
{
	Release		r = {.is_needed = is_needed};

	while (!r.popped)
	{
		r.addr = first_released();
		if (r.addr == RQ_EXT_NONE)
			return 0;
		if (!rq_extent_try(pop_checked, &r))
		{
			forget_released();
			return 0;
		}
		if (r.err != 0)
		{
			*err = r.err;
			return 0;
		}
	}
	(void) rq_extent_try(make_free, &r);
	return rq_ext_bytes(rq_ext_class(r.addr));
}

/* ---- chunks ---- */

static bool
is_unswept(const RqChunk *c)
{
	return c->sweep == RQ_SWEEP_DUE || c->sweep == RQ_SWEEP_EMPTY;
}

/* The next chunk after the last one that was found so, or RQ_NO_CHUNK. */
static uint32
find_chunk(int class, bool unswept)
{
	static uint32 at = 0;

	for (uint32 n = 0; n < rq_extents->nchunks; n++)
	{
		const RqChunk *c;

		at = at + 1 < rq_extents->nchunks ? at + 1 : 0;
		c = &rq_chunks[at];
		if (c->kind == class + 1 && is_unswept(c) == unswept)
			return at;
	}
	return RQ_NO_CHUNK;
}

/* Every extent that nobody owns; their headers have been zeroed at the start. */
static bool
sweep_places(void *arg)
{
	uint32		chunk = *(uint32 *) arg;
	RqChunk    *c = &rq_chunks[chunk];
	int			class = c->kind - 1;
	char	   *base = rq_area_chunk(chunk, RQ_MAP_WRITE);

	while (c->fresh <= rq_ext_places[class])
	{
		uint32		place = c->fresh++;

		if (!rq_ext_is_free(rq_area_header(base, place)))
			continue;
		zero_entries(base, class, place);
		rq_free_put(RQ_EXT_ADDR(chunk, place), base);
	}
	return true;
}

/*
 * If this is cut short by an error, as when a page can't be read, the rest is not
 * used until the next start: nothing must become free twice.
 */
static int
sweep_chunk(int class)
{
	uint32		chunk = find_chunk(class, true);
	bool		done;

	Assert(chunk != RQ_NO_CHUNK);
	if (rq_area_chunk(chunk, RQ_MAP_PROBE_WRITE) == NULL)
		return EIO;
	rq_chunk_sweep_begin(chunk);
	done = rq_extent_try(sweep_places, &chunk);
	rq_chunk_sweep_end(chunk, done ? RQ_SWEPT : RQ_SWEEP_GIVEN_UP);
	return 0;
}

static int
fill_chunk_of(int class)
{
	uint32		chunk = rq_extents->nchunks;
	int			err;

	if (rq_extents->nraw > 0)
		chunk = find_chunk(-1, false);
	if (chunk >= RQ_CHUNKS)
		return ENOSPC;
	err = rq_area_fill(chunk, class, rq_extents->store);
	if (err == 0)
		rq_chunk_add(chunk, class);
	return err;
}

/*
 * While something is missing, what was found at the start is left alone, as it may
 * turn out to be that; but for the sake of going on.
 */
static int
supply_class(int class)
{
	int			err = 0;

	if (rq_extents->nunswept[class] == 0 || rq_extents->damaged)
		err = fill_chunk_of(class);
	if (rq_extents->nunswept[class] > 0 && (err != 0 || !rq_extents->damaged))
		err = sweep_chunk(class);
	return err;
}

bool
rq_extent_supply(const uint64 want[RQ_EXT_CLASSES], uint64 most,
				 RqExtIsNeeded is_needed, int *err)
{
	uint64		done = 0;
	uint64		bytes;

	*err = 0;
	while ((bytes = free_released(is_needed, err)) > 0)
	{
		done += bytes;
		if (done >= most)
			return false;
	}
	for (int class = 0; class < RQ_EXT_CLASSES; class++)
	{
		int			failed = 0;

		while (rq_extents->nfree[class] < want[class] && failed == 0)
		{
			if (done >= most)
				return false;
			failed = supply_class(class);
			done += RQ_CHUNK_SIZE;
		}
		/* As long as there are some, nobody is to be refused. */
		if (failed != 0 && rq_extents->nfree[class] == 0)
			*err = failed;
	}
	return true;
}

void
rq_extent_report_lacking(int err)
{
	bool		is_full = err == ENOSPC || err == EDQUOT;

	errno = err;
	ereport(ERROR,
			(is_full ? errcode(ERRCODE_DISK_FULL) : errcode_for_file_access(),
			 errmsg("could not allocate space for queues in directory \"%s\": %m",
					RQ_QUEUE_DIR),
			 is_full ?
			 errhint("Free some space in \"%s\".",
					 RQ_QUEUE_DIR) :
			 errhint("Fix the problem with \"%s\".",
					 RQ_QUEUE_DIR)));
}

void
rq_extent_sweep(uint32 most)
{
	static int	class = 0;

	for (int i = 0; i < RQ_EXT_CLASSES && !rq_extents->damaged; i++)
	{
		for (; most > 0 && rq_extents->nunswept[class] > 0; most--)
			(void) sweep_chunk(class);
		if (most == 0)
			return;
		class = (class + 1) % RQ_EXT_CLASSES;
	}
}

uint32
rq_extent_raze(const uint32 keep[RQ_EXT_CLASSES], uint32 look, uint32 most)
{
	static uint32 at = 0;
	uint32		razed = 0;

	for (uint32 n = 0; n < Min(look, rq_extents->nchunks) && razed < most; n++)
	{
		at = at + 1 < rq_extents->nchunks ? at + 1 : 0;
		if (rq_chunk_remove(at, keep) && rq_area_raze(at) == 0)
			razed++;
	}
	return razed;
}

/*
 * In chunks that are yet to be swept nobody has counted what is free.  So they are
 * swept, until one of them turns out to have nothing in it.
 */
void
rq_extent_make_room(RqExtIsNeeded is_needed)
{
	static const uint32 keep_none[RQ_EXT_CLASSES];
	int			err = 0;

	while (free_released(is_needed, &err) > 0)
		;
	if (rq_extent_raze(keep_none, PG_UINT32_MAX, PG_UINT32_MAX) > 0)
		return;
	for (int class = 0; class < RQ_EXT_CLASSES; class++)
		while (rq_extents->nunswept[class] > 0 && sweep_chunk(class) == 0)
			if (rq_extents->nempty[class] > 0)
			{
				(void) rq_extent_raze(keep_none, PG_UINT32_MAX, PG_UINT32_MAX);
				return;
			}
}
