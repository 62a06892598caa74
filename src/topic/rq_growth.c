/*
 * rq_growth.c
 *	  How far queues had come a while ago, for the rates at which they grow.
 *
 * Of all queues few grow at any time, and only these need samples.  So samples
 * stand in a table of their own, which has a place for every fourth queue.  A
 * queue gets a place with the first entries after a while without any, and its
 * first sample then says how far it had come before them.  The janitor takes
 * the next ones, and the place when no entry has come since the last sample.
 * Two samples are kept, so that the older one is between one and two intervals
 * old.
 *
 * Who has no place has not grown for an interval, and its rate is zero; unless it
 * has been refused one, because there is none, or its topic has its share.  A
 * refusal is known by its time: a queue whose last entry is older was not refused
 * any, but has grown before the server started, or on a standby.
 *
 * A place belongs to the queue as long as the queue says so, under the queue's
 * lock; the list of free places has a spinlock.
 */
#include "postgres.h"

#include "storage/shmem.h"
#include "storage/spin.h"
#include "utils/timestamp.h"

#include "base/rq_guc.h"
#include "shmem/rq_shmem.h"
#include "topic/rq_growth.h"

/* How old a sample gets before the next is taken. */
#define INTERVAL_MS		30000

/* Places looked at under one hold of the meta lock. */
#define HOLD_MAX		1024

/* For how long one refusal counts. */
#define REFUSAL_MS		1000

/* There are so many places at least. */
#define PLACES_MIN		4096

/* And for so many queues one. */
#define QUEUES_PER_PLACE	4

typedef struct Place
{
	uint32		queue;			/* slot of its queue; in a free place, the
								 * next free one */
	bool		is_taken;
	RqSample	samples[2];		/* of the end, newer first; the queue's lock */
} Place;

typedef struct Growth
{
	slock_t		mutex;			/* of the free places */
	uint32		first_free;
	uint32		begun;			/* places from here on were never taken */
	pg_atomic_uint64 refused_until; /* the time up to which queues may have
									 * got no place */
} Growth;

static Growth *growth = NULL;
static Place *places = NULL;

static uint32
nplaces(void)
{
	return Min(rq_max_queues, Max(PLACES_MIN, rq_max_queues / QUEUES_PER_PLACE));
}

static Size
growth_size(void)
{
	return rq_table_size(nplaces(), sizeof(Place));
}

/* Places are set up when they are first taken. */
static void
growth_init(void)
{
	bool		found;

	places = ShmemInitStruct("rocketq growth of queues",
							 mul_size(nplaces(), sizeof(Place)), &found);
}

static void
growth_fill(void)
{
	SpinLockInit(&growth->mutex);
	growth->first_free = RQ_NO_SLOT;
	pg_atomic_init_u64(&growth->refused_until, 0);
}

const RqPart rq_growth_part = {
	.name = "growth",
	.item_size = sizeof(Growth),
	.table = (void **) &growth,
	.fill = growth_fill,
	.shmem_size = growth_size,
	.shmem_init = growth_init
};

/* ---- places ---- */

/* How many a topic can have, or a few more: all, if there is one for each queue. */
static uint32
share(void)
{
	return nplaces() == rq_max_queues ? nplaces() : nplaces() / 2;
}

/*
 * RQ_NO_SLOT if there is none.  That is seen without the spinlock, so that queues
 * which get none do not wait for each other time and again.
 */
static uint32
take_growth_place(RqTopic *t)
{
	uint32		at;

	if (pg_atomic_read_u32(&t->ngrowing) >= share() ||
		(growth->first_free == RQ_NO_SLOT && growth->begun >= nplaces()))
		return RQ_NO_SLOT;
	SpinLockAcquire(&growth->mutex);
	at = growth->first_free;
	if (at != RQ_NO_SLOT)
		growth->first_free = places[at].queue;
	else if (growth->begun < nplaces())
		at = growth->begun++;
	SpinLockRelease(&growth->mutex);
	if (at != RQ_NO_SLOT)
		pg_atomic_fetch_add_u32(&t->ngrowing, 1);
	return at;
}

/* Written once in REFUSAL_MS at most, however many queues get no place. */
static void
note_refusal(TimestampTz now)
{
	if ((TimestampTz) pg_atomic_read_u64(&growth->refused_until) < now)
		pg_atomic_write_u64(&growth->refused_until,
							TimestampTzPlusMilliseconds(now, REFUSAL_MS));
}

/*
 * The queue has not grown for an interval, so it had come as far at the beginning
 * of that.  If the last entry is younger, there was no place for that one, or
 * the server has been restarted since.
 */
void
rq_growth_begin(RqQueue *q, TimestampTz now)
{
	uint32		at = take_growth_place(rq_queue_topic(q));

	Assert(LWLockHeldByMeInMode(&q->lock, LW_EXCLUSIVE));
	if (at == RQ_NO_SLOT)
	{
		note_refusal(now);
		return;
	}
	places[at] = (Place)
	{
		.queue = (uint32) (q - rq_queues),
			.samples =
		{
			{
				.at = Max(q->last_time, TimestampTzPlusMilliseconds(now, -INTERVAL_MS)),
					.count = pg_atomic_read_u64(&q->end),
					.bytes = q->bytes_end
			}
		}
	};
	q->growth = at;

	/* The rest before "is_taken"; pairs with queue_at(). */
	pg_write_barrier();
	places[at].is_taken = true;
}

void
rq_growth_forget(RqQueue *q)
{
	uint32		at = q->growth;

	Assert(LWLockHeldByMeInMode(&q->lock, LW_EXCLUSIVE));
	if (at == RQ_NO_SLOT)
		return;
	q->growth = RQ_NO_SLOT;
	pg_atomic_fetch_sub_u32(&rq_queue_topic(q)->ngrowing, 1);
	SpinLockAcquire(&growth->mutex);
	places[at].is_taken = false;
	places[at].queue = growth->first_free;
	growth->first_free = at;
	SpinLockRelease(&growth->mutex);
}

/* ---- samples ---- */

static bool
growth_is_due(const RqSample *last, TimestampTz now)
{
	return last->at > now ||
		TimestampDifferenceExceeds(last->at, now, INTERVAL_MS);
}

/*
 * The queue that has the place, NULL if none has.  Without its lock that is but a
 * hint.
 */
static RqQueue *
queue_at(uint32 at)
{
	uint32		slot;

	if (!places[at].is_taken)
		return NULL;
	pg_read_barrier();
	slot = places[at].queue;
	return slot < rq_slots_begun(rq_queue_pool) ? &rq_queues[slot] : NULL;
}

/* The meta lock is held, so do not wait for a queue: the next round takes it. */
static void
sample(uint32 at, RqQueue *q, TimestampTz now)
{
	RqSample   *samples = places[at].samples;
	uint64		end;

	RQ_ASSERT_META_LOCK(LW_SHARED);
	if (!LWLockConditionalAcquire(&q->lock, LW_EXCLUSIVE))
		return;
	end = pg_atomic_read_u64(&q->end);
	if (q->growth == at && growth_is_due(&samples[0], now))
	{
		if (end == samples[0].count)
			rq_growth_forget(q);
		else
		{
			samples[1] = samples[0];
			samples[0] = (RqSample)
			{
				.at = now, .count = end, .bytes = q->bytes_end
			};
		}
	}
	LWLockRelease(&q->lock);
}

void
rq_growth_sample(TimestampTz now)
{
	for (uint32 at = 0; at < growth->begun;)
	{
		uint32		to = Min(at + HOLD_MAX, growth->begun);

		LWLockAcquire(rq_meta_lock, LW_SHARED);
		for (; at < to; at++)
		{
			RqQueue    *q = queue_at(at);

			if (q != NULL && growth_is_due(&places[at].samples[0], now))
				sample(at, q, now);
		}
		LWLockRelease(rq_meta_lock);
	}
}

bool
rq_growth_since(RqQueue *q, TimestampTz now, RqSample *from)
{
	TimestampTz before = TimestampTzPlusMilliseconds(now, -INTERVAL_MS);

	Assert(LWLockHeldByMe(&q->lock));
	if (q->growth != RQ_NO_SLOT)
	{
		const RqSample *samples = places[q->growth].samples;

		*from = samples[1].at != 0 ? samples[1] : samples[0];
		return true;
	}
	if (q->last_time > before &&
		q->last_time <= (TimestampTz) pg_atomic_read_u64(&growth->refused_until))
		return false;
	from->at = Max(q->last_time, before);
	from->count = pg_atomic_read_u64(&q->end);
	from->bytes = q->bytes_end;
	return true;
}
