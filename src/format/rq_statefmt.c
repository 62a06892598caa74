/*
 * rq_statefmt.c
 *	  Seal and check the bytes of a state file.
 *
 * rq_state_check() looks at everything that a loader could stumble over, so
 * that a file that passes can be loaded as it stands; only whether it fits
 * the tables of this server is left to see.
 */
#include "postgres.h"

#include "port/pg_crc32c.h"

#include "format/rq_statefmt.h"

static pg_crc32c
state_crc(const char *data, uint64 len)
{
	const Size	skip = offsetof(RqStateHeader, version);
	pg_crc32c	crc;

	INIT_CRC32C(crc);
	COMP_CRC32C(crc, data + skip, len - skip);
	FIN_CRC32C(crc);
	return crc;
}

void
rq_state_seal(StringInfo buf)
{
	RqStateHeader *h = (RqStateHeader *) buf->data;

	h->magic = RQ_STATE_MAGIC;
	h->version = RQ_STATE_VERSION;
	h->length = buf->len;
	h->crc = state_crc(buf->data, buf->len);
}

static bool
group_fits(const char **at, const char *end, const RqStateHeader *h,
		   const RqStateTopic *t)
{
	RqStateGroup g;

	if (!rq_state_take(at, end, &g, sizeof(g)) ||
		g.id == 0 || g.id >= h->next_group_id || g.nqueues != t->nslots ||
		g.name_len == 0 || g.name_len > RQ_GROUP_NAME_MAX ||
		memchr(g.name, '\0', g.name_len) != NULL ||
		g.pend_op > RQ_STATE_PEND_OP_MAX)
		return false;
	for (uint32 i = 0; i < g.nqueues; i++)
	{
		RqStateOffset o;

		if (!rq_state_take(at, end, &o, sizeof(o)) ||
			o.committed > RQ_NUMBER_MAX || o.pend_next > RQ_NUMBER_MAX)
			return false;
	}
	return true;
}

static bool
topic_fits(const char **at, const char *end, const RqStateHeader *h)
{
	RqStateTopic t;

	if (!rq_state_take(at, end, &t, sizeof(t)) || t.key.rel == InvalidOid ||
		t.nslots > RQ_QUEUES_MAX || t.nqueues > t.nslots ||
		t.resize_to > t.nslots || t.retention_s < RQ_RETENTION_DEFAULT ||
		t.retention_to < RQ_RETENTION_DEFAULT)
		return false;
	for (uint32 i = 0; i < t.nslots; i++)
	{
		RqStateQueue q;

		if (!rq_state_take(at, end, &q, sizeof(q)) || q.start > q.end ||
			q.stable > q.end || q.end > RQ_NUMBER_MAX ||
			q.bytes_start > q.bytes_end || q.bytes_end > RQ_NUMBER_MAX)
			return false;
	}
	for (uint32 i = 0; i < t.ngroups; i++)
		if (!group_fits(at, end, h, &t))
			return false;
	return true;
}

static bool
contents_fit(const char *data, uint64 len)
{
	const char *at = data;
	const char *end = data + len;
	RqStateHeader h;

	if (!rq_state_take(&at, end, &h, sizeof(h)) ||
		!RQ_SEGMENT_MB_OK(h.segment_mb) ||
		h.log_start > RQ_NUMBER_MAX || h.log_end > RQ_NUMBER_MAX)
		return false;
	for (uint32 i = 0; i < h.ngaps; i++)
	{
		RqStateGap	g;

		if (!rq_state_take(&at, end, &g, sizeof(g)) ||
			g.start >= g.end || g.end > h.log_end)
			return false;
	}
	for (uint32 i = 0; i < h.ntopics; i++)
		if (!topic_fits(&at, end, &h))
			return false;
	return at == end;
}

const char *
rq_state_check(const char *data, uint64 len)
{
	RqStateHeader h;

	if (len < sizeof(h))
		return "the state file is too short";
	memcpy(&h, data, sizeof(h));
	if (h.magic != RQ_STATE_MAGIC)
		return "the state file has a wrong magic number";
	if (h.version != RQ_STATE_VERSION)
		return "the state file has an unrecognized format version";
	if (h.length != len)
		return "the state file's length does not match its header";
	if (h.crc != state_crc(data, len))
		return "the state file's checksum does not match";
	if (!contents_fit(data, len))
		return "the state file's contents do not fit together";
	return NULL;
}

bool
rq_state_take(const char **cursor, const char *end, void *to, uint64 size)
{
	if ((uint64) (end - *cursor) < size)
		return false;
	memcpy(to, *cursor, size);
	*cursor += size;
	return true;
}
