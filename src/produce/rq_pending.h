/*
 * rq_pending.h
 *	  The list of messages that a transaction enqueues at commit.
 *
 * It grows only at its end, and a savepoint is a length to go back to.  Past
 * work_mem it spills into a temporary file.
 */
#ifndef RQ_PENDING_H
#define RQ_PENDING_H

#include "format/rq_walrec.h"

/*
 * A message, and which of the transaction's touched queues it goes to.
 * Packed, because there can be millions of them.
 */
typedef struct RqPendingItem
{
	xl_rq_entry entry;
	uint32		touch;
}
#if defined(pg_attribute_packed) && defined(pg_attribute_aligned)
			pg_attribute_packed()
			pg_attribute_aligned(4)
#endif
RqPendingItem;

typedef struct RqPending RqPending;

/* An empty list in the current memory context. */
extern RqPending *rq_pending_create(void);

/* Close its temporary file, if any.  Can't throw. */
extern void rq_pending_close(RqPending *p);

extern void rq_pending_add(RqPending *p, const RqPendingItem *item);
extern uint64 rq_pending_count(const RqPending *p);
extern void rq_pending_truncate(RqPending *p, uint64 count);

/*
 * Read the items from "first" on: a pointer to "*n" of them, good until the
 * next call.  NULL at the end.
 */
extern const RqPendingItem *rq_pending_read(RqPending *p, uint64 first,
											uint64 *n);

#endif							/* RQ_PENDING_H */
