/*
 * rq_touched.h
 *	  The queues that get messages of the current transaction, and which.
 */
#ifndef RQ_TOUCHED_H
#define RQ_TOUCHED_H

#include "format/rq_walrec.h"

typedef struct RqTouched RqTouched;

/* Nothing yet, in that memory context. */
extern RqTouched *rq_touched_create(MemoryContext cxt);

/* Messages for a queue, to be enqueued at commit. */
extern void rq_touched_add(RqTouched *t, uint32 topic, uint32 queue_id,
						   const xl_rq_entry *entries, int count);

/* How many messages there are; and forget all but the first "count". */
extern uint64 rq_touched_count(const RqTouched *t);
extern void rq_touched_truncate(RqTouched *t, uint64 count);

/* Is there a message for a queue of the topic from that number on? */
extern bool rq_touched_has(RqTouched *t, RqKey topic, uint32 from,
						   uint32 *queue_id);

/*
 * Write the entries of all queues with this transaction id, but for topics that
 * the transaction has dropped.  May throw between any two records.
 */
typedef bool (*RqTopicIsDropped) (RqKey key);
extern void rq_touched_enqueue(RqTouched *t, uint64 xid,
							   RqTopicIsDropped is_dropped);

/*
 * The transaction has ended: raise the stable offsets.  Returns false if entries
 * that have been committed still wait behind those of others.
 */
extern bool rq_touched_resolve(RqTouched *t, uint64 xid, bool committed);

/* Close the temporary file, if there is one. */
extern void rq_touched_close(RqTouched *t);

#endif							/* RQ_TOUCHED_H */
