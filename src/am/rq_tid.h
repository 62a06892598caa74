/*
 * rq_tid.h
 *	  Row identifiers (ctid) of messages.
 */
#ifndef RQ_TID_H
#define RQ_TID_H

#include "storage/itemptr.h"

#include "base/rq_base.h"

/*
 * The offset number of a ctid is the queue plus one; the block number is the queue
 * offset modulo RQ_TID_BLOCKS.  So ctids are unique among the messages of a topic
 * as long as no queue holds more than RQ_TID_BLOCKS at a time, and a message never
 * changes its ctid.
 */
#define RQ_TID_BLOCKS		((uint64) MaxBlockNumber)

/* The block number of a row that gets its offset only at commit. */
#define RQ_TID_UNKNOWN		MaxBlockNumber

StaticAssertDecl(RQ_QUEUES_MAX <= PG_UINT16_MAX, "queue ids fit an OffsetNumber");

/* Set the ctid of the message at this offset of this queue. */
static inline void
rq_tid_set(ItemPointer tid, uint32 queue_id, RqOff offset)
{
	ItemPointerSet(tid, (BlockNumber) (offset % RQ_TID_BLOCKS), queue_id + 1);
}

#endif							/* RQ_TID_H */
