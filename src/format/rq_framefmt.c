/*
 * rq_framefmt.c
 *	  Build and check frames.  Pure functions: no I/O, no locks.
 *
 * Given bytes that may be anything, are they the frame of a position, and
 * where are its parts?  rq_frame_check() answers that.  It trusts no length
 * that it has not bounded, so whatever is on disk, it reads only within the
 * frame.
 */
#include "postgres.h"

#include "port/pg_crc32c.h"

#include "format/rq_framefmt.h"

/*
 * Covers the position, so that a frame copied to another place is not taken
 * for one.
 */
static pg_crc32c
frame_crc(const char *frame, uint32 len)
{
	pg_crc32c	crc;
	const uint32 skip = offsetof(RqFrame, pos);

	INIT_CRC32C(crc);
	COMP_CRC32C(crc, frame + skip, len - skip);
	FIN_CRC32C(crc);
	return crc;
}

/*
 * In 64 bits: the lengths may come from a damaged frame, and their sum must not
 * wrap round to one that fits.
 */
static uint64
payload_size(const RqParts *parts)
{
	uint64		extra = parts->extra_len;

	if (unlikely(extra > 0))
		extra += sizeof(uint16);
	return extra + parts->tag_len + parts->sharding_len + parts->keys_len +
		parts->properties_len + parts->body_len;
}

uint64
rq_frame_size(const RqParts *parts)
{
	return TYPEALIGN64(8, RQ_FRAME_HEADER_SIZE + payload_size(parts));
}

static char *
put(char *to, const char *from, uint32 len)
{
	if (len > 0)
		memcpy(to, from, len);
	return to + len;
}

static char *
put_extra(char *to, const RqParts *parts)
{
	uint16		len = (uint16) parts->extra_len;

	Assert(parts->extra_len <= RQ_EXTRA_MAX);
	to = put(to, (const char *) &len, sizeof(len));
	return put(to, parts->extra, len);
}

/*
 * Whether an optional part is there is a flag of its own, since a part can be
 * there and be empty.  The padding is zeroed because the checksum covers it.
 */
void
rq_frame_build(char *to, const RqParts *parts, RqKey topic,
			   int64 born_at, int64 stored_at)
{
	RqFrame    *f = (RqFrame *) to;
	char	   *end = to + rq_frame_size(parts);
	char	   *p = to + RQ_FRAME_HEADER_SIZE;

	f->magic = RQ_FRAME_MAGIC;
	f->crc = 0;
	f->pos = 0;
	f->len = (uint32) (end - to);
	f->version = RQ_FRAME_VERSION;
	f->kind = RQ_FRAME_MESSAGE;
	f->flags = (parts->tag ? RQ_FRAME_HAS_TAG : 0) |
		(parts->sharding_key ? RQ_FRAME_HAS_SHARDING : 0) |
		(parts->keys ? RQ_FRAME_HAS_KEYS : 0) |
		(parts->properties ? RQ_FRAME_HAS_PROPERTIES : 0);
	f->tag_len = (uint8) parts->tag_len;
	f->db = topic.db;
	f->rel = topic.rel;
	f->born_at = born_at;
	f->stored_at = stored_at;
	f->body_len = parts->body_len;
	f->properties_len = parts->properties_len;
	f->sharding_len = (uint16) parts->sharding_len;
	f->nkeys = (uint16) parts->nkeys;
	f->keys_len = parts->keys_len;

	if (unlikely(parts->extra_len > 0))
	{
		f->flags |= RQ_FRAME_HAS_EXTRA;
		p = put_extra(p, parts);
	}
	p = put(p, parts->tag, parts->tag_len);
	p = put(p, parts->sharding_key, parts->sharding_len);
	p = put(p, parts->keys, parts->keys_len);
	p = put(p, parts->properties, parts->properties_len);
	p = put(p, parts->body, parts->body_len);
	memset(p, 0, end - p);
}

/*
 * Apart from rq_frame_build(), because the position is known only when the
 * room is reserved, and everything that can fail comes before that.
 */
void
rq_frame_seal(char *frame, RqPos pos)
{
	RqFrame    *f = (RqFrame *) frame;

	f->pos = pos;
	f->crc = frame_crc(frame, f->len);
}

/*
 * The checksum covers the header only, as nothing else is written: what lies
 * under the filler can be anything, and differs from server to server.
 */
void
rq_frame_filler(char *to, RqPos pos, uint32 len, int64 stored_at)
{
	RqFrame    *f = (RqFrame *) to;

	memset(f, 0, sizeof(*f));
	f->magic = RQ_FRAME_MAGIC;
	f->pos = pos;
	f->len = len;
	f->version = RQ_FRAME_VERSION;
	f->kind = RQ_FRAME_FILLER;
	f->stored_at = stored_at;
	f->crc = frame_crc(to, RQ_FRAME_HEADER_SIZE);
}

/* ---- the extra part ---- */

uint32
rq_extra_add(char *items, uint32 used, uint16 kind, const void *data, uint16 len)
{
	char	   *p = items + used;

	Assert(used + RQ_EXTRA_ITEM_SIZE(len) <= RQ_EXTRA_MAX);
	p = put(p, (const char *) &kind, sizeof(kind));
	p = put(p, (const char *) &len, sizeof(len));
	p = put(p, data, len);
	return (uint32) (p - items);
}

/*
 * Take the item at "at" of "size" bytes, and go on to the next; false at the
 * end, and where the bytes that are left are no item.
 */
static bool
next_item(const char *items, uint32 size, uint32 *at, uint16 *kind,
		  const char **data, uint16 *len)
{
	if (size - *at < RQ_EXTRA_ITEM_SIZE(0))
		return false;
	memcpy(kind, items + *at, sizeof(*kind));
	memcpy(len, items + *at + sizeof(*kind), sizeof(*len));
	if (size - *at < RQ_EXTRA_ITEM_SIZE(*len))
		return false;
	*data = items + *at + RQ_EXTRA_ITEM_SIZE(0);
	*at += RQ_EXTRA_ITEM_SIZE(*len);
	return true;
}

/*
 * One item after the other, since they are few.  The pieces were checked by
 * take_extra(), or packed by rq_extra_add(), so the walk ends with the part.
 */
const char *
rq_extra_find(const RqParts *parts, uint16 kind, uint16 *len)
{
	uint32		at = 0;
	const char *data;
	uint16		k;

	while (next_item(parts->extra, parts->extra_len, &at, &k, &data, len))
		if (k == kind)
			return data;
	return NULL;
}

/* Set the part in "v" if it is in the frame and made of items. */
static bool
take_extra(const RqFrame *f, const char *p, RqParts *v)
{
	uint32		room = f->len - RQ_FRAME_HEADER_SIZE;
	uint32		at = 0;
	const char *data;
	uint16		size;
	uint16		kind;
	uint16		len;

	if (room < sizeof(size))
		return false;
	memcpy(&size, p, sizeof(size));
	if (size == 0 || size > room - sizeof(size))
		return false;
	v->extra = p + sizeof(size);
	v->extra_len = size;
	while (next_item(v->extra, size, &at, &kind, &data, &len))
		;
	return at == size;
}

/* ---- check ---- */

/* Are the packed keys exactly nkeys strings? */
static bool
keys_fit(const char *keys, uint32 len, uint32 nkeys)
{
	uint32		at = 0;

	for (uint32 i = 0; i < nkeys; i++)
	{
		uint32		n;

		if (len - at < sizeof(n))
			return false;
		memcpy(&n, keys + at, sizeof(n));
		at += sizeof(n);
		if (len - at < n)
			return false;
		at += n;
	}
	return at == len;
}

/*
 * "f" is a copy of the header, so that what was bounded is what is used, even
 * if the bytes at "at" change concurrently (a trim zeroes them).  The lengths
 * come before the checksum, which is computed over the length that they bound.
 */
static const char *
check_message_frame(const RqFrame *f, const char *at, RqParts *parts)
{
	RqParts		v;
	const char *p = at + RQ_FRAME_HEADER_SIZE;

	memset(&v, 0, sizeof(v));
	if (unlikely(f->flags & RQ_FRAME_HAS_EXTRA))
	{
		if (!take_extra(f, p, &v))
			return "the frame's extra part does not fit its length";
		p += sizeof(uint16) + v.extra_len;
	}
	v.tag_len = f->tag_len;
	v.sharding_len = f->sharding_len;
	v.nkeys = f->nkeys;
	v.keys_len = f->keys_len;
	v.properties_len = f->properties_len;
	v.body_len = f->body_len;
	if (rq_frame_size(&v) != f->len)
		return "the frame's parts do not fit its length";

	v.tag = (f->flags & RQ_FRAME_HAS_TAG) ? p : NULL;
	p += v.tag_len;
	v.sharding_key = (f->flags & RQ_FRAME_HAS_SHARDING) ? p : NULL;
	p += v.sharding_len;
	v.keys = (f->flags & RQ_FRAME_HAS_KEYS) ? p : NULL;
	if (!keys_fit(p, v.keys_len, v.nkeys))
		return "the frame's keys do not fit their length";
	p += v.keys_len;
	v.properties = (f->flags & RQ_FRAME_HAS_PROPERTIES) ? p : NULL;
	p += v.properties_len;
	v.body = p;

	if (f->crc != frame_crc(at, f->len))
		return "the frame's checksum does not match";
	if (parts)
		*parts = v;
	return NULL;
}

/*
 * From the cheap to the expensive: magic and position first, which are what is
 * wrong with bytes that are no frame.  The length is bounded before anything
 * else is read, since all the rest relies on it.
 */
const char *
rq_frame_check(const char *at, uint64 avail, RqPos pos, RqParts *parts)
{
	RqFrame		f;

	if (avail < RQ_FRAME_HEADER_SIZE)
		return "there is no room for a frame";
	memcpy(&f, at, sizeof(f));
	if (f.magic != RQ_FRAME_MAGIC)
		return "the frame has a wrong magic number";
	if (f.pos != pos)
		return "the frame belongs to another position";
	if (f.version != RQ_FRAME_VERSION)
		return "the frame has an unrecognized format version";
	if (f.len < RQ_FRAME_HEADER_SIZE || f.len % 8 != 0 || f.len > avail)
		return "the frame's length is out of bounds";
	if (f.kind == RQ_FRAME_MESSAGE)
		return check_message_frame(&f, at, parts);
	if (f.kind != RQ_FRAME_FILLER)
		return "the frame is of an unrecognized kind";
	if (f.crc != frame_crc(at, RQ_FRAME_HEADER_SIZE))
		return "the filler's checksum does not match";
	return NULL;
}
