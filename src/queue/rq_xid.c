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
#include "storage/procarray.h"
#include "utils/snapmgr.h"

#include "base/rq_error.h"
#include "queue/rq_xid.h"

/*
 * TransactionIdIsInProgress() takes anything before RecentXmin for ended, and
 * only snapshots move that on.  The oldest id that can be compared at all
 * excludes nothing.
 */
void
rq_xid_forget_xmin(void)
{
	TransactionId xid = XidFromFullTransactionId(ReadNextFullTransactionId()) -
	(TransactionId) PG_INT32_MAX;

	RecentXmin = TransactionIdIsNormal(xid) ? xid : FirstNormalTransactionId;
}

uint64
rq_xid_announce(void)
{
	(void) GetCurrentTransactionId();
	return U64FromFullTransactionId(GetTopFullTransactionId());
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
	if (TransactionIdIsInProgress(xid))
		return RQ_XID_IN_PROGRESS;
	return TransactionIdDidCommit(xid) ? RQ_XID_COMMITTED : RQ_XID_ABORTED;
}
