/*
 * rq_statefmt.c
 *	  Seal and check the bytes of a state file.
 *
 * Given a file of any size and content, can it be loaded?  rq_state_check()
 * checks everything that a loader relies on, so a file that passes can be
 * loaded as it is; only whether it fits into the tables of this server is left
 * to the loaders.
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

/*
 * Everything is read through this, so "left" bounds every check: to the
 * section while that is checked, else to the file.
 */
static bool
take_bytes(Cursor *c, void *to, uint64 size)
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

	while (c->left > 0 && take_bytes(c, bytes, Min(c->left, sizeof(bytes))))
		;
}

/*
 * The header last, though it comes first in the file: its length and counts
 * are known when all the rest has been written.
 */
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

/* ---- what is in a section ---- */

/*
 * The counts are only as good as the file, so no check reserves memory for
 * them: each item is taken by itself, and a count that is too large runs into
 * the section's end.
 */
static bool
check_gaps(Cursor *c, const RqStateHeader *h, uint64 count)
{
	RqStateGap	g;

	for (; count > 0; count--)
		if (!take_bytes(c, &g, sizeof(g)) || g.start >= g.end || g.end > h->log_end)
			return false;
	return true;
}

/*
 * "stable" below "start" is allowed, since it is what RESOLVE records have
 * said; load_queue() of queue/rq_tablestate.c raises it.
 */
static bool
queues_fit(Cursor *c, uint32 count)
{
	RqStateQueue q;

	for (; count > 0; count--)
		if (!take_bytes(c, &q, sizeof(q)) || q.start > q.end ||
			q.stable > q.end || q.end > RQ_NUMBER_MAX ||
			q.bytes_start > q.bytes_end || q.bytes_end > RQ_NUMBER_MAX)
			return false;
	return true;
}

/*
 * Also that the slots are enough for what the settings say, whichever way the
 * transaction that alters them ends.
 */
static bool
check_topics(Cursor *c, const RqStateHeader *h, uint64 count)
{
	RqStateTopic t;

	for (; count > 0; count--)
	{
		if (!take_bytes(c, &t, sizeof(t)) || t.key.rel == InvalidOid ||
			t.nslots > RQ_QUEUES_MAX ||
			rq_settings_find_wrong(&t.committed) != NULL ||
			rq_settings_find_wrong(&t.staged) != NULL ||
			t.committed.nqueues > t.nslots || t.staged.nqueues > t.nslots)
			return false;
		if (!queues_fit(c, t.nslots))
			return false;
	}
	return true;
}

static bool
offsets_fit(Cursor *c, uint32 count)
{
	RqStateOffset o;

	for (; count > 0; count--)
		if (!take_bytes(c, &o, sizeof(o)) ||
			o.committed > RQ_NUMBER_MAX || o.pend_next > RQ_NUMBER_MAX)
			return false;
	return true;
}

/* Its loader checks that a group's topic exists and has as many queues. */
static bool
check_groups(Cursor *c, const RqStateHeader *h, uint64 count)
{
	RqStateGroup g;

	for (; count > 0; count--)
	{
		if (!take_bytes(c, &g, sizeof(g)) ||
			g.id == 0 || g.id >= h->next_group_id || g.nqueues > RQ_QUEUES_MAX ||
			g.name_len == 0 || g.name_len > RQ_GROUP_NAME_MAX ||
			memchr(g.name, '\0', g.name_len) != NULL ||
			g.pend_op > RQ_STATE_PEND_OP_MAX)
			return false;
		if (!offsets_fit(c, g.nqueues))
			return false;
	}
	return true;
}

/* ---- sections ---- */

typedef struct SectionType
{
	const char *name;
	uint32		version;
	bool		(*check) (Cursor *c, const RqStateHeader *h, uint64 count);
} SectionType;

#define SECTION_TYPE(NAME, name, kind, version) \
	[kind] = {#name, version, check_##name},

static const SectionType types[] = {
	RQ_STATE_SECTIONS(SECTION_TYPE)
};

StaticAssertDecl(lengthof(types) <= RQ_STATE_SECTIONS_MAX + 1,
				 "the header has room for all sections");

uint32
rq_state_version(RqStateKind kind)
{
	return types[kind].version;
}

/* A section that is missing counts as an empty one. */
uint64
rq_state_count(const RqStateHeader *h, RqStateKind kind)
{
	for (uint32 i = 0; i < h->nsections; i++)
		if (h->sections[i].kind == kind)
			return h->sections[i].count;
	return 0;
}

static const char *const misfit = "the state file's contents do not fit together";

/* The next section, which follows one of kind "after". */
static const char *
check_section(Cursor *c, const RqStateHeader *h, const RqStateSection *s,
			  uint32 after)
{
	uint64		left = c->left;
	bool		fits;

	if (s->kind >= lengthof(types) || types[s->kind].name == NULL)
		return psprintf("the state file has a section of unrecognized kind %u",
						s->kind);
	if (s->version != types[s->kind].version)
		return psprintf("the state file has a section of %s (kind %u) in unrecognized version %u",
						types[s->kind].name, s->kind, s->version);
	if (s->kind <= after || s->bytes > left)
		return misfit;
	/* The section's check sees no more than the section. */
	c->left = s->bytes;
	fits = types[s->kind].check(c, h, s->count) && c->left == 0;
	c->left += left - s->bytes;
	return fits ? NULL : misfit;
}

static const char *
check_contents(Cursor *c, const RqStateHeader *h)
{
	const char *problem = NULL;
	uint32		after = RQ_STATE_NOTHING;

	if (!RQ_SEGMENT_MB_OK(h->segment_mb) ||
		h->log_start > RQ_NUMBER_MAX || h->log_end > RQ_NUMBER_MAX ||
		h->nsections > RQ_STATE_SECTIONS_MAX)
		return misfit;
	for (uint32 i = 0; i < h->nsections && problem == NULL; i++)
	{
		problem = check_section(c, h, &h->sections[i], after);
		after = h->sections[i].kind;
	}
	if (problem == NULL && c->left > 0)
		problem = misfit;
	return problem;
}

/*
 * A checksum that does not match is reported rather than a problem with the
 * contents, since it explains that.  Contents are checked all the same before
 * the checksum is known, as the file is read only once; that is why these
 * checks must bear any bytes.
 */
const char *
rq_state_check(RqStateRead read, void *file, uint64 length)
{
	Cursor		c = {.read = read, .file = file, .left = length};
	RqStateHeader h;
	const char *problem;

	if (!take_bytes(&c, &h, sizeof(h)))
		return "the state file is too short";
	if (h.magic != RQ_STATE_MAGIC)
		return "the state file has a wrong magic number";
	if (h.version != RQ_STATE_VERSION)
		return "the state file has an unrecognized format version";
	if (h.length != length)
		return "the state file's length does not match its header";
	INIT_CRC32C(c.crc);
	problem = check_contents(&c, &h);
	take_rest(&c);
	if (c.left > 0)
		return "the state file cannot be read to its end";
	if (h.crc != finish_crc(&h, c.crc))
		return "the state file's checksum does not match";
	return problem;
}
