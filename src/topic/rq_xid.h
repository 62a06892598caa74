/*
 * rq_xid.h
 *	  What became of a transaction that an entry or an offset names.
 */
#ifndef RQ_XID_H
#define RQ_XID_H

#include "base/rq_base.h"

typedef enum RqXidStatus
{
	RQ_XID_IN_PROGRESS,
	RQ_XID_COMMITTED,
	RQ_XID_ABORTED
} RqXidStatus;

/*
 * The outcome of a top-level transaction, on a primary or a hot standby.
 * Throws when the commit log can't be read or the id can't be right.
 */
extern RqXidStatus rq_xid_status(uint64 full_xid);

/* Can it be the id of a transaction whose outcome is unknown? */
extern bool rq_xid_is_possible(uint64 full_xid);

/* Has that transaction, whose id is possible, not ended?  Needs no lock. */
extern bool rq_xid_is_running(uint64 full_xid);

/*
 * The calling transaction's id, in such a way that its next record lets
 * recovery know that the id is taken: a record carries the id of the
 * subtransaction, if that has one, which is above that of the whole
 * transaction.  Otherwise the number could be handed out again after a crash.
 */
extern uint64 rq_xid_announce(void);

/* Is it the id of the calling transaction? */
extern bool rq_xid_is_own(uint64 full_xid);

#endif							/* RQ_XID_H */
