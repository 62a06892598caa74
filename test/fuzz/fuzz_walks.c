/*
 * fuzz_walks.c
 *	  Headers of chunks and extents of any bytes, and walks along them.
 *
 * The input says which extents there are in a chunk of class 0 and in one of
 * class 3, and what their headers say.  Most of that is near to what a queue's
 * own headers would say, or a walk would end at the first one.  Then entries are searched for, and what lies below a start is given back,
 * with all modes and from wherever the queue's last extent may be.
 */
#include "fuzz_format.h"

#include "fuzz_queues.h"
#include "queue/rq_extent.h"
#include "extent/rq_extlist.h"

#define CHUNKS		2
#define STEPS		200

static char *area;
static uint32 mapped;			/* how often a header was looked at */
static const RqKey my_key = {.db = 1,.rel = 2};

uint64		rq_map_areas_gone = 0;

char *
rq_map_area(uint32 number, uint64 least, RqMapMode mode)
{
	mapped++;
	return number == 0 && least <= CHUNKS * RQ_CHUNK_SIZE ? area : NULL;
}

/* ---- how long a walk is ---- */

#define LONG_CHAIN	4096

/* As if so many extents had come before the queue's first one, and were trimmed. */
static void
set_depth(RqQueue *q, uint32 depth)
{
	RqExtentHeader *h = rq_ext_header(q->head, RQ_MAP_WRITE);

	h->depth = depth;
	h->prev = h->jump = RQ_EXT_ADDR(1, 1);
	rq_ext_seal(h, q->head);
}

/*
 * A chain of very many extents, each added by the server's own code: from its end
 * to any of them it takes some steps for each time that the length doubles.  A
 * step looks at two headers at most.
 */
static void
check_long_chain(uint32 depth)
{
	RqQueue    *q = fuzz_make_queue(0, 0, 7, 0);
	uint32		most = 0;

	for (RqOff first = 0; first < LONG_CHAIN * 16; first += 16)
	{
		/* The queue keeps nothing, so it gets a small one. */
		pg_atomic_write_u64(&q->start, first);
		if (rq_extent_add(q, first, 1) != RQ_EXT_DONE)
			abort();
		pg_atomic_write_u64(&q->end, first + 16);
		if (first == 0 && depth > 0)
			set_depth(q, depth);
	}
	pg_atomic_write_u64(&q->start, 0);
	for (RqOff off = 0; off < LONG_CHAIN * 16; off += 16)
	{
		RqExtRun	run = {0};

		mapped = 0;
		if (!rq_extent_find(q, NULL, off, RQ_MAP_READ, &run) ||
			run.first != off || run.count != 16)
			abort();
		most = Max(most, mapped);
		if (rq_ext_problem(rq_ext_header(run.addr, RQ_MAP_READ), 0, run.addr) != NULL)
			abort();
	}

	/* Where depths begin again, they are those of two chains. */
	if (most < 3 || most > (2 * 2 * 12 + 4) * (depth > 0 ? 2 : 1))
		abort();
}

/* ---- input ---- */

/* An address that can be, most of the time. */
static RqExtAddr
address(void)
{
	uint32		n = number();

	if (n % 16 == 0)
		return n;
	return n % 2 == 0 ? RQ_EXT_ADDR(0, 1 + n / 16 % 8) :
		RQ_EXT_ADDR(1, 1 + n / 16 % 8);
}

/* Near to each other, most of the time. */
static RqOff
offset(void)
{
	uint32		n = number();

	return n % 16 == 0 ? (uint64) n << 32 | number() : n % 65536;
}

static void
put_extent(RqQueue *q)
{
	RqExtAddr	addr = address();
	uint32		how = number();
	RqExtentHeader h = {.key = my_key, .queue_id = 0, .born = q->born};
	RqExtentHeader *to;
	int			class = rq_ext_class(addr);

	h.first = offset();
	h.depth = number() % 16;
	h.seq = number();
	h.prev = address();
	h.jump = address();
	h.next = address();
	h.hole = how % 8 == 1 ? number() : 0;
	rq_ext_seal(&h, addr);
	if (how % 16 == 2)
		h.crc = number();
	if (how % 16 == 3)
		h.magic = number();
	if (how % 16 == 4)
		h.queue_id = number();
	if (how % 16 == 5)
		h.born = number();
	(void) rq_ext_is_free(&h);
	if (class < 0)
		return;
	if (rq_ext_problem(&h, class, addr) == NULL && rq_ext_is_free(&h))
		abort();
	to = (RqExtentHeader *) (area + (uint64) RQ_EXT_CHUNK(addr) * RQ_CHUNK_SIZE) +
		RQ_EXT_PLACE(addr);
	*to = h;
}

/* The header of a chunk as the bytes come, and as they would be sealed. */
static void
check_chunk_header(void)
{
	RqChunkHeader h = {.chunk = number() % 4, .class = number() % 8, .store = number()};
	char		begin[RQ_RAW_BYTES] = {0};
	uint32		byte;

	rq_chunk_seal(&h);
	if ((rq_chunk_problem(&h, h.chunk, h.store) == NULL) != (h.class < RQ_EXT_CLASSES))
		abort();
	if (rq_chunk_problem(&h, h.chunk + 1, h.store) == NULL ||
		rq_chunk_problem(&h, h.chunk, h.store + 1) == NULL)
		abort();
	memcpy(begin, &h, sizeof(h));
	if (rq_chunk_is_raw(begin))
		abort();
	memset(begin, 0, sizeof(h));
	if (!rq_chunk_is_raw(begin))
		abort();
	/* A header behind it, or only what links free extents. */
	byte = sizeof(h) + number() % (RQ_RAW_BYTES - sizeof(h));
	begin[byte] = 1;
	if (rq_chunk_is_raw(begin) != (byte % sizeof(RqExtentHeader) >= offsetof(RqExtentHeader, next)))
		abort();
	((uint32 *) &h)[number() % 16] ^= number() | 1;
	if (rq_chunk_problem(&h, h.chunk, h.store) == NULL)
		abort();
}

/* ---- walks ---- */

static void
look(RqQueue *q, RqExtRun *run)
{
	RqMapMode	mode = number() % 4;
	RqExtOwner	owner = rq_extent_owner(q);
	RqOff		off = number() % 8 == 0 ? run->first + run->count : offset();

	if (!rq_extent_find(q, number() % 2 == 0 ? NULL : &owner, off, mode, run))
		return;
	if (off - run->first >= run->count)
		abort();

	/* Only of its last extent a queue knows itself where that begins. */
	if (run->addr != RQ_EXT_TAIL_ADDR(pg_atomic_read_u64(&q->tail)) &&
		rq_ext_problem(rq_ext_header(run->addr, RQ_MAP_READ),
					   rq_ext_class(run->addr), run->addr) != NULL)
		abort();
	fuzz_touch(run->entries, sizeof(RqEntry));
	fuzz_touch(&run->entries[run->count - 1], sizeof(RqEntry));
}

/* As rq_queue_trim_apply() leaves it: start <= end, and end is in the tail. */
static void
cut(RqQueue *q)
{
	RqOff		start = pg_atomic_read_u64(&q->start);
	RqOff		stop = pg_atomic_read_u64(&q->end);

	pg_atomic_write_u64(&q->start, start + offset() % (stop - start + 1));
	rq_extent_cut(q);
}

/* The headers are all that a round writes. */
static void
clear_headers(void)
{
	memset(area, 0, rq_ext_offset(0, 1));
	memset(area + RQ_CHUNK_SIZE, 0, rq_ext_offset(3, 1));
}

static void
check_long_chains(void)
{
	static const uint32 depths[] = {0, 1, PG_UINT32_MAX - LONG_CHAIN / 3, PG_UINT32_MAX - 1,
	PG_UINT32_MAX};

	for (int i = 0; i < lengthof(depths); i++)
	{
		fuzz_make_topic(0, my_key, 1);
		rq_chunk_add(0, 0);
		check_long_chain(depths[i]);
		clear_headers();
		fuzz_stop_server();
		fuzz_start_queues();
	}
}

static void
run_round(void)
{
	RqQueue    *q;
	RqExtRun	run = {0};
	RqExtAddr	tail;
	RqOff		first;
	int			class;

	fuzz_make_topic(0, my_key, 1);
	q = fuzz_make_queue(0, 0, 7, 0);
	rq_chunk_add(0, 0);
	rq_chunk_add(1, 3);
	check_chunk_header();
	for (uint32 n = number() % 64; n > 0; n--)
		put_extent(q);
	q->head = address();
	tail = address();
	first = offset();
	class = rq_ext_class(tail);
	pg_atomic_write_u64(&q->tail, RQ_EXT_TAIL(tail, first));
	pg_atomic_write_u64(&q->end, class < 0 ? first :
						first + number() % (rq_ext_entries[class] + 1));
	pg_atomic_write_u64(&q->start, Min(first, offset()));
	for (int i = 0; i < STEPS; i++)
		switch (number() % 4)
		{
			case 0:
				if (class >= 0)
					cut(q);
				tail = RQ_EXT_TAIL_ADDR(pg_atomic_read_u64(&q->tail));
				class = tail == RQ_EXT_NONE ? -1 : rq_ext_class(tail);
				break;
			case 1:
				rq_extent_sync_begin();
				rq_extent_sync_done();
				break;
			default:
				look(q, &run);
		}
}

int
LLVMFuzzerTestOneInput(const uint8 *data, size_t size)
{
	random_state = 88172645463325252;
	at = data;
	end = data + size;
	fuzz_start_queues();
	if (area == NULL)
	{
		area = calloc(CHUNKS, RQ_CHUNK_SIZE);
		check_long_chains();
	}
	if (sigsetjmp(fuzz_round, 0) == 0)
		run_round();
	fuzz_stop_server();
	clear_headers();
	return 0;
}
