/*
 * fuzz_log.c
 *	  The readers of the commit log over a small segment of any bytes.
 *
 * The input is a queue entry, then the segment.  The entry's position and
 * length lead to a frame as for a consumer; then the log is walked as verify()
 * does.  The first input byte says whether the frame gets a correct checksum.
 */
#include "fuzz_format.h"

#include "port/pg_crc32c.h"

#include "format/rq_queuefmt.h"
#include "format/rq_segfmt.h"
#include "log/rq_log.h"
#include "store/rq_map.h"

static RqLog the_log;
RqLog	   *rq_log = &the_log;
static char *segment;

char *
rq_map_log(uint64 segno, uint64 size, RqMapMode mode, bool repair)
{
	return segno == 0 ? segment : NULL;
}

/* Set the checksums that the segment's header and a frame should have. */
static void
make_sums_right(uint64 size, uint64 pos)
{
	RqFrame    *f = (RqFrame *) (segment + pos % size);
	uint64		room = size - pos % size;
	pg_crc32c	crc;
	uint32		len;

	if (pos % 8 != 0 || room < RQ_FRAME_HEADER_SIZE)
		return;
	len = f->kind == RQ_FRAME_FILLER || f->len > room ||
		f->len < RQ_FRAME_HEADER_SIZE ? RQ_FRAME_HEADER_SIZE : f->len;
	f->magic = RQ_FRAME_MAGIC;
	f->pos = pos;
	INIT_CRC32C(crc);
	COMP_CRC32C(crc, (char *) f + offsetof(RqFrame, pos),
				len - offsetof(RqFrame, pos));
	FIN_CRC32C(crc);
	f->crc = crc;
}

/* What SQL does with the parts of a message. */
static void
read_parts(const RqParts *p)
{
	const char *key = p->keys;

	for (int kind = 0; kind < 4; kind++)
	{
		uint16		len;
		const char *item = rq_extra_find(p, kind, &len);

		if (item)
			fuzz_touch(item, len);
	}
	fuzz_touch(p->extra, p->extra_len);
	if (p->tag)
		fuzz_touch(p->tag, p->tag_len);
	if (p->sharding_key)
		fuzz_touch(p->sharding_key, p->sharding_len);
	for (uint32 i = 0; key != NULL && i < p->nkeys; i++)
	{
		uint32		len;

		memcpy(&len, key, sizeof(len));
		fuzz_touch(key + sizeof(len), len);
		key += sizeof(len) + len;
	}
	if (p->properties)
		fuzz_touch(p->properties, p->properties_len);
	fuzz_touch(p->body, p->body_len);
}

static void
walk(uint64 size)
{
	RqPos		pos = 0;
	RqPos		next;
	RqFrame		frame;
	const char *problem;

	while (rq_log_walk(&pos, size, &frame, &next, &problem))
	{
		if (next <= pos)
			abort();
		pos = next;
	}
}

int
LLVMFuzzerTestOneInput(const uint8 *data, size_t size)
{
	RqEntry		e;
	RqFrame		frame;
	RqParts		parts;
	const char *problem;
	uint64		room;

	if (size < 8 + sizeof(e) + RQ_SEG_HEADER_SIZE)
		return 0;
	memcpy(&e, data + 8, sizeof(e));
	room = (size - 8 - sizeof(e)) / 8 * 8;
	segment = fuzz_copy(data + 8 + sizeof(e), room);
	the_log.segment_size = room;
	the_log.segment_mb = 1;
	pg_atomic_init_u64(&the_log.start, 0);
	pg_atomic_init_u64(&the_log.end, room);
	if (data[0] & 1)
		make_sums_right(room, e.pos);

	(void) rq_seg_header_check((RqSegHeader *) segment, 1, 0);
	if (rq_log_probe(e.pos, RQ_ENTRY_FRAME_LEN(&e), &frame, &parts, &problem))
		read_parts(&parts);
	(void) rq_log_peek(e.pos, RQ_ENTRY_FRAME_LEN(&e), &frame);
	walk(room);
	free(segment);
	return 0;
}
