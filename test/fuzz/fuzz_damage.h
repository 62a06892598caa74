/*
 * fuzz_damage.h
 *	  Damage to area files while the server is down, for fuzz_extents.c, which has
 *	  the disk, the model and the server.
 */
#ifndef FUZZ_DAMAGE_H
#define FUZZ_DAMAGE_H

#define MAX_ENTRIES		(MAX_OPS * 1024 / QUEUES)

/* Which entries of each queue must be missing, and which are said to be. */
static uint8 *expected[QUEUES];
static uint8 *told[QUEUES];

static void
note_missing(RqQueue *q, RqOff from, RqOff to, void *arg)
{
	for (RqOff off = from; off < to; off++)
		must(told[q->id][off - model[q->id].start]++ == 0, "an entry is missing twice");
}

/* As an orderly shutdown leaves it: all is synced, and nothing waits to be free. */
static void
settle_all(void)
{
	static const uint64 none[RQ_EXT_CLASSES];
	int			err;

	for (int i = 0; i < 2; i++)
	{
		while (sync_step != 0)
			sync_on();
		do
			sync_on();
		while (sync_step != 0);
		must(rq_extent_supply(none, PG_UINT64_MAX, rq_extent_is_needed, &err),
			 "what is released does not become free");
	}
	(void) rq_area_sync(&rq_extents->marks);
}

static void
write_area(Size at_byte, const void *bytes, Size len)
{
	int			fd = open(area_path, O_RDWR);

	must(fd >= 0 && pwrite(fd, bytes, len, at_byte) == len, "cannot write");
	close(fd);
	image_len = read_area(image);
}

/* What is damaged: chunks, or some headers of one. */
typedef struct Damage
{
	uint32		chunk;
	bool		whole;			/* the chunk */
	bool		beyond;			/* and all after it */
	uint32		from;			/* places */
	uint32		to;
	Size		at;				/* in the file */
	Size		len;
} Damage;

static bool
hits(const Damage *d, RqExtAddr addr)
{
	uint32		chunk = RQ_EXT_CHUNK(addr);
	uint32		place = RQ_EXT_PLACE(addr);

	if (d->beyond)
		return chunk >= d->chunk;
	return chunk == d->chunk && (d->whole || (place >= d->from && place <= d->to));
}

/* Of the extents that the queues have now: before the server is stopped. */
static void
expect_missing(const Damage *d, uint32 i)
{
	const ModelQueue *m = &model[i];
	RqExtAddr	tail = RQ_EXT_TAIL_ADDR(pg_atomic_read_u64(&queue_of(i)->tail));
	RqExtentHeader h;

	must(m->end - m->start <= MAX_ENTRIES, "too many entries");
	memset(expected[i], 0, MAX_ENTRIES);
	memset(told[i], 0, MAX_ENTRIES);
	for (RqExtAddr addr = queue_of(i)->head; addr != RQ_EXT_NONE;
		 addr = addr == tail ? RQ_EXT_NONE : h.next)
	{
		h = *rq_ext_header(addr, RQ_MAP_READ);
		for (uint32 n = 0; hits(d, addr) && n < rq_ext_count(&h, rq_ext_class(addr)); n++)
			if (h.first + n >= m->start && h.first + n < m->end)
				expected[i][h.first + n - m->start] = 1;
	}
}

/*
 * A flipped bit in the header of an extent or a chunk, a sector of headers that is
 * zeros, or a file that ends too early or is missing.  Most extents are at the
 * beginning of their chunk.
 */
static Damage
choose_damage(void)
{
	Damage		d = {.chunk = number() % rq_extents->nchunks};
	int			class = rq_chunk_class(d.chunk);
	uint32		how = number() % 8;
	Size		start = (Size) d.chunk * RQ_CHUNK_SIZE;

	d.beyond = how == 0;
	d.whole = how == 1 || class < 0;
	d.from = class < 0 ? 0 : 1 + number() % Min(rq_ext_places[class], 1 << number() % 8);
	d.to = d.from;
	d.at = start + (d.whole ? 0 : d.from * sizeof(RqExtentHeader));
	d.len = sizeof(RqExtentHeader);
	if (how > 4 && !d.whole)
	{
		/* The first sector has the chunk's header, too. */
		d.at -= d.at % SECTOR;
		d.len = SECTOR;
		d.from = (d.at - start) / sizeof(RqExtentHeader);
		d.to = d.from + SECTOR / sizeof(RqExtentHeader) - 1;
		d.whole = d.from == 0;
	}
	return d;
}

static void
do_damage(const Damage *d)
{
	char		bytes[SECTOR];
	uint32		bit = number() % (offsetof(RqExtentHeader, next) * 8);

	if (d->beyond)
	{
		Size		size = (Size) d->chunk * RQ_CHUNK_SIZE + number() % RQ_CHUNK_SIZE;

		must((size < RQ_CHUNK_SIZE && number() % 2 == 0 ? unlink(area_path) :
			  truncate(area_path, size)) == 0, "cannot cut the area file");
		image_len = read_area(image);
		return;
	}
	memcpy(bytes, image + d->at, d->len);
	if (d->len == SECTOR)
		memset(bytes, 0, SECTOR);
	else
		bytes[bit / 8] ^= 1 << bit % 8;
	write_area(d->at, bytes, d->len);
}

static void
check_told(void)
{
	for (uint32 i = 0; i < QUEUES; i++)
		must(memcmp(told[i], expected[i], MAX_ENTRIES) == 0,
			 "other entries are told to be missing than are");
}

/* What is missing is zeros, and all else is as it was. */
static void
check_rest(uint32 i)
{
	const ModelQueue *m = &model[i];
	RqExtRun	run = {0};

	for (RqOff off = m->start; off < m->end; off++)
		if (!expected[i][off - m->start])
			check_entry(i, off, RQ_MAP_READ, NULL, &run);
		else
			must(rq_extent_find(queue_of(i), NULL, off, RQ_MAP_READ, &run) &&
				 rq_ext_entry_is_missing(&run.entries[off - run.first]),
				 "a missing entry is something");
}

/* Queues that have lost entries lose the rest, too, and go on. */
static void
trim_lost(uint32 i)
{
	Op		   *op = &ops[nops];

	if (memchr(expected[i], 1, MAX_ENTRIES) == NULL || nops == MAX_OPS)
		return;
	*op = (Op)
	{
		.kind = OP_TRIM, .queue = i, .n = model[i].end
	};
	nops++;
	apply(op, nops);
}

static bool
is_any_missing(void)
{
	for (uint32 i = 0; i < QUEUES; i++)
		if (memchr(expected[i], 1, MAX_ENTRIES) != NULL)
			return true;
	return false;
}

/*
 * Something is damaged while the server is down.  It is told what is missing; a
 * server that does not start for that has changed nothing.  One that starts has
 * all other entries; and those too when it starts again, after what was damaged
 * has been put back.
 */
static void
damage(void)
{
	static char *before = NULL;
	Damage		d;
	uint64		seq;

	if (rq_extents->nchunks == 0 || nops + QUEUES > MAX_OPS)
		return;
	settle_all();
	d = choose_damage();

	/* Area files that come after one that is too short are not looked at here. */
	rq_extents_numbers(&seq, &stated);
	stated = d.beyond ? 0 : stated;
	for (uint32 i = 0; i < QUEUES; i++)
		expect_missing(&d, i);
	stop_server();
	if (before == NULL)
		before = malloc(MAX_FILE);
	(void) read_area(before);
	image_len = read_area(image);
	do_damage(&d);

	/* It refuses to start. */
	fuzz_start_queues();
	make_queues();
	(void) rq_extent_load_begin(note_missing, NULL);
	check_told();
	stop_server();
	must(d.beyond || memcmp(before, image, d.at) == 0, "a refused start has written");

	/* It is to go on. */
	for (uint32 i = 0; i < QUEUES; i++)
		memset(told[i], 0, MAX_ENTRIES);
	start_server_with(note_missing, !is_any_missing());
	check_told();
	for (uint32 i = 0; i < QUEUES; i++)
		check_rest(i);
	check_places();
	(void) rq_area_sync(&rq_extents->marks);
	if (!d.beyond && number() % 2 == 0)
	{
		stop_server();
		write_area(d.at, before + d.at, d.len);
		start_server();
		check_all();
	}
	else
		for (uint32 i = 0; i < QUEUES; i++)
			trim_lost(i);
	settle_all();
	stated = 0;
}

#endif							/* FUZZ_DAMAGE_H */
