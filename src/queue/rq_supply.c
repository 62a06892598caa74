/*
 * rq_supply.c
 *	  Have extents free when queues need them.
 *
 * How many extents of each class have to be free, so that who enqueues finds
 * one, and how many are too many?  The allocator goes by three numbers: what
 * running transactions will need, as they say; twice what was taken within the
 * last second or so; and half a chunk of each class that is used at all.
 *
 * A transaction says so in its RqBackend, which nobody else writes to.  It need
 * not be right: who finds none waits for the allocator.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/timestamp.h"

#include "base/rq_compat.h"
#include "extent/rq_extsupply.h"
#include "format/rq_walrec.h"
#include "queue/rq_extent.h"
#include "queue/rq_supply.h"
#include "shmem/rq_shmem.h"
#include "shmem/rq_workers.h"
#include "topic/rq_tables.h"

/*
 * A transaction may yet be rolled back, so what it asks for of a class is
 * limited to so many chunks.
 */
#define WANTS_CHUNKS	64

/* A transaction with many entries for a queue asks for so many more at most. */
#define WANTS_AHEAD		8192

/*
 * What a round makes free, in bytes, but for a chunk that is swept; how many
 * chunks it looks at, and gives back; and how many that nobody needs it sweeps,
 * which it does once a second.
 */
#define ROUND_BYTES		(16 * RQ_CHUNK_SIZE)
#define ROUND_CHUNKS	4096
#define ROUND_RAZED		64
#define ROUND_SWEPT		4

/*
 * So many chunks of each class are kept though nothing is in them, beyond what is
 * needed, as long as nobody lacks room.
 */
#define KEPT_CHUNKS		2

static bool has_asked = false;	/* in this transaction */

/* ---- ask ---- */

static void
want(int class, int by)
{
	pg_atomic_uint32 *wants = &RQ_MY_BACKEND->wants[class];

	pg_atomic_write_u32(wants, pg_atomic_read_u32(wants) + by);
}

static bool
may_want(int class)
{
	return pg_atomic_read_u32(&RQ_MY_BACKEND->wants[class]) <
		WANTS_CHUNKS * rq_ext_places[class];
}

/*
 * Is so little free that the allocator should come at once?  Read without the
 * lock: who finds too little at the end waits for it.
 */
static bool
is_scarce(int class)
{
	return *(volatile uint64 *) &rq_extents->nfree[class] < rq_ext_places[class] / 4 +
		2 * (uint64) pg_atomic_read_u32(&RQ_MY_BACKEND->wants[class]);
}

/*
 * With the first entry only what that needs is asked for, since most
 * transactions have few for a queue.
 */
uint64
rq_supply_pending(RqQueue *q, uint64 pending, uint64 supplied)
{
	RqOff		end = pg_atomic_read_u64(&q->end);
	uint64		room = Max(supplied, rq_extent_room(q));
	uint64		need = supplied == 0 ? pending : pending + Min(pending, WANTS_AHEAD);
	bool		scarce = false;

	while (room < need)
	{
		int			class = rq_extent_next_class(q, end + room,
												 Min(need - room, RQ_ENQUEUE_MAX));

		if (may_want(class))
		{
			want(class, 1);
			has_asked = true;
			scarce |= is_scarce(class);
		}
		room += rq_ext_entries[class];
	}
	if (scarce)
		rq_worker_wake(RQ_ALLOCATOR);
	return room;
}

void
rq_supply_forget(void)
{
	if (!has_asked)
		return;
	for (int class = 0; class < RQ_EXT_CLASSES; class++)
		pg_atomic_write_u32(&RQ_MY_BACKEND->wants[class], 0);
	has_asked = false;
}

/* ---- wait ---- */

static bool
is_class_free(uint64 class)
{
	return *(volatile uint64 *) &rq_extents->nfree[class] > 0;
}

/*
 * What is asked for here is taken back when there is some, and else with the
 * transaction.
 */
void
rq_supply_wait(int class)
{
	static const RqSpaceKind extents = {
		.failed = gettext_noop("could not allocate space for queues"),
		.report = rq_extent_report_lacking
	};

	want(class, 1);
	has_asked = true;
	rq_space_wait(&rq_extents->space, &extents, is_class_free, class);
	want(class, -1);
}

/* ---- supply ---- */

/* How many extents of each class were taken lately. */
static const uint64 *
taken_lately(void)
{
	static TimestampTz since = 0;
	static uint64 before[RQ_EXT_CLASSES];
	static uint64 lately[RQ_EXT_CLASSES];
	TimestampTz now = GetCurrentTimestamp();

	if (now - since < USECS_PER_SEC)
		return lately;
	since = now;
	for (int class = 0; class < RQ_EXT_CLASSES; class++)
	{
		uint64		taken = *(volatile uint64 *) &rq_extents->ntaken[class];

		lately[class] = taken - before[class];
		before[class] = taken;
	}
	return lately;
}

static uint64
wanted(int class)
{
	uint64		sum = 0;

	for (int i = 0; i < rq_max_backends(); i++)
		sum += pg_atomic_read_u32(&rq_backends[i].wants[class]);
	return sum;
}

/* The smallest class is what each queue begins with. */
static bool
is_used(int class)
{
	return class == 0 || rq_extents->nowned[class] + rq_extents->nfree[class] > 0;
}

/*
 * Chunks that were found at the start with extents of nobody's: their space is
 * no use to extents of other sizes before they have been swept.
 */
static void
sweep_slowly(void)
{
	static TimestampTz last = 0;
	TimestampTz now = GetCurrentTimestamp();

	if (now - last < USECS_PER_SEC)
		return;
	last = now;
	rq_extent_sweep(ROUND_SWEPT);
}

bool
rq_supply_round(bool others_lack_room, int *err)
{
	const uint64 *lately = taken_lately();
	uint64		need[RQ_EXT_CLASSES];
	uint32		keep[RQ_EXT_CLASSES];
	bool		done;

	for (int class = 0; class < RQ_EXT_CLASSES; class++)
	{
		need[class] = wanted(class);
		if (is_used(class))
			need[class] += Max(rq_ext_places[class] / 2, 2 * lately[class]);
	}
	done = rq_extent_supply(need, ROUND_BYTES, rq_extent_is_needed, err);
	for (int class = 0; class < RQ_EXT_CLASSES; class++)
		keep[class] = (need[class] + rq_ext_places[class] - 1) / rq_ext_places[class] +
			(others_lack_room || *err != 0 ? 0 : KEPT_CHUNKS);

	if (done && *err == 0)
		sweep_slowly();

	/* What has been razed is room for those who lack some. */
	return rq_extent_raze(keep, ROUND_CHUNKS, ROUND_RAZED) == 0 && done;
}
