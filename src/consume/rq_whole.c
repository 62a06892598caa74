/*
 * rq_whole.c
 *	  Waiting for all queues of a group.
 *
 * While somebody waits for the lock on a group in exclusive mode, the lock
 * manager lets nobody else have a share of it (rq_owner.c).  How do others know,
 * who would say that there are messages for the group, or go on trying?  The
 * group counts who waits for all of it.
 */
#include "postgres.h"

#include "consume/rq_offer.h"
#include "consume/rq_whole.h"
#include "topic/rq_tables.h"

typedef struct Whole
{
	uint32		topic;
	RqGroupRef	group;			/* id 0 = none */
} Whole;

/* What we wait for, and what we have waited for in vain. */
static Whole wanted;
static Whole in_vain;

/* One more who waits, or one less. */
static void
count_waiter(RqGroupRef group, int by)
{
	RqGroup    *g = &rq_groups[group.slot];
	uint64		word = pg_atomic_read_u64(&g->wanted);

	/* The slot can be another group's by now. */
	while (word >> 32 == group.id &&
		   !pg_atomic_compare_exchange_u64(&g->wanted, &word, word + by))
		;
}

void
rq_whole_want(uint32 topic, RqGroupRef group)
{
	wanted = (Whole)
	{
		.topic = topic, .group = group
	};
	count_waiter(group, 1);
}

void
rq_whole_unwant(void)
{
	count_waiter(wanted.group, -1);
	wanted.group.id = 0;
}

bool
rq_whole_is_wanted(RqGroupRef group)
{
	uint64		word = pg_atomic_read_u64(&rq_groups[group.slot].wanted);

	return word >> 32 == group.id && (uint32) word != 0;
}

void
rq_whole_stop(void)
{
	if (wanted.group.id == 0)
		return;
	in_vain = wanted;
	rq_whole_unwant();
}

void
rq_whole_offer(void)
{
	if (in_vain.group.id != 0)
		rq_offer_all(in_vain.topic, in_vain.group);
	in_vain.group.id = 0;
}
