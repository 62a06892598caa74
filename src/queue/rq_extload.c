/*
 * rq_extload.c
 *	  Find the extents of all queues when the server starts.
 *
 * Nothing on disk says which extents a queue has, but their own headers.  They
 * are read twice:
 *
 *		1. collect		which extents claim entries that a queue needs
 *		2. choose		which of these it has (rq_extclaim.c)
 *		3. check		by the caller, for whom nothing has been written yet
 *		4. make			extents for what is missing (rq_exthole.c)
 *		5. link			those that were chosen, and zero all other headers
 *
 * Nothing of 5 has to reach the disk: the next start would come to the same.
 */
#include "postgres.h"

#include "base/rq_fault.h"
#include "extent/rq_extmem.h"
#include "format/rq_segfmt.h"
#include "queue/rq_extload.h"
#include "store/rq_area.h"
#include "topic/rq_topic.h"

struct RqExtLoad
{
	RqClaims	claims;
	uint64		at;				/* of the second reading: the next claim */
	uint64		seq;			/* as the state has it: all have lower ones */
	uint64		newest;			/* that there is, but for extents that stand
								 * for what is missing */
	uint32		stated;			/* chunks that the state knows, all but raw
								 * ones at the end */
	uint32		foreign;
	bool		incomplete;		/* there may be more than has been read */
};

/*
 * What can't be read now may be read by a later start, and have been taken after
 * all that is known.  By then this one will have made up for it, so what is taken
 * from now on has numbers that are greater all the same.
 */
#define UNREAD_SEQS		(UINT64CONST(1) << 32)

/* ---- collect ---- */

/* The queue that a header names, NULL if there is none or not any more. */
static RqQueue *
claimed_queue(const RqExtentHeader *h)
{
	uint32		topic = rq_topic_index_find(h->key);
	RqQueue    *q;

	if (topic == RQ_NO_SLOT)
		return NULL;
	q = rq_queue_find(topic, h->queue_id);
	return q != NULL && q->born == h->born ? q : NULL;
}

static void
collect_extent(RqExtLoad *load, const RqExtentHeader *h, int class,
			   RqExtAddr addr)
{
	RqClaim		c = {.first = h->first, .seq = h->seq, .addr = addr,
		.has = rq_ext_count(h, class), .class = class, .hole = h->hole != 0,
	.depth = h->depth};

	if (rq_ext_is_free(h))
		return;
	if (rq_ext_problem(h, class, addr) != NULL)
	{
		load->incomplete = true;
		return;
	}
	rq_extents->next_seq = Max(rq_extents->next_seq, h->seq + 1);
	if (h->hole == 0)
		load->newest = Max(load->newest, h->seq);
	c.queue = claimed_queue(h);
	c.count = c.has;
	if (c.queue != NULL && c.first < pg_atomic_read_u64(&c.queue->end) &&
		c.first + c.has > pg_atomic_read_u64(&c.queue->start))
		rq_claims_add(&load->claims, &c);
}

/*
 * One whose header is zeros can have lost it, or it was razed and a power failure
 * has torn the page: so, like one that is missing, it is nobody's as soon as it is
 * known that nobody needs it.
 */
static uint8
kind_of_chunk(int class)
{
	if (class >= 0)
		return class + 1;
	switch (class)
	{
		case RQ_AREA_RAW:
			return RQ_CHUNK_RAW;
		case RQ_AREA_BEHEADED:
			return RQ_CHUNK_ABSENT;
		default:
			return RQ_CHUNK_UNUSABLE;
	}
}

/* A chunk beyond those that the table has room for has nothing for anybody. */
static bool
collect_chunk(uint32 chunk, int class, RqExtentHeader *headers, uint32 n,
			  bool whole, void *arg)
{
	RqExtLoad  *load = arg;

	if (chunk >= RQ_CHUNKS)
		return false;
	for (; rq_extents->nchunks <= chunk; rq_extents->nchunks++)
		rq_chunks[rq_extents->nchunks].kind = RQ_CHUNK_ABSENT;
	rq_chunks[chunk].kind = kind_of_chunk(class);
	rq_extents->nraw += class == RQ_AREA_RAW;
	load->foreign += class == RQ_AREA_FOREIGN;
	/* A raw one that the state knows may have lost its beginning. */
	load->incomplete |= class < 0 && (class != RQ_AREA_RAW || chunk < load->stated);
	for (uint32 i = 0; i < n; i++)
		collect_extent(load, &headers[i], class, RQ_EXT_ADDR(chunk, i + 1));
	return false;
}

/*
 * The last area file is missing, too short or that of another store: whoever puts
 * it back finds no other one in its place, since the next chunk comes to the next
 * file.
 */
static void
keep_place_free(void)
{
	while (rq_extents->nchunks % RQ_AREA_CHUNKS != 0)
		rq_chunks[rq_extents->nchunks++].kind = RQ_CHUNK_ABSENT;
}

/*
 * Chunks that the state knows, and that are not there, may be put back, in their
 * files.
 */
RqExtLoad *
rq_extent_load_begin(RqExtMissing missing, void *arg)
{
	RqExtLoad  *load = palloc0(sizeof(RqExtLoad));

	load->seq = rq_extents->next_seq;
	rq_extents->nchunks = Min(rq_extents->nchunks, RQ_CHUNKS);
	for (uint32 i = 0; i < rq_extents->nchunks; i++)
		rq_chunks[i].kind = RQ_CHUNK_ABSENT;
	rq_claims_init(&load->claims);
	load->stated = rq_extents->nchunks;
	rq_area_visit(rq_extents->store, collect_chunk, load);
	for (uint32 i = 0; i < load->stated; i++)
		load->incomplete |= rq_chunks[i].kind == RQ_CHUNK_ABSENT;
	if (load->incomplete)
		rq_extents->next_seq += UNREAD_SEQS;
	if (load->foreign > 0 ||
		(load->stated > 0 && rq_chunks[load->stated - 1].kind == RQ_CHUNK_ABSENT))
		keep_place_free();
	rq_claims_choose(&load->claims);
	rq_holes_tell(&load->claims, missing, arg);
	return load;
}

bool
rq_extent_load_is_ahead(const RqExtLoad *load)
{
	return load->newest >= load->seq;
}

uint32
rq_extent_load_foreign(const RqExtLoad *load)
{
	return load->foreign;
}

/* ---- make ---- */

static void
report_no_room(int err)
{
	errno = err;
	ereport(FATAL,
			(errcode_for_file_access(),
			 errmsg("could not make room for missing messages in directory \"%s\": %m",
					RQ_QUEUE_DIR)));
}

/* A raw chunk that is not absent, or one after all others. */
static uint32
unused_chunk(void)
{
	uint32		chunk = rq_extents->nraw > 0 ? 0 : rq_extents->nchunks;

	while (chunk < rq_extents->nchunks && rq_chunks[chunk].kind != RQ_CHUNK_RAW)
		chunk++;
	if (chunk >= RQ_CHUNKS)
		report_no_room(ENOSPC);
	return chunk;
}

/*
 * A chunk that has just been filled: so its entries are zeros, on disk too,
 * before there is a header that says so.
 */
static uint32
make_chunk(int class)
{
	uint32		chunk = unused_chunk();
	int			err = rq_area_fill(chunk, class, rq_extents->store);

	if (err != 0)
		report_no_room(err);
	if (chunk < rq_extents->nchunks)
		rq_extents->nraw--;
	else
		rq_extents->nchunks++;
	rq_chunks[chunk].kind = class + 1;
	return chunk;
}

/* Addresses for those that have none. */
static void
make_extents(RqClaims *claims)
{
	RqExtAddr	next[RQ_EXT_CLASSES] = {0};

	for (uint64 i = 0; i < claims->n; i++)
	{
		RqClaim    *c = &claims->all[i];

		if (c->addr != RQ_EXT_NONE)
			continue;
		if (RQ_EXT_PLACE(next[c->class]) == 0)
			next[c->class] = RQ_EXT_ADDR(make_chunk(c->class), 1);
		c->addr = next[c->class];
		c->seq = rq_extents->next_seq++;
		if (RQ_EXT_PLACE(c->addr) < rq_ext_places[c->class])
			next[c->class]++;
		else
			next[c->class] = 0;
	}
	RQ_FAULT("extent-hole");
}

/* ---- link ---- */

static void
fill_header(const RqClaim *c, RqExtentHeader *h)
{
	h->key = rq_queue_key(c->queue);
	h->queue_id = c->queue->id;
	h->born = c->queue->born;
	h->first = c->first;
	h->seq = c->seq;
	h->depth = c->depth;
	h->prev = h->jump = c->prev;
}

/*
 * The head's predecessor has been given back: what its header says of that is
 * left alone.  Where another extent's predecessor is not the one that it names,
 * it jumps no further.
 */
static RqExtentHeader
linked(const RqClaim *c, const RqExtentHeader *old)
{
	RqExtentHeader h = *old;
	int			most = rq_ext_entries[c->class];

	if (rq_ext_is_free(old))
		fill_header(c, &h);
	else if (c->prev != RQ_EXT_NONE && (h.prev != c->prev || h.depth != c->depth))
	{
		h.prev = h.jump = c->prev;
		h.depth = c->depth;
	}
	h.hole = c->hole || c->count < most ? c->count : 0;
	rq_ext_seal(&h, c->addr);
	h.next = c->next;
	return h;
}

/* What an extent's header has to be.  Addresses rise from call to call. */
static RqExtentHeader
header_of(RqExtLoad *load, RqExtAddr addr, const RqExtentHeader *old)
{
	RqClaims   *claims = &load->claims;
	const RqClaim *c;

	while (load->at < claims->n && claims->all[load->at].addr < addr)
		load->at++;
	c = &claims->all[load->at];
	if (load->at < claims->n && c->addr == addr && c->chosen)
		return linked(c, old);
	return (RqExtentHeader)
	{
		0
	};
}

/*
 * What was found in a chunk: "owned" of "n" extents are queues'.  One that has
 * headers which cannot be read is not swept: who looks at those gets an error.
 */
static void
note_chunk(uint32 chunk, int class, uint32 owned, uint32 n, bool whole)
{
	RqChunk    *c = &rq_chunks[chunk];
	bool		sweep = owned < n && whole;

	rq_extents->nowned[class] += owned;
	rq_extents->nunswept[class] += sweep;
	rq_extents->nunowned[class] += sweep && owned == 0;
	c->fresh = sweep ? 1 : n + 1;
	if (sweep)
		c->sweep = owned == 0 ? RQ_SWEEP_EMPTY : RQ_SWEEP_DUE;
	else
		c->sweep = owned < n ? RQ_SWEEP_GIVEN_UP : RQ_SWEPT;
}

/*
 * What nobody owns gets a header of zeros; its entries are swept later.  A chunk
 * of which nothing could be collected stays as it is, even if it can be read now.
 */
static bool
link_chunk_headers(uint32 chunk, int class, RqExtentHeader *headers, uint32 n,
				   bool whole, void *arg)
{
	bool		changed = false;
	uint32		owned = 0;

	if (chunk >= RQ_CHUNKS || class < 0 || rq_chunks[chunk].kind != class + 1)
		return false;
	for (uint32 i = 0; i < n; i++)
	{
		RqExtentHeader h = header_of(arg, RQ_EXT_ADDR(chunk, i + 1), &headers[i]);

		owned += h.magic != 0;
		if (memcmp(&headers[i], &h, sizeof(h)) == 0)
			continue;
		headers[i] = h;
		changed = true;
	}
	note_chunk(chunk, class, owned, n, whole);
	if (changed)
		rq_area_mark(&rq_extents->marks, chunk);
	return changed;
}

/*
 * What is missing can have been in a chunk that looks raw, because the disk has
 * lost its beginning.  It is like an absent one, until it is known that nobody
 * needs it.
 */
static void
keep_raw(uint32 chunks)
{
	for (uint32 i = 0; i < chunks; i++)
		if (rq_chunks[i].kind == RQ_CHUNK_RAW)
		{
			rq_chunks[i].kind = RQ_CHUNK_ABSENT;
			rq_extents->nraw--;
		}
}

void
rq_extent_load_finish(RqExtLoad *load, bool complete)
{
	RQ_FAULT("load-stale");
	rq_extents->damaged = !complete;
	if (complete)
		rq_area_cut();
	else
		keep_raw(load->stated);
	rq_holes_heal(&load->claims);
	make_extents(&load->claims);
	rq_claims_link(&load->claims);
	rq_area_visit(rq_extents->store, link_chunk_headers, load);
	pfree(load->claims.all);
	pfree(load);
}
