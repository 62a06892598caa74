/*
 * rq_xid.c
 *	  What became of a transaction that an entry or an offset names.
 *
 * The order of the two questions matters: a transaction leaves the list of
 * running ones after its outcome is in pg_xact.
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "storage/procarray.h"
#include "utils/snapmgr.h"

#include "base/rq_error.h"
#include "topic/rq_xid.h"

/*
 * TransactionIdIsInProgress() takes anything before RecentXmin for ended.  In
 * our workers, which are in no database, no snapshot moves that on: sooner or
 * later ids would count as before it that have come since.  So there it is
 * the id in question itself, every time, which excludes nothing.
 */
static bool
is_in_progress(TransactionId xid)
{
	if (!OidIsValid(MyDatabaseId))
		RecentXmin = xid;
	return TransactionIdIsInProgress(xid);
}

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

RqXidStatus
rq_xid_status(uint64 full_xid)
{
	FullTransactionId fxid = FullTransactionIdFromU64(full_xid);
	FullTransactionId next = ReadNextFullTransactionId();
	TransactionId xid = XidFromFullTransactionId(fxid);

	if (!FullTransactionIdPrecedes(fxid, next) ||
		U64FromFullTransactionId(next) - full_xid > PG_INT32_MAX)
		rq_report_corruption("a transaction id in the rocketq store",
							 psprintf(UINT64_FORMAT " cannot be a transaction that is still in doubt",
									  full_xid));
	if (is_in_progress(xid))
		return RQ_XID_IN_PROGRESS;
	return TransactionIdDidCommit(xid) ? RQ_XID_COMMITTED : RQ_XID_ABORTED;
}
