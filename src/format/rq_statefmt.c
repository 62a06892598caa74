/*
 * rq_statefmt.c
 *	  Seal and check the bytes of a state file.
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
