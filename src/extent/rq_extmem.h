/*
 * rq_extmem.h
 *	  Chunks and free extents in shared memory, and the lists of those that are
 *	  to become free.
 *
 * An address is in exactly one place: in the free part of its chunk, in one of
 * the lists "freed", "waiting" and "released", or in the chain of one queue.
 *
 *		queue --cut--> freed --sync begins--> waiting --sync is done-->
 *		released --zeroed--> free --take--> queue
 *
 * So no extent is taken again as long as a state on disk says that it is a
 * queue's.
 *
 * The extents lock protects all of it, and headers: whoever holds it finds each
 * of them either zeros or complete, but for "next".  It comes after a queue's
 * lock; nothing is taken, read from disk or mapped while it is held.
 */
#ifndef RQ_EXTMEM_H
#define RQ_EXTMEM_H

#include "format/rq_extfmt.h"
#include "shmem/rq_parts.h"
#include "shmem/rq_space.h"
#include "store/rq_area.h"

/* 1 TB of entries.  What is not used of the table is never touched. */
#define RQ_CHUNKS			(1 << 18)
#define RQ_NO_CHUNK			PG_UINT32_MAX

/*
 * Of a chunk: its class + 1, or
 *
 *		raw			it has nothing in it, and can be filled
 *		unusable	what is in it is not ours, or damaged; it stays as it is
 *		absent		what was in it is missing, and may be put back, or it seems
 *					to be raw while something is missing; so it is
 *					not filled before it is known that nobody needs that
 *					(rq_extents_forget_absent())
 */
#define RQ_CHUNK_RAW		0
#define RQ_CHUNK_UNUSABLE	0xFE
#define RQ_CHUNK_ABSENT		0xFF

/* What of a chunk that was found at the start, and that nobody owns, is free? */
#define RQ_SWEPT			0	/* all of it, or the chunk is a new one */
#define RQ_SWEEP_DUE		1	/* nothing from "fresh" on: it may not be
								 * zeros */
#define RQ_SWEEP_EMPTY		2	/* the same, and nothing of it is anybody's */
#define RQ_SWEEP_GIVEN_UP	3	/* only what is in the list: some of the rest
								 * can't be read, and is not looked at before
								 * the next start */

/*
 * A chunk.  Free extents are in a list linked by "next" of their headers, or at
 * "fresh" and after it, where no extent has ever been.
 */
typedef struct RqChunk
{
	uint8		kind;			/* read without the lock, too */
	uint8		sweep;
	uint16		nfree;
	uint16		free_head;		/* a place, 0 = the list is empty */
	uint16		fresh;			/* a place, or one more than the last; until
								 * it has been swept, where that goes on; if
								 * it is not, one more than the last */
	uint32		next;			/* chunks of the class with something free; */
	uint32		prev;			/* RQ_NO_CHUNK at the ends */
} RqChunk;

StaticAssertDecl(sizeof(RqChunk) == 16, "there is one for each chunk there can be");

/* Extents linked by "next" of their headers; that of the last means nothing. */
typedef struct RqExtChain
{
	RqExtAddr	head;			/* RQ_EXT_NONE = there are none */
	RqExtAddr	tail;
	uint64		bytes;			/* what their entries take, for who decides
								 * when to sync */
} RqExtChain;

typedef struct RqExtents
{
	uint64		store;			/* its number, for headers of chunks */
	uint64		next_seq;
	uint32		nchunks;		/* in area files, of all kinds; changed by the
								 * allocator alone */
	uint32		nraw;
	RqExtChain	freed;
	RqExtChain	waiting;
	RqExtChain	released;
	uint32		first[RQ_EXT_CLASSES];	/* chunk with something free */
	uint64		nfree[RQ_EXT_CLASSES];
	uint64		nowned[RQ_EXT_CLASSES]; /* in chains and lists */
	uint32		nempty[RQ_EXT_CLASSES]; /* chunks with nothing but free ones */
	uint32		nunswept[RQ_EXT_CLASSES];	/* chunks to be swept */
	uint32		nunowned[RQ_EXT_CLASSES];	/* of these, those that are
											 * RQ_SWEEP_EMPTY */
	bool		damaged;		/* something was missing at the start: what
								 * nobody seems to own may yet be needed, see
								 * rq_extents_forget_absent() */
	uint64		ntaken[RQ_EXT_CLASSES]; /* since the server started */
	RqSpace		space;			/* for who waits for free ones */
	pg_atomic_uint32 nadrift;	/* backends that are about to give back chains
								 * of queues that no longer exist */
	RqAreaMarks marks;
} RqExtents;

/* The same address in every process. */
extern RqExtents *rq_extents;
extern RqChunk *rq_chunks;

extern const RqPart rq_extents_part;
extern const RqPart rq_chunks_part;

/* Functions below take it unless they say that the caller has. */
extern LWLock *rq_extents_lock;

/*
 * The class of a chunk, -1 if it has none.  Without a lock it is true at some
 * moment during the call, as with the next one.
 */
static inline int
rq_chunk_class(uint32 chunk)
{
	int			class = *(volatile uint8 *) &rq_chunks[chunk].kind - 1;

	return class < RQ_EXT_CLASSES ? class : -1;
}

/* The class of the extent with this address; -1 if there is none. */
static inline int
rq_ext_class(RqExtAddr addr)
{
	uint32		chunk = RQ_EXT_CHUNK(addr);
	int			class;

	if (unlikely(chunk >= RQ_CHUNKS))
		return -1;
	class = rq_chunk_class(chunk);
	return class >= 0 && rq_ext_is_place(addr, class) ? class : -1;
}

/*
 * For the state file: extents that have been taken have lower numbers, and are
 * in so many chunks, the last of which is not raw.
 */
extern void rq_extents_numbers(uint64 *seq, uint32 *chunks);

/* Of all area files, in bytes; without the headers. */
typedef struct RqExtSpace
{
	uint32		chunks;			/* they have so many, of all kinds */
	uint64		used;			/* by queues */
	uint64		waiting;		/* given back, free after a sync */
	uint64		free;
	uint64		raw;			/* can become whatever is needed */
} RqExtSpace;

extern RqExtSpace rq_extents_space(void);

/*
 * What is missing has come back, or is given up: absent chunks are raw now, and
 * what nobody owns can be swept.
 */
extern void rq_extents_forget_absent(void);

/* A chunk that has something free of this class, or RQ_NO_CHUNK. */
extern uint32 rq_free_chunk(int class);

/*
 * Take an extent of that class from the chunk, which is mapped for writing at
 * "base"; RQ_EXT_NONE if it has none any more.  Its entries are zeros, and its
 * header becomes this one, whose "seq", which no other extent has, and checksum
 * are filled in here.  Can't throw.
 */
extern RqExtAddr rq_free_take(uint32 chunk, int class, char *base,
							  RqExtentHeader *h);

/*
 * Zero the header of an extent, whose entries are zeros; the first one also makes
 * it free.  Can't throw.
 */
extern void rq_free_put(RqExtAddr addr, char *base);
extern void rq_free_clear(RqExtAddr addr, char *base);

/*
 * The chunk, which was raw, is of this class now, and all free.  And the other
 * way round, if nothing of it is anybody's and more chunks of the class are like
 * that than "keep" says for it; else false.  Allocator only.
 */
extern void rq_chunk_add(uint32 chunk, int class);
extern bool rq_chunk_remove(uint32 chunk, const uint32 keep[RQ_EXT_CLASSES]);

/*
 * Before the extents lock is taken, for a header that is written to under it, of
 * an extent that is in no list, or the tail of one, so that nobody else writes to
 * its link: have its page read and ready to be written to, so that nobody waits
 * for that who waits for the lock.
 */
static inline void
rq_ext_touch(RqExtentHeader *h)
{
	volatile RqExtAddr *next = &h->next;
	RqExtAddr	same = *next;

	*next = same;
}

/*
 * A chunk with something to be swept is about to be, or need not be any more.
 * Allocator only.
 */
extern void rq_chunk_sweep_begin(uint32 chunk);
extern void rq_chunk_sweep_end(uint32 chunk, uint8 sweep);

/*
 * Put the chain in front of a list.  "last" is the header of its tail, mapped for
 * writing and touched.  The caller holds the extents lock.
 */
extern void rq_chain_prepend(RqExtChain *list, const RqExtChain *chain,
							 RqExtentHeader *last);

#endif							/* RQ_EXTMEM_H */
