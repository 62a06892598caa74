/*
 * rq_framefmt.h
 *	  A frame: one message, or filler, in the commit log.
 *
 * A frame is 8-byte aligned, never straddles two segments and begins with 64
 * bytes:
 *
 *		 0	u32	magic "RQFR"
 *		 4	u32	CRC-32C of bytes 8..len-1 (filler: 8..63)
 *		 8	u64	position of the frame in the commit log
 *		16	u32	length of the frame, a multiple of 8
 *		20	u8	format version
 *		21	u8	kind: 1 message, 2 filler
 *		22	u8	flags: which optional parts are there
 *		23	u8	length of the tag
 *		24	u32	database of the topic
 *		28	u32	relfilenumber of the topic
 *		32	i64	born: start of the producer's statement, in PostgreSQL's
 *				microseconds
 *		40	i64	stored: when the frame was built, to a few milliseconds
 *		48	u32	length of the body
 *		52	u32	length of the properties (JSON text)
 *		56	u16	length of the sharding key
 *		58	u16	number of keys
 *		60	u32	length of the keys, each a u32 length and its bytes
 *		64		extra part, tag, sharding key, keys, properties, body, zeros to
 *				the end
 *
 * The extra part is for what few messages have and the header has no room for.
 * With flag 0x10 it is there, and begins with the length of what follows, a
 * u16.  What follows are items, in any order: a u16 kind, a u16 length, and as
 * many bytes as that says.  A reader that does not know a kind skips the item.
 *
 * A message frame is valid if and only if: magic, version and kind are right,
 * the position is its own, the parts fit the length exactly (less than 8 bytes
 * of padding), the keys and the items of the extra part fit theirs, and the
 * checksum matches.
 *
 * Text is in the encoding of the topic's database.
 */
#ifndef RQ_FRAMEFMT_H
#define RQ_FRAMEFMT_H

#include "base/rq_base.h"

#define RQ_FRAME_MAGIC			0x52514652
#define RQ_FRAME_VERSION		1
#define RQ_FRAME_HEADER_SIZE	64

#define RQ_FRAME_MESSAGE		1
#define RQ_FRAME_FILLER			2

#define RQ_FRAME_HAS_TAG		0x01
#define RQ_FRAME_HAS_SHARDING	0x02
#define RQ_FRAME_HAS_KEYS		0x04
#define RQ_FRAME_HAS_PROPERTIES 0x08
#define RQ_FRAME_HAS_EXTRA		0x10

typedef struct RqFrame
{
	uint32		magic;
	uint32		crc;
	uint64		pos;
	uint32		len;
	uint8		version;
	uint8		kind;
	uint8		flags;
	uint8		tag_len;
	uint32		db;
	uint32		rel;
	int64		born_at;
	int64		stored_at;
	uint32		body_len;
	uint32		properties_len;
	uint16		sharding_len;
	uint16		nkeys;
	uint32		keys_len;
} RqFrame;

StaticAssertDecl(sizeof(RqFrame) == RQ_FRAME_HEADER_SIZE, "on-disk layout");
StaticAssertDecl(offsetof(RqFrame, born_at) == 32, "on-disk layout");

/*
 * The parts of a message, as given to or read from a frame.  A missing
 * optional part has a NULL pointer.  "keys" are packed as in the frame.
 */
typedef struct RqParts
{
	const char *extra;			/* items, as rq_extra_add() packs them */
	const char *tag;
	const char *sharding_key;
	const char *keys;
	const char *properties;
	const char *body;
	uint32		extra_len;		/* at most RQ_EXTRA_MAX, 0 = there are none */
	uint32		tag_len;
	uint32		sharding_len;
	uint32		nkeys;
	uint32		keys_len;
	uint32		properties_len;
	uint32		body_len;

	/* for producing only */
	bool		is_copy;		/* of a message that was born at another time */
	int64		born_at;		/* when, of a copy */
} RqParts;

/* Most bytes of all items of a message, and bytes of one item. */
#define RQ_EXTRA_MAX			PG_UINT16_MAX
#define RQ_EXTRA_ITEM_SIZE(len)	(2 * sizeof(uint16) + (len))

/*
 * Pack another item after "used" bytes of items; returns how many are used
 * then.  There is room for RQ_EXTRA_ITEM_SIZE(len) more.
 */
extern uint32 rq_extra_add(char *items, uint32 used, uint16 kind,
						   const void *data, uint16 len);

/*
 * The bytes of the first item of a kind, which have no alignment, and how many
 * they are; NULL if the message has none.
 */
extern const char *rq_extra_find(const RqParts *parts, uint16 kind, uint16 *len);

/* Length of the frame that these parts need. */
extern uint64 rq_frame_size(const RqParts *parts);

/*
 * Write the frame for these parts at "to", which has rq_frame_size() bytes.
 * Position and checksum are left for rq_frame_seal().
 */
extern void rq_frame_build(char *to, const RqParts *parts, RqKey topic,
						   int64 born_at, int64 stored_at);

/* Give a built frame its position and checksum. */
extern void rq_frame_seal(char *frame, RqPos pos);

/* Write a sealed filler of "len" bytes; only its header is written. */
extern void rq_frame_filler(char *to, RqPos pos, uint32 len, int64 stored_at);

/*
 * Check the bytes at "at", of which "avail" may be read, as the frame of
 * position "pos".  Returns NULL if the frame is valid, else what is wrong.
 * For a message "parts" (may be NULL) is filled with pointers into the frame.
 */
extern const char *rq_frame_check(const char *at, uint64 avail, RqPos pos,
								  RqParts *parts);

#endif							/* RQ_FRAMEFMT_H */
