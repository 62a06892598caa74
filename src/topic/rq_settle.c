/*
 * rq_settle.c
 *	  Settle what ended transactions have left in slots, some in each round.
 *
 * Slots whose transaction has not ended count for the round as well, since each
 * of them costs a hold of the meta lock.  So that they do not keep others
 * waiting, rounds follow each other until the pass has come to all slots; not
 * longer, or with steady traffic passes would never end.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "topic/rq_settle.h"

/*
 * The next slot is chosen before anything can throw, so that one whose
 * transaction cannot be looked up does not keep others from their turn.
 */
bool
rq_settle_some(RqPass *pass, uint32 nslots, int round,
			   bool (*in_doubt) (uint32 slot), void (*settle) (uint32 slot))
{
	while (pass->looked < nslots && round > 0)
	{
		uint32		slot = pass->next;

		pass->next = (slot + 1) % nslots;
		pass->looked++;
		if (!in_doubt(slot))
			continue;
		CHECK_FOR_INTERRUPTS();
		settle(slot);
		round--;
	}
	if (pass->looked < nslots)
		return true;
	pass->looked = 0;
	return false;
}
