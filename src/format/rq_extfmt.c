/*
 * rq_extfmt.c
 *	  Seal and check the headers of chunks and extents.
 */
#include "postgres.h"

#include "port/pg_crc32c.h"

#include "format/rq_extfmt.h"

/*
 * Where it belongs, what comes before the checksum, and what after it up to
 * "covered".
 */
static pg_crc32c
crc_around(uint32 addr, const void *header, Size crc_at, Size covered)
{
	const char *bytes = header;
	Size		after = crc_at + sizeof(uint32);
	pg_crc32c	crc;

	INIT_CRC32C(crc);
	COMP_CRC32C(crc, &addr, sizeof(addr));
	COMP_CRC32C(crc, bytes, crc_at);
	COMP_CRC32C(crc, bytes + after, covered - after);
	FIN_CRC32C(crc);
	return crc;
}

static pg_crc32c
chunk_crc(const RqChunkHeader *h)
{
	return crc_around(h->chunk, h, offsetof(RqChunkHeader, crc), sizeof(*h));
}

/* Without what changes as long as the extent is a queue's. */
static pg_crc32c
extent_crc(const RqExtentHeader *h, RqExtAddr addr)
{
	return crc_around(addr, h, offsetof(RqExtentHeader, crc),
					  offsetof(RqExtentHeader, next));
}

void
rq_chunk_seal(RqChunkHeader *h)
{
	h->magic = RQ_CHUNK_MAGIC;
	h->version = RQ_CHUNK_VERSION;
	h->crc = chunk_crc(h);
}

void
rq_ext_seal(RqExtentHeader *h, RqExtAddr addr)
{
	h->magic = RQ_EXTENT_MAGIC;
	h->crc = extent_crc(h, addr);
}

/*
 * Zeros, but for links between free extents: a power failure can have kept the
 * second half of the page that was written to make the chunk raw.
 */
bool
rq_chunk_is_raw(const char *bytes)
{
	static const RqChunkHeader zeros;

	if (memcmp(bytes, &zeros, sizeof(zeros)) != 0)
		return false;
	for (Size at = sizeof(zeros); at < RQ_RAW_BYTES; at += sizeof(RqExtentHeader))
		if (!rq_ext_is_free((const RqExtentHeader *) (bytes + at)))
			return false;
	return true;
}

const char *
rq_chunk_problem(const RqChunkHeader *h, uint32 chunk, uint64 store)
{
	if (h->magic != RQ_CHUNK_MAGIC)
		return "the chunk header has a wrong magic number";
	if (h->crc != chunk_crc(h))
		return "the chunk header's checksum does not match";
	if (h->version != RQ_CHUNK_VERSION)
		return "the chunk header has an unrecognized format version";
	if (h->class >= RQ_EXT_CLASSES)
		return "the chunk header has an unrecognized class of extents";
	if (h->store != store)
		return "the chunk header belongs to another store";
	if (h->chunk != chunk)
		return "the chunk header belongs to another chunk";
	return NULL;
}

/* "next" links lists of free extents. */
bool
rq_ext_is_free(const RqExtentHeader *h)
{
	static const RqExtentHeader zeros;

	return memcmp(h, &zeros, offsetof(RqExtentHeader, next)) == 0;
}

/*
 * Addresses that it names are not checked: they say where to look, and whoever
 * looks there finds out whether that is what it should be.
 */
const char *
rq_ext_problem(const RqExtentHeader *h, int class, RqExtAddr addr)
{
	if (class < 0)
		return "the address of an extent is wrong";
	if (h->magic != RQ_EXTENT_MAGIC)
		return "the extent header has a wrong magic number";
	if (h->crc != extent_crc(h, addr))
		return "the extent header's checksum does not match";
	if (h->hole > rq_ext_entries[class])
		return "the extent header stands for more entries than have room";
	if (h->first > RQ_NUMBER_MAX)
		return "the extent header begins beyond the last offset there can be";
	if ((h->prev == RQ_EXT_NONE) != (h->depth == 0))
		return "the extent header has a predecessor that cannot be";
	return NULL;
}
