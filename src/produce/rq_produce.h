/*
 * rq_produce.h
 *	  Take messages: check them, choose their queues, write them.
 */
#ifndef RQ_PRODUCE_H
#define RQ_PRODUCE_H

#include "format/rq_framefmt.h"
#include "shmem/rq_shmem.h"

/* Any queue may take the message. */
#define RQ_ANY_QUEUE	(-1)

typedef struct RqTarget
{
	uint32		topic;
	int64		queue_id;		/* RQ_ANY_QUEUE, or the one that was asked for */
	const int64 *queue_ids;		/* if set, used instead: one for each message,
								 * checked by the caller */
	bool		transactional;
} RqTarget;

/* Take part in transactions; once, from _PG_init. */
extern void rq_produce_init(void);

/*
 * Produce "n" messages.  Their ids go to "ids", their queues to "queues" (may
 * be NULL).  Every message is checked before the first one is written.  The
 * caller holds a lock on the topic's relation until the transaction ends.
 */
extern void rq_produce(const RqTarget *target, const RqParts *messages, int n,
					   RqPos *ids, uint32 *queues);

#endif							/* RQ_PRODUCE_H */
