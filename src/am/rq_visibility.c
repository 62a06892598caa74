/*
 * rq_visibility.c
 *	  What a snapshot sees of a queue's entries.
 *
 * What a statement sees is up to its snapshot, as with any table, and not to
 * the queue's stable offset: a message counts if the snapshot sees the
 * transaction in its entry, though an earlier one may still be in doubt.  Only
 * messages without a transaction, which no snapshot knows, count from the
 * moment that they are stable; whoever scans settles that when the scan
 * begins, so that a scan that is repeated within a query gives the same rows
 * again.  A transaction that keeps its snapshot, such as pg_dump's, counts those
 * that were enqueued before it began: else a dump would not be of one moment.
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "storage/predicate.h"
#include "utils/snapmgr.h"

#include "am/rq_visibility.h"

/* A transaction id near the next one, with its epoch. */
static uint64
full_xid(TransactionId xid, FullTransactionId next)
{
	uint32		epoch = EpochFromFullTransactionId(next);

	if (xid > XidFromFullTransactionId(next))
		epoch--;
	return U64FromFullTransactionId(FullTransactionIdFromEpochAndXid(epoch, xid));
}

void
rq_visibility_init(RqVisibility *v, Relation rel, Snapshot snapshot)
{
	memset(v, 0, sizeof(*v));
	v->rel = rel;
	v->snapshot = snapshot;
	v->mvcc = snapshot != NULL && snapshot->snapshot_type == SNAPSHOT_MVCC;
	v->plain_until = v->mvcc && IsolationUsesXactSnapshot() ?
		GetCurrentTransactionStartTimestamp() : PG_INT64_MAX;
	if (v->mvcc)
	{
		FullTransactionId next = ReadNextFullTransactionId();

		v->xmin = full_xid(snapshot->xmin, next);
		v->xmax = full_xid(snapshot->xmax, next);
	}
}

/* Was the transaction still running when the snapshot was taken? */
static bool
is_running(RqVisibility *v, uint64 xid)
{
	if (xid < v->xmin)
		return false;
	if (xid >= v->xmax)
		return true;
	if (xid != v->last_xid)
	{
		v->last_running = XidInMVCCSnapshot((TransactionId) xid, v->snapshot);
		v->last_xid = xid;
	}
	return v->last_running;
}

bool
rq_visibility_sees(RqVisibility *v, const RqEntry *e, RqOff off, RqOff stable,
				   RqOff plain_below)
{
	if ((e->len_flags & RQ_CQ_ABORTED) != 0)
		return false;
	if (!v->mvcc || e->xid == 0)
		return off < plain_below &&
			(e->xid != 0 || e->enqueued_at <= v->plain_until);
	if (is_running(v, e->xid))
	{
		if (CheckForSerializableConflictOutNeeded(v->rel, v->snapshot))
			CheckForSerializableConflictOut(v->rel, (TransactionId) e->xid,
											v->snapshot);
		return false;
	}
	return off < stable || TransactionIdDidCommit((TransactionId) e->xid);
}
