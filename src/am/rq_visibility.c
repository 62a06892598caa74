/*
 * rq_visibility.c
 *	  Which entries of a queue a snapshot sees.
 *
 * As with any table, what a statement sees depends on its snapshot and not on
 * the queue's stable offset: a message is visible if the snapshot sees the
 * transaction in its entry, even if an earlier entry is still unresolved.
 * Messages without a transaction, which no snapshot knows about, are visible
 * once they are stable.  A scan determines that bound when it begins, so that
 * repeating the scan within a query returns the same rows.  For a transaction
 * that keeps its snapshot, such as pg_dump's, only those are visible that were
 * enqueued before it began, because a dump has to represent one moment.
 *
 * That goes by the clock, which can be set back, or be behind the primary's on a
 * standby.  A message from the future is visible if it was in the log when the
 * transaction read its first topic.
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "storage/predicate.h"
#include "utils/snapmgr.h"

#include "am/rq_visibility.h"
#include "base/rq_compat.h"
#include "log/rq_log.h"

/* When a transaction that keeps its snapshot has read its first topic. */
static struct
{
	LocalTransactionId lxid;
	TimestampTz at;
	RqPos		log_end;
}			first_scan;

static void
note_first_scan(void)
{
	if (first_scan.lxid == RQ_MY_LXID)
		return;
	first_scan.log_end = rq_log_written_end();
	first_scan.at = GetCurrentTimestamp();
	first_scan.lxid = RQ_MY_LXID;
}

/* Extend a transaction ID, which is less than 2^31 before the next one. */
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
	v->plain_until = PG_INT64_MAX;
	if (v->mvcc && IsolationUsesXactSnapshot())
	{
		note_first_scan();
		v->plain_until = GetCurrentTransactionStartTimestamp();
		v->future = first_scan.at;
		v->future_below = first_scan.log_end;
	}
	if (v->mvcc)
	{
		FullTransactionId next = ReadNextFullTransactionId();

		v->xmin = full_xid(snapshot->xmin, next);
		v->xmax = full_xid(snapshot->xmax, next);
	}
}

static bool
sees_plain(const RqVisibility *v, const RqEntry *e)
{
	return e->enqueued_at <= v->plain_until ||
		(e->enqueued_at > v->future && e->pos < v->future_below);
}

/*
 * Was the transaction still running when the snapshot was taken?  Neighboring
 * entries often carry the same one, so the last result is kept.
 */
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

/*
 * Commit status is asked last: below "stable" an entry without the flag for aborted
 * ones has committed, and pg_xact may already be truncated there.
 *
 * A transaction that the snapshot does not see is a conflict out for SERIALIZABLE,
 * as HeapCheckForSerializableConflictOut() would find.
 */
bool
rq_visibility_sees(RqVisibility *v, const RqEntry *e, RqOff off, RqOff stable,
				   RqOff plain_below)
{
	if ((e->len_flags & RQ_ENTRY_ABORTED) != 0)
		return false;
	if (!v->mvcc || e->xid == 0)
		return off < plain_below &&
			(e->xid != 0 || sees_plain(v, e));
	if (is_running(v, e->xid))
	{
		if (CheckForSerializableConflictOutNeeded(v->rel, v->snapshot))
			CheckForSerializableConflictOut(v->rel, (TransactionId) e->xid,
											v->snapshot);
		return false;
	}
	return off < stable || TransactionIdDidCommit((TransactionId) e->xid);
}
