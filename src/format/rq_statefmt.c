/*
 * rq_statefmt.c
 *	  Seal and check the bytes of a state file.
 *
 * rq_state_check() looks at everything that a loader could stumble over, so
 * that a file that passes can be loaded as it stands; only whether it fits
 * the tables of this server is left to see.
 */
#include "postgres.h"

#include "format/rq_statefmt.h"

/* A file that is being checked. */
typedef struct Cursor
{
	RqStateRead read;
	void	   *file;
	uint64		left;			/* bytes that have not been read */
	pg_crc32c	crc;
} Cursor;

static bool
take(Cursor *c, void *to, uint64 size)
{
	if (size > c->left || !c->read(c->file, to, size))
		return false;
	c->left -= size;
	COMP_CRC32C(c->crc, to, size);
	return true;
}

/* Read what is left, for the checksum. */
static void
take_rest(Cursor *c)
{
	char		bytes[1024];

	while (c->left > 0 && take(c, bytes, Min(c->left, sizeof(bytes))))
		;
}

static pg_crc32c
finish_crc(const RqStateHeader *h, pg_crc32c crc)
{
	const Size	skip = offsetof(RqStateHeader, version);

	COMP_CRC32C(crc, (const char *) h + skip, sizeof(*h) - skip);
	FIN_CRC32C(crc);
	return crc;
}

void
rq_state_seal(RqStateHeader *h, uint64 length, pg_crc32c crc)
{
	h->magic = RQ_STATE_MAGIC;
	h->version = RQ_STATE_VERSION;
	h->length = length;
	h->crc = finish_crc(h, crc);
}

static bool
group_fits(Cursor *c, const RqStateHeader *h, const RqStateTopic *t)
{
	RqStateGroup g;

	if (!take(c, &g, sizeof(g)) ||
		g.id == 0 || g.id >= h->next_group_id || g.nqueues != t->nslots ||
		g.name_len == 0 || g.name_len > RQ_GROUP_NAME_MAX ||
		memchr(g.name, '\0', g.name_len) != NULL ||
		g.pend_op > RQ_STATE_PEND_OP_MAX)
		return false;
	for (uint32 i = 0; i < g.nqueues; i++)
	{
		RqStateOffset o;

		if (!take(c, &o, sizeof(o)) ||
			o.committed > RQ_NUMBER_MAX || o.pend_next > RQ_NUMBER_MAX)
			return false;
	}
	return true;
}

static bool
topic_fits(Cursor *c, const RqStateHeader *h)
{
	RqStateTopic t;

	if (!take(c, &t, sizeof(t)) || t.key.rel == InvalidOid ||
		t.nslots > RQ_QUEUES_MAX ||
		rq_settings_find_wrong(&t.committed) != NULL ||
		rq_settings_find_wrong(&t.staged) != NULL ||
		t.committed.nqueues > t.nslots || t.staged.nqueues > t.nslots)
		return false;
	for (uint32 i = 0; i < t.nslots; i++)
	{
		RqStateQueue q;

		if (!take(c, &q, sizeof(q)) || q.start > q.end ||
			q.stable > q.end || q.end > RQ_NUMBER_MAX ||
			q.bytes_start > q.bytes_end || q.bytes_end > RQ_NUMBER_MAX)
			return false;
	}
	for (uint32 i = 0; i < t.ngroups; i++)
		if (!group_fits(c, h, &t))
			return false;
	return true;
}

static bool
contents_fit(Cursor *c, const RqStateHeader *h)
{
	if (!RQ_SEGMENT_MB_OK(h->segment_mb) ||
		h->log_start > RQ_NUMBER_MAX || h->log_end > RQ_NUMBER_MAX)
		return false;
	for (uint32 i = 0; i < h->ngaps; i++)
	{
		RqStateGap	g;

		if (!take(c, &g, sizeof(g)) || g.start >= g.end || g.end > h->log_end)
			return false;
	}
	for (uint32 i = 0; i < h->ntopics; i++)
		if (!topic_fits(c, h))
			return false;
	return c->left == 0;
}

const char *
rq_state_check(RqStateRead read, void *file, uint64 length)
{
	Cursor		c = {.read = read, .file = file, .left = length};
	RqStateHeader h;
	bool		fits;

	if (!take(&c, &h, sizeof(h)))
		return "the state file is too short";
	if (h.magic != RQ_STATE_MAGIC)
		return "the state file has a wrong magic number";
	if (h.version != RQ_STATE_VERSION)
		return "the state file has an unrecognized format version";
	if (h.length != length)
		return "the state file's length does not match its header";
	INIT_CRC32C(c.crc);
	fits = contents_fit(&c, &h);
	take_rest(&c);
	if (c.left > 0)
		return "the state file cannot be read to its end";
	if (h.crc != finish_crc(&h, c.crc))
		return "the state file's checksum does not match";
	if (!fits)
		return "the state file's contents do not fit together";
	return NULL;
}
