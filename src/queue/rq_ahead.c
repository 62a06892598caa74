/*
 * rq_ahead.c
 *	  Segments of queues, made before they are needed.
 *
 * Who makes the next segment of a queue, and when?  A backend that comes to
 * the end of the last one has to, in the middle of a commit that others may
 * wait for.  So that this is seldom, the allocator makes it as soon as the
 * last one is half full, or a transaction has gathered entries that will fill
 * it.
 *
 * A backend asks by raising the queue's "wanted" and setting the queue's bit
 * in wanted_bits.  The allocator clears bits and makes files.  It holds no
 * lock while it does (but for the topic's directory), so that no backend has
 * to wait for it, and so the queue can be filled, trimmed or removed
 * concurrently.  All that comes of this is a file of zeros beyond the queue's
 * end, which is used when the end gets there, or below its start, which
 * nobody reads; the keeper removes both when the server starts.
 *
 * Nothing rests on a segment having been made ahead.  If it cannot be made,
 * for lack of room or otherwise, that is not reported here: the backend that
 * needs the segment tries again and gets the error.
 */
#include "postgres.h"

#include <unistd.h>

#include "port/pg_bitutils.h"

#include "base/rq_guc.h"
#include "format/rq_queuefmt.h"
#include "format/rq_segfmt.h"
#include "queue/rq_ahead.h"
#include "shmem/rq_workers.h"
#include "store/rq_durable.h"
#include "topic/rq_topic.h"

/*
 * A transaction may yet be rolled back, so no more than this many entries of
 * it are provided for.
 */
#define PENDING_MAX		(16 * RQ_QUEUE_PER_LARGE)

/* A bit for each slot of a queue that wants a segment. */
static pg_atomic_uint64 *wanted_bits = NULL;

static int
wanting_words(void)
{
	return (rq_max_queues + 63) / 64;
}

static void
ahead_fill(void)
{
	for (int i = 0; i < wanting_words(); i++)
		pg_atomic_init_u64(&wanted_bits[i], 0);
}

const RqPart rq_ahead_part = {
	.name = "wanted segments",
	.item_size = sizeof(pg_atomic_uint64),
	.items = wanting_words,
	.table = (void **) &wanted_bits,
	.fill = ahead_fill
};

/*
 * Ask for the segments that hold offsets below "upto".  Takes no lock; the
 * loop goes on when another backend has raised "wanted" concurrently, and
 * ends when that covers us: the other one then sets the bit.
 *
 * "wanted" is raised before the bit is set: pairs with rq_ahead_make().
 */
static void
want(RqQueue *q, RqOff upto)
{
	uint32		slot = (uint32) (q - rq_queues);
	RqOff		had = pg_atomic_read_u64(&q->wanted);

	upto = rq_queue_segment_start(rq_queue_segno(upto - 1) + 1);
	do
	{
		if (had >= upto)
			return;
	} while (!pg_atomic_compare_exchange_u64(&q->wanted, &had, upto));
	pg_atomic_fetch_or_u64(&wanted_bits[slot / 64], UINT64CONST(1) << slot % 64);
	rq_worker_wake(RQ_ALLOCATOR);
}

/*
 * Runs of a queue do not overlap, so at most one of them crosses the middle of
 * a segment and asks; for the others this costs a comparison.
 */
void
rq_ahead_written(RqQueue *q, RqOff from, RqOff to)
{
	uint64		last = rq_queue_segno(to - 1);
	RqOff		next = rq_queue_segment_start(last + 1);
	RqOff		half = (rq_queue_segment_start(last) + next) / 2;

	if (from <= half && half < to)
		want(q, next + 1);
}

void
rq_ahead_pending(RqQueue *q, uint64 pending)
{
	want(q, pg_atomic_read_u64(&q->end) +
		 Min(pending + RQ_AHEAD_STEP, PENDING_MAX));
}

/*
 * The first segment without entries, and the queue's name.  Under the meta
 * lock, so that the key and the number are those of one queue.  False if the
 * slot has become free.
 */
static bool
first_unused(RqQueue *q, RqKey *key, uint32 *queue_id, uint64 *segno)
{
	bool		found;

	LWLockAcquire(rq_meta_lock, LW_SHARED);
	found = q->topic != RQ_NO_SLOT;
	if (found)
	{
		RqOff		end = pg_atomic_read_u64(&q->end);

		*key = rq_queue_key(q);
		*queue_id = q->id;
		*segno = rq_queue_segno(end) + (rq_queue_in_segment(end) > 0 ? 1 : 0);
	}
	LWLockRelease(rq_meta_lock);
	return found;
}

/*
 * The topic's directory is created under the lock, so that it cannot be
 * created after a concurrent DROP has removed it.
 */
static bool
make_topic_dir(RqQueue *q, RqKey key)
{
	char		path[MAXPGPATH];
	int			err = ENOENT;

	LWLockAcquire(rq_meta_lock, LW_SHARED);
	if (q->topic != RQ_NO_SLOT && RQ_KEY_EQ(rq_queue_key(q), key))
	{
		rq_topic_dir_path(path, key);
		err = rq_try_make_dir(path);
	}
	LWLockRelease(rq_meta_lock);
	return err == 0 || err == EEXIST;
}

/* Make a segment; the lock is taken only when the directory is missing. */
static bool
make_segment_ahead(RqQueue *q, RqKey key, const char *path, uint64 segno)
{
	uint64		size = rq_queue_segment_size(segno);
	int			err = rq_create_segment(path, size, NULL, 0, false);

	if (err == ENOENT && make_topic_dir(q, key))
		err = rq_create_segment(path, size, NULL, 0, false);
	return err == 0;
}

/*
 * False if there is more to make, but "most" files have been made.  An error
 * ends it like success: the request is not repeated.
 */
static bool
make_for_queue(RqQueue *q, int most, int *made)
{
	RqOff		wanted = pg_atomic_read_u64(&q->wanted);
	RqKey		key;
	uint32		queue_id;
	uint64		segno;

	if (!first_unused(q, &key, &queue_id, &segno))
		return true;
	for (; rq_queue_segment_start(segno) < wanted; segno++)
	{
		char		path[MAXPGPATH];

		rq_queue_path(path, key, queue_id, segno);
		if (access(path, F_OK) == 0)
			continue;
		if (*made == most)
			return false;
		if (!make_segment_ahead(q, key, path, segno))
			return true;
		(*made)++;
	}
	return true;
}

bool
rq_ahead_make(int most)
{
	static int	word = 0;		/* where to go on the next time */
	int			made = 0;

	for (int n = 0; n < wanting_words(); n++)
	{
		pg_atomic_uint64 *wanting = &wanted_bits[word];
		uint64		bits;

		while ((bits = pg_atomic_read_u64(wanting)) != 0)
		{
			int			bit = pg_rightmost_one_pos64(bits);
			uint64		mask = UINT64CONST(1) << bit;

			/*
			 * The bit is cleared, with a full barrier, before
			 * make_for_queue() reads "wanted".  want() has a full barrier
			 * between raising that and setting the bit.  So a concurrent
			 * request is either seen now, or leaves the bit set.
			 */
			pg_atomic_fetch_and_u64(wanting, ~mask);
			if (!make_for_queue(&rq_queues[word * 64 + bit], most, &made))
			{
				pg_atomic_fetch_or_u64(wanting, mask);
				return false;
			}
		}
		word = (word + 1) % wanting_words();
	}
	return true;
}
