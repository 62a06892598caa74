/*
 * rq_touched.h
 *	  The queues that get messages of the current transaction, and which.
 */
#ifndef RQ_TOUCHED_H
#define RQ_TOUCHED_H

#include "format/rq_walrec.h"

/* Take part in transactions; once, from _PG_init. */
extern void rq_touched_init(void);

/*
 * Messages of the log for a queue, to be enqueued at commit.  Throws if it is
 * too late for that, or memory or the disk of temporary files is short.
 */
extern void rq_touched_produce(uint32 topic, uint32 queue_id,
							   const xl_rq_entry *entries, int count);

/*
 * The topic is about to have only "nqueues" queues: throw if the transaction
 * has messages for one that is to be removed.
 */
extern void rq_touched_check_removal(uint32 topic, uint32 nqueues);

/*
 * Has the transaction messages for the topic that have not been rolled back?  May
 * read all of its messages, for all topics.
 */
extern bool rq_touched_has_messages(uint32 topic);

#endif							/* RQ_TOUCHED_H */
