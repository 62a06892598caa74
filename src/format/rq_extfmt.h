/*
 * rq_extfmt.h
 *	  Extents: where entries of queues lie on disk.
 *
 * Entries of all queues share area files.  An area file is a row of chunks of 4
 * MB, a chunk has extents of one class, and an extent has entries of one queue,
 * which are neighbours:
 *
 *		chunk		RqChunkHeader		64 bytes
 *					RqExtentHeader[n]	of places 1 .. n
 *					zeros up to a multiple of 4096
 *					extents of places 1 .. n
 *
 * An extent that is free has a header of zeros, but for "next", and entries of
 * zeros.  Headers and entries never cross a sector, so a torn write leaves each
 * of them as it was or as it was to be.
 *
 * Which extent a queue gets is not logged: it is not the same on a primary, on a
 * standby and after a restart, and nothing outside these files and the memory of
 * one server says it.
 */
#ifndef RQ_EXTFMT_H
#define RQ_EXTFMT_H

#include "access/xlogdefs.h"

#include "format/rq_queuefmt.h"

#define RQ_CHUNK_SIZE		(4 * 1024 * 1024)
#define RQ_AREA_CHUNKS		256 /* in an area file */
#define RQ_AREA_SIZE		((uint64) RQ_AREA_CHUNKS * RQ_CHUNK_SIZE)
#define RQ_AREAS_MAX		2048
#define RQ_CHUNKS_MAX		(RQ_AREAS_MAX * RQ_AREA_CHUNKS)

#define RQ_CHUNK_MAGIC		0x48435152	/* "RQCH" */
#define RQ_EXTENT_MAGIC		0x58455152	/* "RQEX" */
#define RQ_CHUNK_VERSION	1

/* Classes, by the entries of an extent. */
#define RQ_EXT_CLASSES		4

static const uint16 rq_ext_entries[RQ_EXT_CLASSES] = {16, 128, 1024, 8192};
static const uint16 rq_ext_places[RQ_EXT_CLASSES] = {7280, 1008, 127, 15};

/*
 * The address of an extent: its chunk and its place there.  Place 0 is the
 * chunk's own header, so 0 is no extent's address.
 */
typedef uint32 RqExtAddr;

#define RQ_EXT_NONE			0
#define RQ_EXT_PLACE_BITS	13

StaticAssertDecl(RQ_CHUNKS_MAX <= 1 << (32 - RQ_EXT_PLACE_BITS),
				 "an address has room for every chunk");

#define RQ_EXT_CHUNK(addr)	((addr) >> RQ_EXT_PLACE_BITS)
#define RQ_EXT_PLACE(addr)	((addr) & ((1 << RQ_EXT_PLACE_BITS) - 1))
#define RQ_EXT_ADDR(chunk, place)	((RqExtAddr) ((chunk) << RQ_EXT_PLACE_BITS | (place)))

/*
 * A queue's last extent in one word: its address, and the low half of the offset
 * of its first entry.  Whoever knows about where the queue ends gets the rest.
 */
#define RQ_EXT_TAIL(addr, first)	((uint64) (addr) << 32 | (uint32) (first))
#define RQ_EXT_TAIL_ADDR(tail)		((RqExtAddr) ((tail) >> 32))

typedef struct RqChunkHeader
{
	uint32		magic;
	uint32		crc;			/* of what follows */
	uint32		version;
	uint32		chunk;			/* its own number */
	uint32		class;
	uint32		unused1;
	uint64		store;			/* whose it is, see RqStateHeader */
	uint32		unused2[8];
} RqChunkHeader;

typedef struct RqExtentHeader
{
	uint32		magic;
	uint32		crc;			/* of its address, magic and what follows, up
								 * to "next": that changes while others read
								 * the rest, and whatever follows it looks
								 * whether what it comes to is what it should
								 * be */
	RqKey		key;
	uint32		queue_id;
	uint32		depth;			/* extents that came before it in the queue,
								 * see rq_ext_depth_after() */
	XLogRecPtr	born;			/* of the queue */
	RqOff		first;			/* of its entries */
	uint64		seq;			/* of two that claim the same entries, the
								 * greater is right */
	RqExtAddr	prev;			/* the one before, RQ_EXT_NONE = none */
	RqExtAddr	jump;			/* one further before; see rq_ext_jump() */
	uint32		hole;			/* 0, or so many entries are in it: it was
								 * made for entries that were missing when the
								 * server started, and those that are still
								 * missing are zeros */
	RqExtAddr	next;			/* the one after, if there is one; in a list,
								 * the next one */
} RqExtentHeader;

StaticAssertDecl(sizeof(RqChunkHeader) == 64, "on-disk layout");
StaticAssertDecl(sizeof(RqExtentHeader) == 64, "on-disk layout");
StaticAssertDecl(offsetof(RqExtentHeader, next) == 60, "on-disk layout");

/* What the entries of an extent take. */
static inline uint64
rq_ext_bytes(int class)
{
	return rq_ext_entries[class] * sizeof(RqEntry);
}

/* Where in its chunk an extent lies, and the first of them. */
static inline uint32
rq_ext_offset(int class, uint32 place)
{
	const uint32 table = TYPEALIGN(4096, (rq_ext_places[class] + 1) * sizeof(RqExtentHeader));

	return table + (place - 1) * rq_ext_entries[class] * sizeof(RqEntry);
}

/*
 * The class of a new extent, for a queue that keeps "kept" entries and is about
 * to get "coming" more: as large as both, so that extents grow with what a
 * queue holds, and shrink with it.
 */
static inline int
rq_ext_class_for(uint64 kept, uint64 coming)
{
	uint64		n = Max(kept, coming);
	int			class = 0;

	while (class < RQ_EXT_CLASSES - 1 && rq_ext_entries[class] < n)
		class++;
	return class;
}

/* Fill in magic, version and checksum; of an extent, for that address. */
extern void rq_chunk_seal(RqChunkHeader *h);
extern void rq_ext_seal(RqExtentHeader *h, RqExtAddr addr);

/*
 * NULL if the header is sound and that of this chunk of this store; else the
 * problem.
 */
extern const char *rq_chunk_problem(const RqChunkHeader *h, uint32 chunk,
									uint64 store);

/*
 * Do so many bytes at the beginning of a chunk say that it is raw, that is, holds
 * nothing?  More of them than a disk loses with a sector of 512 bytes, so that a
 * chunk with extents does not become a raw one by that.
 */
#define RQ_RAW_BYTES		4096

extern bool rq_chunk_is_raw(const char *bytes);

/* Does the entry say that it is missing, if it is below the queue's end? */
static inline bool
rq_ext_entry_is_missing(const RqEntry *e)
{
	return e->pos == 0 && (e->len_flags & RQ_ENTRY_ABORTED) == 0;
}

/* The same for an extent of that class. */
extern const char *rq_ext_problem(const RqExtentHeader *h, int class,
								  RqExtAddr addr);
extern bool rq_ext_is_free(const RqExtentHeader *h);

/* Can there be such an extent in a chunk of that class? */
static inline bool
rq_ext_is_place(RqExtAddr addr, int class)
{
	return RQ_EXT_PLACE(addr) - 1 < rq_ext_places[class];
}

/* How many entries are in it; never more than it has room for. */
static inline uint32
rq_ext_count(const RqExtentHeader *h, int class)
{
	Assert(class >= 0 && class < RQ_EXT_CLASSES);
	return h->hole != 0 ? Min(h->hole, rq_ext_entries[class]) :
		rq_ext_entries[class];
}

/*
 * The depth of the extent that follows one of this depth.  Only the first one of
 * all has 0.  When the number is used up, it begins again at 1, as with a new
 * chain: nobody jumps across, since a jump has to lead to a lower one.
 */
static inline uint32
rq_ext_depth_after(uint32 depth)
{
	return depth == PG_UINT32_MAX ? 1 : depth + 1;
}

/*
 * Where a new extent's jump goes: its predecessor, or as far as that one's jump
 * and the one after it go together, if both are equally long (Myers' skew-binary
 * numbers).  So a walk of n extents takes about 2 log2 n steps.  "prev", "pj"
 * and "pjj" are the predecessor, its jump and the jump of that, NULL where there
 * is none or it is no longer this queue's.
 */
static inline RqExtAddr
rq_ext_jump(RqExtAddr prev_addr, const RqExtentHeader *prev,
			const RqExtentHeader *pj, const RqExtentHeader *pjj)
{
	if (pj != NULL && pjj != NULL &&
		prev->depth - pj->depth == pj->depth - pjj->depth)
		return pj->jump;
	return prev_addr;
}

#endif							/* RQ_EXTFMT_H */
