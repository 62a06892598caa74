/*
 * rq_rates.c
 *	  How fast queues grow and groups go on.
 *
 * Nothing is counted for it.  It is noted now and then how far each queue that
 * grows (topic/rq_growth.c) and each group that moves (consume/rq_moves.c) has
 * come, and a rate is what has been added since, divided by the time.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "utils/timestamp.h"

#include "consume/rq_moves.h"
#include "consume/rq_offset.h"
#include "consume/rq_rates.h"
#include "queue/rq_queue.h"
#include "topic/rq_group.h"
#include "topic/rq_growth.h"

/* How old a sample gets before the next is taken. */
#define SAMPLE_INTERVAL_MS	30000

StaticAssertDecl(RQ_USE_RATES >= 2 * SAMPLE_INTERVAL_MS * INT64CONST(1000),
				 "the rates of offsets that move are kept");

/* How often the janitor looks for what is due. */
#define LOOK_INTERVAL_MS	1000

/* Slots checked under one hold of the meta lock. */
#define HOLD_MAX		1024

/* Over a shorter time a rate means nothing. */
#define SHORTEST_MS			1000

static bool
is_due(TimestampTz last, TimestampTz now)
{
	return last > now ||
		TimestampDifferenceExceeds(last, now, SAMPLE_INTERVAL_MS);
}

static void
sample_offset(RqOffsetUse *use, uint32 slot, TimestampTz now)
{
	RqOffset   *o = &rq_offsets[slot];
	RqOff		committed;

	RQ_ASSERT_META_LOCK(LW_SHARED);
	if (o->group == RQ_NO_SLOT)
		return;
	committed = rq_offset_committed(o);
	LWLockAcquire(rq_offset_lock(o), LW_EXCLUSIVE);
	/* The place may be another's by now. */
	if (rq_offset_use(o) == use)
	{
		use->samples[1] = use->samples[0];
		use->samples[0] = (RqOffsetSample)
		{
			.at = now, .committed = committed
		};
	}
	LWLockRelease(rq_offset_lock(o));
}

static void
sample_offsets(uint32 from, uint32 to, TimestampTz now)
{
	LWLockAcquire(rq_meta_lock, LW_SHARED);
	for (uint32 i = from; i < to; i++)
	{
		RqOffsetUse *use = &rq_offset_uses[i];
		uint32		slot = pg_atomic_read_u32(&use->offset);

		if (slot != RQ_NO_SLOT && is_due(use->samples[0].at, now))
			sample_offset(use, slot, now);
	}
	LWLockRelease(rq_meta_lock);
}

void
rq_rates_sample(void)
{
	static TimestampTz next_look = 0;
	TimestampTz now = GetCurrentTimestamp();
	uint32		n = rq_offset_uses_begun();

	if (now < next_look)
		return;
	next_look = TimestampTzPlusMilliseconds(now, LOOK_INTERVAL_MS);

	rq_growth_sample(now);
	for (uint32 i = 0; i < n; i += HOLD_MAX)
		sample_offsets(i, Min(i + HOLD_MAX, n), now);
}

/* The rate since then; a group can have been moved back. */
static bool
rate_since(const RqSample *from, TimestampTz now, uint64 count,
		   uint64 bytes, RqRate *rate)
{
	double		seconds = (double) (now - from->at) / USECS_PER_SEC;

	if (from->at == 0 || seconds * 1000 < SHORTEST_MS)
		return false;
	rate->since = from->at;
	rate->count = count > from->count ? (count - from->count) / seconds : 0;
	rate->bytes = bytes > from->bytes ? (bytes - from->bytes) / seconds : 0;
	return true;
}

/*
 * Does not wait for long for the queue's lock: views must not hang because a
 * process that has it does.
 */
bool
rq_rates_of_queue(RqQueue *q, TimestampTz now, RqRate *rate)
{
	RqSample	from;
	bool		known;

	RQ_ASSERT_META_LOCK(LW_SHARED);
	if (RecoveryInProgress() || !rq_queue_try_lock(q, LW_SHARED))
		return false;
	rate->is_missing = !rq_growth_since(q, now, &from);
	known = !rate->is_missing &&
		rate_since(&from, now, pg_atomic_read_u64(&q->end), q->bytes_end, rate);
	LWLockRelease(&q->lock);
	return known;
}

/*
 * Since when an offset that has no samples is where it is.  If it has moved
 * lately others had more need of the room, and its rate is not known.
 */
static TimestampTz
at_rest_since(const RqOffset *o, TimestampTz now)
{
	if (o->changed_at != 0)
		return now - o->changed_at > RQ_USE_RATES ? o->changed_at : 0;
	return Max(rq_groups[o->group].created_at, rq_tables->started_at);
}

bool
rq_rates_of_offset(RqOffset *o, TimestampTz now, RqRate *rate)
{
	RqSample	from = {.count = rq_offset_committed(o)};
	RqOff		committed = from.count;
	const RqOffsetUse *use;

	RQ_ASSERT_META_LOCK(LW_SHARED);
	if (RecoveryInProgress())
		return false;
	LWLockAcquire(rq_offset_lock(o), LW_SHARED);
	use = rq_offset_use(o);
	if (use != NULL)
	{
		const RqOffsetSample *older = &use->samples[use->samples[1].at != 0 ? 1 : 0];

		from.at = older->at;
		from.count = older->committed;
	}
	else
		from.at = at_rest_since(o, now);
	LWLockRelease(rq_offset_lock(o));
	return rate_since(&from, now, committed, 0, rate);
}
