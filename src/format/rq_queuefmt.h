/*
 * rq_queuefmt.h
 *	  An entry of a consume queue.
 *
 *		 0	u64	position of the frame in the commit log
 *		 8	u64	FullTransactionId of the producer, 0 = not transactional
 *		16	i64	enqueue time, never falling within a queue
 *		24	u32	hash of the tag, 0 = no tag
 *		28	u32	bits 0..23 frame length / 8, bits 24..31 flags
 *
 * Nothing in an entry says "committed": the kernel may write it back before
 * the WAL that proves it, and the transaction id may be handed out again.
 * RQ_ENTRY_ABORTED is set only for a transaction that is known to have aborted.
 */
#ifndef RQ_QUEUEFMT_H
#define RQ_QUEUEFMT_H

#include "base/rq_base.h"

typedef struct RqEntry
{
	uint64		pos;
	uint64		xid;
	int64		enqueued_at;
	uint32		tag_hash;
	uint32		len_flags;
} RqEntry;

StaticAssertDecl(sizeof(RqEntry) == 32, "on-disk layout");

#define RQ_ENTRY_ABORTED			0x01000000u
#define RQ_ENTRY_COPY				0x02000000u /* a copy of a message, as a
												 * restore of a dump makes it */
#define RQ_ENTRY_LEN_MASK			0x00FFFFFFu

#define RQ_ENTRY_PACK_LEN(bytes)	((uint32) ((bytes) / 8))
#define RQ_ENTRY_FRAME_LEN(e)		(((e)->len_flags & RQ_ENTRY_LEN_MASK) * 8)

/* The hash an entry keeps of its message's tag; never 0 for a tag. */
extern uint32 rq_tag_hash(const char *tag, uint32 len);

/*
 * Why no filter could name this tag, as a sentence for an error's detail; NULL
 * if one can.
 */
extern const char *rq_tag_problem(const char *tag, uint32 len);

#endif							/* RQ_QUEUEFMT_H */
