/*
 * rq_settle.c
 *	  Settle what ended transactions have left in slots, some in each round.
 *
 * Whether a transaction still runs is asked before any lock is taken: there can
 * be as many such slots as there are slots, and nobody is to wait for a search
 * among them.  They count for the round as well, since asking costs something,
 * too.  Rounds follow each other until the pass has come to all slots; not
 * longer, or with steady traffic passes would never end.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "base/rq_fault.h"
#include "topic/rq_settle.h"
#include "topic/rq_xid.h"

/*
 * Has one of these transactions ended?  Without a lock, an id can be read just
 * when it is cleared, and then the slot is looked at under the lock.  Most slots
 * that have to wait do so for the same transaction: "running" is the last one
 * that was found to run.
 */
static bool
one_has_ended(const uint64 *xids, int n, bool skip_damaged, uint64 *running)
{
	bool		ended = false;

	for (int i = 0; i < n; i++)
	{
		if (xids[i] == *running && xids[i] != 0)
			continue;
		if (xids[i] == 0 || !rq_xid_is_possible(xids[i]))
		{
			if (skip_damaged)
				return false;
			ended = true;
		}
		else if (rq_xid_is_running(xids[i]))
			*running = xids[i];
		else
			ended = true;
	}
	return ended;
}

/*
 * The next slot is chosen before anything can throw, so that one whose
 * transaction cannot be looked up does not keep others from their turn.
 */
bool
rq_settle_some(RqPass *pass, uint32 nslots, int round,
			   RqSettleInDoubt in_doubt, void (*settle) (uint32 slot))
{
	uint64		running = 0;

	while (pass->looked < nslots && round > 0)
	{
		uint32		slot = pass->next;
		uint64		xids[RQ_SETTLE_XIDS];
		int			n;

		CHECK_FOR_INTERRUPTS();
		pass->next = (slot + 1) % nslots;
		pass->looked++;
		n = in_doubt(slot, xids);
		if (n == 0)
			continue;
		round--;
		if (!one_has_ended(xids, n, pass->skip_damaged, &running))
			continue;
		RQ_FAULT("settle-turn");
		settle(slot);
	}
	if (pass->looked < nslots)
		return true;
	pass->looked = 0;
	return false;
}
