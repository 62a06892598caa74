/*
 * rq_look.c
 *	  What the views of topics, queues and groups have in common.
 */
#include "postgres.h"

#include "api/rq_look.h"
#include "base/rq_fault.h"
#include "consume/rq_saved.h"
#include "queue/rq_entry.h"
#include "queue/rq_queue.h"
#include "shmem/rq_shmem.h"
#include "topic/rq_group.h"

void
rq_row_rate(RqRow *row, const RqRate *rate, double per_second)
{
	rq_row_if(row, rate->since != 0, Float8GetDatum(per_second));
}

TimestampTz
rq_earlier(TimestampTz a, TimestampTz b)
{
	return a == 0 || (b != 0 && b < a) ? b : a;
}

double
rq_seconds_since(TimestampTz at, TimestampTz now)
{
	return at == 0 || at > now ? 0.0 : (double) (now - at) / USECS_PER_SEC;
}

/* How many entries a view examines to find one that is not aborted. */
#define MAX_LOOKS	100

/* How many entries one row examines to locate restored groups. */
#define PLACES_BUDGET_ROW	100000

/*
 * Enqueue time of the first entry that is not aborted, starting at "off" in steps
 * of "step"; 0 if there is none before "stop".  If MAX_LOOKS entries in a row are
 * aborted, the time of the last of them has to do.
 */
static TimestampTz
time_at(RqQueue *q, RqOff off, RqOff stop, int step)
{
	TimestampTz last = 0;
	int			looks;
	RqEntry		e;

	for (looks = 0; off != stop && looks < MAX_LOOKS; off += step, looks++)
		if (rq_queue_probe(q, off, &e))
		{
			last = e.enqueued_at;
			if ((e.len_flags & RQ_ENTRY_ABORTED) == 0)
				return last;
		}
	return looks == MAX_LOOKS ? last : 0;
}

TimestampTz
rq_look_oldest(RqQueue *q, RqOff from, RqOff stable)
{
	return from < stable ? time_at(q, from, stable, 1) : 0;
}

TimestampTz
rq_look_newest(RqQueue *q, RqOff from, RqOff stable)
{
	return from < stable ? time_at(q, stable - 1, from - 1, -1) : 0;
}

void
rq_look_end(void)
{
	LWLockRelease(rq_meta_lock);
	RQ_FAULT("view-looked");
}

bool
rq_look_shows_group(uint32 group)
{
	RqGroup    *g = &rq_groups[group];
	uint64		xid;

	Assert(LWLockHeldByMe(rq_meta_lock));
	if (g->id == 0)
		return false;
	switch (rq_group_state_locked(group, &xid))
	{
		case RQ_GROUP_ABSENT:
			return false;
		case RQ_GROUP_PRESENT:
			return true;
		case RQ_GROUP_IN_DOUBT:
			break;
	}
	/* A drop is not visible to others before it is committed. */
	return g->claim_xid != 0 || g->pend_op != RQ_PEND_CREATE;
}

uint64
rq_look_lag(RqQueue *q, RqOffset *o, uint64 *budget, RqOff *from, RqOff *stable)
{
	uint64		here = Min(*budget, PLACES_BUDGET_ROW);
	uint64		left = here;

	Assert(LWLockHeldByMe(rq_meta_lock));
	*from = Max(rq_saved_offset(q, o, &left), pg_atomic_read_u64(&q->start));
	*budget -= here - left;
	*stable = pg_atomic_read_u64(&q->stable);
	return *stable > *from ? *stable - *from : 0;
}
