/*
 * fuzz_extents.c
 *	  Extents of queues against a model: added, found, trimmed, dropped, synced,
 *	  and found again after a crash.
 *
 * The input is a sequence of steps; when it ends, some more are made up.  The
 * area files are real ones.  What of them is on disk is an image of them, which
 * is made when one is synced.  In a crash each sector is what the image has or
 * what has been stored since: the kernel may write back anything at any time.
 * Then the server starts again with the slots that were copied by the last sync
 * that was done, and replays what has been logged after each copy, up to some
 * point.
 *
 * In between something is damaged while the server is down: then those entries must
 * be told to be missing that were there, and no others.
 *
 * A queue's entries are computed from its incarnation and their offsets, so that
 * one that is found can be told from any other.
 */
#include "fuzz_format.h"

#include "fuzz_queues.h"
#include "queue/rq_extent.h"
#include "extent/rq_extlist.h"
#include "queue/rq_extload.h"
#include "extent/rq_extsupply.h"

/* For its table of mappings, which does not outlive a server. */
#include "store/rq_map.c"

#define QUEUES		6			/* of one topic */
#define MAX_OPS		4096
#define MORE_STEPS	60
#define SECTOR		512
#define MAX_FILE	(64 * (Size) RQ_CHUNK_SIZE)

int			MyProcPid = 1;
static uint32 wait_event;
uint32	   *my_wait_event_info = &wait_event;

static const RqKey my_key = {.db = 1,.rel = 2};

static void
must(bool so, const char *what)
{
	if (so)
		return;
	fprintf(stderr, "%s\n", what);
	abort();
}

/* ---- the disk ---- */

static char *image;				/* of area file 0, as far as it is on disk */
static Size image_len;
static char area_path[MAXPGPATH];

static Size
read_area(char *to)
{
	int			fd = open(area_path, O_RDONLY);
	ssize_t		len = fd < 0 ? 0 : read(fd, to, MAX_FILE);

	must(len >= 0, "cannot read the area file");
	if (fd >= 0)
		close(fd);
	return len;
}

int
pg_fsync(int fd)
{
	struct stat of_fd;
	struct stat of_area;

	if (fstat(fd, &of_fd) == 0 && stat(area_path, &of_area) == 0 &&
		of_fd.st_ino == of_area.st_ino)
		image_len = read_area(image);
	return 0;
}

/* Each sector that has changed since it was synced is there or is not. */
static void
lose_sectors(void)
{
	static char *now = NULL;
	Size		len;
	int			fd = open(area_path, O_RDWR);
	uint32		odds = number() % 3;

	if (now == NULL)
		now = malloc(MAX_FILE);
	if (fd < 0)
		return;
	len = read_area(now);
	memset(image + image_len, 0, len - Min(len, image_len));
	for (Size i = 0; i < len; i += SECTOR)
	{
		bool		lost = odds == 2 || (odds == 1 && number() % 2 == 0);

		if (lost && memcmp(now + i, image + i, SECTOR) != 0)
			must(pwrite(fd, image + i, SECTOR, i) == SECTOR, "cannot write");
	}
	close(fd);
	image_len = read_area(image);
}

int
BasicOpenFile(const char *path, int flags)
{
	return open(path, flags, 0600);
}

int
data_sync_elevel(int elevel)
{
	return PANIC;
}

void
pg_re_throw(void)
{
	abort();
}

/* ---- the model ---- */

typedef struct ModelQueue
{
	uint64		born;
	RqOff		start;
	RqOff		end;
	uint64		lsn;			/* of the last operation on it */
} ModelQueue;

typedef enum OpKind
{
	OP_ENQUEUE,
	OP_TRIM,
	OP_DROP
} OpKind;

typedef struct Op
{
	OpKind		kind;
	uint32		queue;
	uint64		n;				/* entries, the start, or where it begins */
} Op;

static Op	ops[MAX_OPS];		/* the WAL; the LSN of ops[i] is i + 1 */
static uint64 nops;
static ModelQueue model[QUEUES];

/* The state file, and the copy for the next one while a sync goes on. */
static ModelQueue saved[QUEUES];
static ModelQueue copied[QUEUES];
static int	sync_step;

static uint64
entry_pos(uint64 born, uint32 queue, RqOff off)
{
	return (off * 1000003 + born) * QUEUES + queue + 1;
}

/* ---- operations ---- */

static RqQueue *
queue_of(uint32 i)
{
	return rq_queue_find(0, i);
}

static void
supply(int class)
{
	uint64		want[RQ_EXT_CLASSES] = {0};
	int			err;

	want[class] = 1;
	rq_extent_supply(want, 1 << number() % 26, rq_extent_is_needed, &err);
	must(err == 0, "the supply failed");
}

static void
enqueue(uint32 i, uint64 n)
{
	RqQueue    *q = queue_of(i);
	RqOff		from = pg_atomic_read_u64(&q->end);
	RqOff		upto = from + n;
	RqExtRun	run = {0};

	for (uint64 room; (room = rq_extent_room(q)) < n;)
	{
		/* The room is counted from the end, so that has to stay behind. */
		if (room > 0)
		{
			enqueue(i, room);
			enqueue(i, n - room);
			return;
		}
		if (rq_extent_add(q, from, n) == RQ_EXT_LACKING)
			supply(rq_ext_class_for(from - pg_atomic_read_u64(&q->start), n));
	}
	for (RqOff off = from; off < upto; off++)
	{
		must(rq_extent_find(q, NULL, off, RQ_MAP_WRITE, &run),
			 "there is no room for a new entry");
		run.entries[off - run.first].pos = entry_pos(q->born, i, off);
	}
	rq_area_mark(&rq_extents->marks, RQ_EXT_CHUNK(run.addr));
	pg_atomic_write_u64(&q->end, upto);
}

static void
apply(const Op *op, uint64 lsn)
{
	ModelQueue *m = &model[op->queue];
	RqQueue    *q = queue_of(op->queue);

	switch (op->kind)
	{
		case OP_ENQUEUE:
			enqueue(op->queue, op->n);
			m->end += op->n;
			break;
		case OP_TRIM:
			pg_atomic_write_u64(&q->start, op->n);
			rq_extent_cut(q);
			m->start = op->n;
			break;
		case OP_DROP:
			{
				RqExtChain	chain = {.head = q->head,
				.tail = RQ_EXT_TAIL_ADDR(pg_atomic_read_u64(&q->tail))};

				fuzz_make_queue(0, op->queue, lsn, op->n);
				if (chain.head != RQ_EXT_NONE)
					must(rq_chain_give_back(chain), "a chain is not mapped");
				m->born = lsn;
				m->start = m->end = op->n;
			}
	}
	m->lsn = lsn;
}

static void
operate(OpKind kind)
{
	Op		   *op = &ops[nops];
	const ModelQueue *m;

	if (nops == MAX_OPS)
		return;
	op->kind = kind;
	op->queue = number() % QUEUES;
	m = &model[op->queue];
	if (kind == OP_ENQUEUE)
		op->n = 1 + number() % (number() % 4 == 0 ? 1024 : number() % 4 == 0 ? 200 : 20);
	if (kind == OP_TRIM)
		op->n = number() % 3 == 0 ? m->end :
			m->start + number() % (m->end - m->start + 1);
	if (kind == OP_DROP)
		op->n = number() % 2 == 0 ? 0 : UINT64CONST(0x100000000) - number() % 300;
	nops++;
	apply(op, nops);
}

/* ---- sync and crash ---- */

/* One step of a sync, in the order of which all depends. */
static void
sync_on(void)
{
	if (sync_step == 0)
		rq_extent_sync_begin();
	else if (sync_step <= QUEUES)
		copied[sync_step - 1] = model[sync_step - 1];
	else if (sync_step == QUEUES + 1)
		(void) rq_area_sync(&rq_extents->marks);
	else if (sync_step == QUEUES + 2)
		memcpy(saved, copied, sizeof(saved));
	else
		rq_extent_sync_done();
	sync_step = (sync_step + 1) % (QUEUES + 4);
}

static void
must_not_miss(RqQueue *q, RqOff from, RqOff to, void *arg)
{
	must(false, "entries of a queue are missing after a crash");
}

static uint32 stated;			/* chunks that the state says there are */

static void
make_queues(void)
{
	rq_extents->nchunks = stated;
	fuzz_make_topic(0, my_key, QUEUES);
	for (uint32 i = 0; i < QUEUES; i++)
	{
		RqQueue    *q = fuzz_make_queue(0, i, model[i].born, model[i].start);

		pg_atomic_write_u64(&q->end, model[i].end);
	}
}

static void
start_server_with(RqExtMissing missing, bool complete)
{
	fuzz_start_queues();
	make_queues();
	rq_extent_load_finish(rq_extent_load_begin(missing, NULL), complete);
}

static void
start_server(void)
{
	start_server_with(must_not_miss, true);
}

static void
stop_server(void)
{
	for (int i = 0; i < 2; i++)
		if (areas[0][i] != NULL)
			munmap(areas[0][i]->base, areas[0][i]->size);
	memset(areas, 0, sizeof(areas));
	memset(last_hit, 0, sizeof(last_hit));
	memset(nmaps, 0, sizeof(nmaps));
	maps = NULL;
	fuzz_stop_server();
}

/*
 * All that is durable is replayed.  More may be, so any number of records that
 * is not less than what the copies contain, as each sync flushes WAL before it
 * writes the state.
 */
static void
crash(void)
{
	uint64		least = 0;

	stop_server();
	lose_sectors();
	for (int i = 0; i < QUEUES; i++)
		least = Max(least, saved[i].lsn);
	nops = least + (nops > least ? number() % (nops - least + 1) : 0);
	memcpy(model, saved, sizeof(model));
	sync_step = 0;
	start_server();
	InRecovery = true;
	for (uint64 i = 0; i < nops; i++)
		if (i + 1 > model[ops[i].queue].lsn)
			apply(&ops[i], i + 1);
	InRecovery = false;
}

/* ---- checks ---- */

static void
check_entry(uint32 i, RqOff off, RqMapMode mode, const RqExtOwner *owner,
			RqExtRun *run)
{
	must(rq_extent_find(queue_of(i), owner, off, mode, run), "an entry is not found");
	must(run->entries[off - run->first].pos == entry_pos(model[i].born, i, off),
		 "an entry is not what it was");
}

static void
check_queue(uint32 i)
{
	const ModelQueue *m = &model[i];
	RqQueue    *q = queue_of(i);
	RqExtOwner	owner = rq_extent_owner(q);
	RqExtRun	run = {0};
	RqExtRun	none = {0};

	for (RqOff off = m->start; off < m->end; off++)
		check_entry(i, off, RQ_MAP_READ, &owner, &run);
	for (int n = 0; n < 10 && m->start < m->end; n++)
	{
		RqExtRun	one = {0};

		check_entry(i, m->start + number() % (m->end - m->start), number() % 4,
					NULL, &one);
	}
	if (m->start >= 8192)
		must(!rq_extent_find(q, NULL, m->start - 8192, RQ_MAP_READ, &none),
			 "an entry is found that was trimmed");
}

/* Where each extent of a chunk is: at most in one place. */
static uint8 *places;

static void
note_place(RqExtAddr addr)
{
	must(rq_ext_class(addr) >= 0, "there is no such extent");
	must(places[addr]++ == 0, "an extent is in two places");
}

static uint64
note_list(const RqExtChain *list)
{
	uint64		n = 0;

	for (RqExtAddr addr = list->head; addr != RQ_EXT_NONE; n++)
	{
		note_place(addr);
		addr = addr == list->tail ? RQ_EXT_NONE :
			rq_ext_header(addr, RQ_MAP_READ)->next;
	}
	return n;
}

/* A queue's chain, which has all of its entries and no extent besides. */
static uint64
note_chain(uint32 i)
{
	RqQueue    *q = queue_of(i);
	RqExtAddr	tail = RQ_EXT_TAIL_ADDR(pg_atomic_read_u64(&q->tail));
	RqExtAddr	before = RQ_EXT_NONE;
	RqOff		upto = 0;
	uint64		n = 0;

	must((q->head == RQ_EXT_NONE) == (tail == RQ_EXT_NONE), "half a chain");
	if (tail == RQ_EXT_NONE)
	{
		must(model[i].start == model[i].end, "no extent, but entries");
		return 0;
	}
	for (RqExtAddr addr = q->head;; n++)
	{
		RqExtentHeader h = *rq_ext_header(addr, RQ_MAP_READ);
		int			class = rq_ext_class(addr);

		note_place(addr);
		must(rq_ext_problem(&h, class, addr) == NULL, "a header is not sound");
		must(h.born == q->born && h.queue_id == i, "a header is another queue's");
		must(n > 0 ? h.prev == before && h.first == upto : h.first <= model[i].start,
			 "a chain has a gap");
		before = addr;
		upto = h.first + rq_ext_count(&h, class);
		must(n > 0 || upto > model[i].start || addr == tail,
			 "an extent below the start is kept");
		if (addr == tail)
		{
			must(h.first <= model[i].end && model[i].end <= upto,
				 "the end is not in the last extent");
			return n + 1;
		}
		addr = h.next;
	}
}

static uint64
note_free(uint32 chunk, int class, char *base)
{
	const RqChunk *c = &rq_chunks[chunk];
	uint64		n = 0;
	uint16		place = c->free_head;

	for (; place != 0; n++)
	{
		const RqExtentHeader *h = rq_area_header(base, place);

		note_place(RQ_EXT_ADDR(chunk, place));
		must(rq_ext_is_free(h), "a free extent has a header");
		place = RQ_EXT_PLACE(h->next);
	}
	for (uint32 i = c->fresh; c->sweep == RQ_SWEPT && i <= rq_ext_places[class]; i++, n++)
		note_place(RQ_EXT_ADDR(chunk, i));
	must(n == c->nfree, "the number of free extents is wrong");
	return n;
}

static void
check_places(void)
{
	uint64		owned = note_list(&rq_extents->freed) +
		note_list(&rq_extents->waiting) + note_list(&rq_extents->released);
	uint64		total = 0;
	uint64		nfree[RQ_EXT_CLASSES] = {0};

	for (uint32 i = 0; i < QUEUES; i++)
		owned += note_chain(i);
	for (uint32 i = 0; i < rq_extents->nchunks; i++)
	{
		int			class = rq_chunk_class(i);

		if (class < 0)
			continue;
		nfree[class] += note_free(i, class, rq_area_chunk(i, RQ_MAP_READ));
		for (uint32 p = 1; p <= rq_ext_places[class]; p++)
			must(rq_chunks[i].sweep != RQ_SWEPT || places[RQ_EXT_ADDR(i, p)] == 1,
				 "an extent is nowhere");
	}
	for (int class = 0; class < RQ_EXT_CLASSES; class++)
	{
		must(nfree[class] == rq_extents->nfree[class], "a sum of free ones is wrong");
		total += rq_extents->nowned[class];
	}
	must(total == owned, "the number of owned extents is wrong");
	memset(places, 0, (Size) rq_extents->nchunks << RQ_EXT_PLACE_BITS);
}

static void
check_all(void)
{
	for (uint32 i = 0; i < QUEUES; i++)
		check_queue(i);
	check_places();
}

#include "fuzz_damage.h"

/* ---- rounds ---- */

static void
step(void)
{
	uint32		what = number() % 32;

	if (what < 14)
		operate(OP_ENQUEUE);
	else if (what < 19)
		operate(OP_TRIM);
	else if (what < 20)
		operate(OP_DROP);
	else if (what < 22)
		supply(number() % 3);
	else if (what < 28)
		for (uint32 n = number() % (QUEUES + 4); n > 0; n--)
			sync_on();
	else if (what < 29)
		(void) rq_extent_raze((uint32[RQ_EXT_CLASSES]) {0}, 8, 8);
	else if (what < 30)
		check_all();
	else if (what < 31)
		damage();
	else
	{
		crash();
		check_all();
	}
}

static void
make_store(void)
{
	mkdir(RQ_DIR, 0700);
	mkdir(RQ_QUEUE_DIR, 0700);
	rq_area_path(area_path, 0);
	image = malloc(MAX_FILE);
	for (int i = 0; i < QUEUES; i++)
	{
		expected[i] = malloc(MAX_ENTRIES);
		told[i] = malloc(MAX_ENTRIES);
	}
	places = calloc(MAX_FILE / RQ_CHUNK_SIZE, 1 << RQ_EXT_PLACE_BITS);
}

int
LLVMFuzzerTestOneInput(const uint8 *data, size_t size)
{
	if (image == NULL)
		make_store();
	unlink(area_path);
	at = data;
	end = data + size;
	random_state = 88172645463325252;
	image_len = 0;
	nops = 0;
	sync_step = 0;
	memset(model, 0, sizeof(model));
	memset(saved, 0, sizeof(saved));
	start_server();
	if (sigsetjmp(fuzz_round, 0) != 0)
		must(false, "an error was thrown");
	while (at < end)
		step();
	for (int i = 0; i < MORE_STEPS; i++)
		step();
	crash();
	check_all();
	stop_server();
	return 0;
}
