/*
 * rq_rates.c
 *	  How fast queues grow and groups go on.
 *
 * Nothing is counted for it.  It is noted now and then how far each queue that
 * grows (topic/rq_growth.c) and each group has come, and a rate is what has been
 * added since, divided by the time.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "utils/timestamp.h"

#include "consume/rq_offset.h"
#include "consume/rq_rates.h"
#include "queue/rq_queue.h"
#include "topic/rq_group.h"
#include "topic/rq_growth.h"

/* How old a sample gets before the next is taken. */
#define SAMPLE_INTERVAL_MS	30000

/* How often the janitor looks for what is due. */
#define LOOK_INTERVAL_MS	1000

/* Slots checked under one hold of the meta lock. */
#define HOLD_MAX		1024

/* Over a shorter time a rate means nothing. */
#define SHORTEST_MS			1000

static bool
is_due(const RqSample *samples, TimestampTz now)
{
	return samples[0].at == 0 || samples[0].at > now ||
		TimestampDifferenceExceeds(samples[0].at, now, SAMPLE_INTERVAL_MS);
}

static void
take_sample(RqSample *samples, TimestampTz now, uint64 count, uint64 bytes)
{
	RqSample	new = {.at = now, .count = count, .bytes = bytes};

	samples[1] = samples[0];
	samples[0] = new;
}

static void
sample_offset(RqOffset *o, TimestampTz now)
{
	RqOff		committed = rq_offset_committed(o);
	LWLock	   *lock = rq_offset_lock(o);

	RQ_ASSERT_META_LOCK(LW_SHARED);
	LWLockAcquire(lock, LW_EXCLUSIVE);
	take_sample(o->samples, now, committed, 0);
	LWLockRelease(lock);
}

/* Only the janitor writes samples, so it reads them without the lock. */
static void
sample_offsets(uint32 from, TimestampTz now)
{
	uint32		to;

	LWLockAcquire(rq_meta_lock, LW_SHARED);
	to = Min(from + HOLD_MAX, rq_slots_begun(rq_offset_pool));
	for (uint32 i = from; i < to; i++)
		if (rq_offsets[i].group != RQ_NO_SLOT && is_due(rq_offsets[i].samples, now))
			sample_offset(&rq_offsets[i], now);
	LWLockRelease(rq_meta_lock);
}

void
rq_rates_sample(void)
{
	static TimestampTz next_look = 0;
	TimestampTz now = GetCurrentTimestamp();

	if (now < next_look)
		return;
	next_look = TimestampTzPlusMilliseconds(now, LOOK_INTERVAL_MS);

	rq_growth_sample(now);
	for (uint32 i = 0; i < rq_slots_begun(rq_offset_pool); i += HOLD_MAX)
		sample_offsets(i, now);
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

bool
rq_rates_of_offset(RqOffset *o, TimestampTz now, RqRate *rate)
{
	RqOff		committed = rq_offset_committed(o);
	LWLock	   *lock = rq_offset_lock(o);
	bool		known;

	RQ_ASSERT_META_LOCK(LW_SHARED);
	LWLockAcquire(lock, LW_SHARED);
	known = rate_since(o->samples[1].at != 0 ? &o->samples[1] : &o->samples[0],
					   now, committed, 0, rate);
	LWLockRelease(lock);
	return known;
}
