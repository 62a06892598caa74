/*
 * rq_xid.c
 *	  What became of a transaction that an entry or an offset names.
 *
 * Given a transaction id that was found in shared memory or in a file, has
 * that transaction committed, aborted, or not ended?
 *
 * The order of the two questions matters: a transaction leaves the list of
 * running ones after its outcome is in pg_xact.  So one that is not running
 * has its outcome there, and one without an outcome crashed.  Asked the other
 * way round, one that commits between the questions would count as aborted.
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "storage/procarray.h"
#include "utils/snapmgr.h"

#include "base/rq_error.h"
#include "base/rq_fault.h"
#include "topic/rq_xid.h"

/*
 * TransactionIdIsInProgress() takes anything before RecentXmin for ended.  Our
 * workers, which are in no database, take no snapshot that would advance it:
 * after two billion transactions new ids would count as before it.  So there
 * it is set to the id in question every time, which excludes nothing.
 */
static bool
is_in_progress(TransactionId xid)
{
	if (!OidIsValid(MyDatabaseId))
		RecentXmin = xid;
	return TransactionIdIsInProgress(xid);
}

/*
 * Assigns the subtransaction's id, and with it those of all transactions
 * around it.  The next record carries the innermost one.
 */
uint64
rq_xid_announce(void)
{
	(void) GetCurrentTransactionId();
	return U64FromFullTransactionId(GetTopFullTransactionId());
}

bool
rq_xid_is_own(uint64 full_xid)
{
	return U64FromFullTransactionId(GetTopFullTransactionIdIfAny()) == full_xid;
}

/*
 * An id that can't be right, say, from a damaged file, must not be looked up
 * in pg_xact: its low half could be that of some other transaction.  Ids that
 * can be in doubt lie below the next one, and no further below than 32-bit ids
 * can be compared.
 */
bool
rq_xid_is_possible(uint64 full_xid)
{
	uint64		next = U64FromFullTransactionId(ReadNextFullTransactionId());

	return full_xid < next && next - full_xid <= PG_INT32_MAX &&
		!RQ_FAULT_FAILS_OF("xid-possible", full_xid);
}

bool
rq_xid_is_running(uint64 full_xid)
{
	return is_in_progress(XidFromFullTransactionId(FullTransactionIdFromU64(full_xid)));
}

RqXidStatus
rq_xid_status(uint64 full_xid)
{
	TransactionId xid = XidFromFullTransactionId(FullTransactionIdFromU64(full_xid));

	if (!rq_xid_is_possible(full_xid))
		rq_report_corruption("a transaction id in the rocketq store",
							 psprintf(UINT64_FORMAT " cannot be a transaction whose outcome is unknown",
									  full_xid));
	if (is_in_progress(xid))
		return RQ_XID_IN_PROGRESS;
	return TransactionIdDidCommit(xid) ? RQ_XID_COMMITTED : RQ_XID_ABORTED;
}
