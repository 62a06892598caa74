/*
 * rq_tid.h
 *	  Row identifiers (ctid) of messages.
 */
#ifndef RQ_TID_H
#define RQ_TID_H

#include "storage/itemptr.h"

#include "base/rq_base.h"

/*
 * Row identifiers.  The offset number is the queue plus one; the block is the
 * queue offset, modulo RQ_TID_BLOCKS.  So a ctid is unique among the messages
 * a topic holds as long as no queue holds more than RQ_TID_BLOCKS at a time,
 * and a message keeps its ctid for ever.
 */
#define RQ_TID_BLOCKS		((uint64) MaxBlockNumber)

/* The block of a row whose offset is given at commit only. */
#define RQ_TID_UNKNOWN		MaxBlockNumber

StaticAssertDecl(RQ_QUEUES_MAX <= PG_UINT16_MAX, "queue ids fit an OffsetNumber");

static inline void
rq_tid_set(ItemPointer tid, uint32 queue_id, RqOff offset)
{
	ItemPointerSet(tid, (BlockNumber) (offset % RQ_TID_BLOCKS), queue_id + 1);
}

#endif							/* RQ_TID_H */
