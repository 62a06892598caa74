/*
 * rq_statefmt.c
 *	  Seal, check and walk the bytes of a state file.
 *
 * Given a file of any size and content, how far can it be loaded?
 * rq_state_check() checks everything about a record by itself that a loader
 * relies on.  Whether records fit together, and into the tables of this server,
 * is left to the loader, since only the last record about a slot counts.
 */
#include "postgres.h"

#include "port/pg_crc32c.h"

#include "format/rq_extfmt.h"
#include "format/rq_statefmt.h"

/* ---- seal ---- */

static pg_crc32c
crc_of(const void *data, uint64 size)
{
	pg_crc32c	crc;

	INIT_CRC32C(crc);
	COMP_CRC32C(crc, data, size);
	FIN_CRC32C(crc);
	return crc;
}

static uint32
state_header_crc(const RqStateHeader *h)
{
	const Size	skip = offsetof(RqStateHeader, version);

	return crc_of((const char *) h + skip, sizeof(*h) - skip);
}

static uint32
state_batch_crc(const RqStateBatch *b)
{
	const Size	skip = offsetof(RqStateBatch, records_crc);

	return crc_of((const char *) b + skip, sizeof(*b) - skip);
}

void
rq_state_reseal_header(RqStateHeader *h)
{
	h->magic = RQ_STATE_MAGIC;
	h->crc = state_header_crc(h);
}

void
rq_state_seal_header(RqStateHeader *h)
{
	h->version = RQ_STORE_VERSION;
	h->wal_version = RQ_WAL_VERSION;
	h->rmgr_id = rq_rmgr_id;
	memset(h->writer, 0, sizeof(h->writer));
	strlcpy(h->writer, RQ_LIBRARY_VERSION, sizeof(h->writer));
	rq_state_reseal_header(h);
}

void
rq_state_seal_batch(char *batch)
{
	RqStateBatch *b = (RqStateBatch *) batch;

	Assert(b->bytes >= sizeof(*b) && b->bytes <= RQ_STATE_BATCH_MAX);
	b->magic = RQ_STATE_BATCH_MAGIC;
	b->records_crc = crc_of(batch + sizeof(*b), b->bytes - sizeof(*b));
	b->crc = state_batch_crc(b);
}

/* ---- records ---- */

static bool
gap_fits(const RqStateSlot *s)
{
	return s->gap.start < s->gap.end && s->gap.end <= RQ_NUMBER_MAX;
}

/*
 * Also that the slots are enough for what the settings say, whichever way the
 * transaction that alters them ends.
 */
static bool
topic_fits(const RqStateSlot *s)
{
	const RqStateTopic *t = &s->topic;

	return t->key.rel != InvalidOid && t->nslots <= RQ_QUEUES_MAX &&
		rq_settings_find_wrong(&t->committed) == NULL &&
		rq_settings_find_wrong(&t->staged) == NULL &&
		t->committed.nqueues <= t->nslots && t->staged.nqueues <= t->nslots;
}

/*
 * "logged_stable" below "start" is allowed, since it is what RESOLVE records have
 * said; load_queue() of queue/rq_tablestate.c raises it.
 */
static bool
queue_fits(const RqStateSlot *s)
{
	const RqStateQueue *q = &s->queue;

	return q->start <= q->end && q->logged_stable <= q->stable &&
		q->stable <= q->end && q->end <= RQ_NUMBER_MAX &&
		q->bytes_start <= q->bytes_end && q->bytes_end <= RQ_NUMBER_MAX;
}

static bool
group_fits(const RqStateSlot *s)
{
	const RqStateGroup *g = &s->group;

	return g->id != 0 && g->nqueues <= RQ_QUEUES_MAX &&
		g->name_len > 0 && g->name_len <= RQ_GROUP_NAME_MAX &&
		memchr(g->name, '\0', g->name_len) == NULL &&
		g->pend_op <= RQ_STATE_PEND_OP_MAX;
}

static bool
offset_fits(const RqStateSlot *s)
{
	return s->offset.committed <= RQ_NUMBER_MAX && s->offset.pend_next <= RQ_NUMBER_MAX;
}

static const struct
{
	uint32		size;
	bool		(*fits) (const RqStateSlot *s);
}			kinds[RQ_STATE_KINDS] = {
	[RQ_SLOT_TOPIC] = {sizeof(RqStateTopic), topic_fits},
	[RQ_SLOT_QUEUE] = {sizeof(RqStateQueue), queue_fits},
	[RQ_SLOT_GROUP] = {sizeof(RqStateGroup), group_fits},
	[RQ_SLOT_OFFSET] = {sizeof(RqStateOffset), offset_fits},
	[RQ_STATE_GAP] = {sizeof(RqStateGap), gap_fits}
};

uint32
rq_state_slot_size(uint32 kind)
{
	return kinds[kind].size;
}

uint32
rq_state_record_size(const RqStateRecord *r)
{
	return sizeof(*r) + (r->is_free ? 0 : TYPEALIGN(8, kinds[r->kind].size));
}

/* ---- batches ---- */

typedef struct Records
{
	const char *at;
	const char *end;
} Records;

/*
 * The next record of a batch, false if there is no further one that is sound;
 * then "at" has not reached the end.
 */
static bool
next_record(Records *left, RqStateRecord *r, RqStateSlot *slot)
{
	if (left->end - left->at < (ptrdiff_t) sizeof(*r))
		return false;
	memcpy(r, left->at, sizeof(*r));
	if (r->kind >= RQ_STATE_KINDS || r->slot >= RQ_STATE_SLOTS_MAX ||
		r->is_free > 1 || left->end - left->at < (ptrdiff_t) rq_state_record_size(r))
		return false;
	if (!r->is_free)
	{
		memcpy(slot, left->at + sizeof(*r), kinds[r->kind].size);
		if (!kinds[r->kind].fits(slot))
			return false;
	}
	left->at += rq_state_record_size(r);
	return true;
}

/* Hand out all records; false if one is not sound. */
static bool
walk_batch(const char *batch, RqStateTake take, void *arg)
{
	const RqStateBatch *b = (const RqStateBatch *) batch;
	Records		left = {.at = batch + sizeof(*b), .end = batch + b->bytes};
	RqStateRecord r;
	RqStateSlot slot;

	while (next_record(&left, &r, &slot))
		if (take != NULL)
			take(arg, b, &r, &slot);
	return left.at == left.end;
}

/* Does the header of a batch of this file lie here? */
static bool
is_batch(const RqStateSource *s, uint64 id, uint64 at, RqStateBatch *b)
{
	return at + sizeof(*b) <= s->length && s->read(s->file, at, b, sizeof(*b)) &&
		b->magic == RQ_STATE_BATCH_MAGIC && b->id == id && b->at == at &&
		b->crc == state_batch_crc(b);
}

/* Read the batch that lies here; false if there is none that is whole. */
static bool
read_batch(const RqStateSource *s, uint64 id, uint64 at, char *batch)
{
	RqStateBatch b;

	return is_batch(s, id, at, &b) &&
		b.bytes >= sizeof(b) && b.bytes <= RQ_STATE_BATCH_MAX &&
		b.bytes <= s->length - at &&
		s->read(s->file, at, batch, b.bytes) &&
		b.records_crc == crc_of(batch + sizeof(b), b.bytes - sizeof(b));
}

/* ---- files ---- */

static const char *const misfit = "the state file's contents do not fit together";

const char *
rq_state_read_header(const RqStateSource *s, RqStateHeader *h)
{
	if (s->length < sizeof(*h) || !s->read(s->file, 0, h, sizeof(*h)))
		return "the state file is too short";
	if (h->magic != RQ_STATE_MAGIC)
		return "the state file has a wrong magic number";
	if (h->crc != state_header_crc(h))
		return "the checksum of the state file's header does not match";
	return NULL;
}

static const char *
check_header(const RqStateSource *s, RqStateHeader *h)
{
	const char *problem = rq_state_read_header(s, h);

	if (problem == NULL && h->version != RQ_STORE_VERSION)
		problem = "the state file has an unrecognized format version";
	if (problem == NULL && !RQ_SEGMENT_MB_OK(h->segment_mb))
		problem = misfit;
	return problem;
}

/*
 * Does a batch that is whole begin a sync, or continue it?  "attempt" is that of
 * the sync.
 */
static bool
is_of_sync(const char *batch, const RqStateFound *found, uint32 *attempt)
{
	const RqStateBatch *b = (const RqStateBatch *) batch;

	if (b->at == found->length)
		*attempt = b->attempt;
	return b->attempt == *attempt;
}

/*
 * A batch that is whole follows the last sync that counts or is a further one of
 * the sync that is under way.
 */
static const char *
check_batch(const char *batch, RqStateFound *found)
{
	const RqStateBatch *b = (const RqStateBatch *) batch;

	if (b->seq != found->last.seq + 1 || !walk_batch(batch, NULL, NULL))
		return misfit;
	if ((b->flags & RQ_STATE_END) == 0)
		return NULL;
	if (b->log_start > RQ_NUMBER_MAX || b->log_end > RQ_NUMBER_MAX ||
		b->extent_seq > RQ_NUMBER_MAX || b->extent_chunks > RQ_CHUNKS_MAX)
		return misfit;
	found->last = *b;
	found->length = b->at + b->bytes;
	return NULL;
}

/*
 * No batch that continues the file lies here.  Batches of the sync that was under
 * way may follow, since the order in which they come to disk is not known.
 * Batches begin at multiples of 8.
 */
static const char *
check_tail(const RqStateSource *s, const RqStateFound *found, uint64 at)
{
	RqStateBatch b;

	if (found->last.seq == 0)
		return "the state file has no whole image";
	for (; at + sizeof(b) <= s->length; at += 8)
		if (is_batch(s, found->header.id, at, &b) && b.seq > found->last.seq + 1)
			return psprintf("the state file is damaged after byte " UINT64_FORMAT ", since later changes follow",
							found->length);
	return NULL;
}

const char *
rq_state_check(const RqStateSource *s, RqStateFound *found)
{
	char	   *batch = palloc(RQ_STATE_BATCH_MAX);
	uint64		at = sizeof(RqStateHeader);
	uint32		attempt = 0;
	const char *problem;

	memset(found, 0, sizeof(*found));
	found->length = at;
	problem = check_header(s, &found->header);
	while (problem == NULL && read_batch(s, found->header.id, at, batch) &&
		   is_of_sync(batch, found, &attempt))
	{
		problem = check_batch(batch, found);
		at += ((RqStateBatch *) batch)->bytes;
	}
	if (problem == NULL)
		problem = check_tail(s, found, at);
	pfree(batch);
	return problem;
}

bool
rq_state_walk(const RqStateSource *s, const RqStateFound *found,
			  RqStateTake take, void *arg)
{
	char	   *batch = palloc(RQ_STATE_BATCH_MAX);
	uint64		at = sizeof(RqStateHeader);

	while (at < found->length && read_batch(s, found->header.id, at, batch) &&
		   walk_batch(batch, take, arg))
		at += ((RqStateBatch *) batch)->bytes;
	pfree(batch);
	return at == found->length;
}
