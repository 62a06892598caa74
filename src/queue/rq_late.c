/*
 * rq_late.c
 *	  Queues that got their first entries, or entries with old frames.
 *
 * Positions do not rise with offsets: a long transaction enqueues old frames
 * late.  Given that the janitor has found that a queue has nothing in the older
 * part of the log, or nothing at all (retain/rq_floor.c), how does it know that
 * this is still so, without looking at the queue?
 *
 * Most frames lie in the segment that the log ends in when they are enqueued,
 * and most queues are not empty.  When a queue gets an older one, or its first,
 * a bit is set.
 *
 *		who enqueues						the janitor
 *		------------						-----------
 *		writes entries, raises "end"		reads the log's end, raises "start"
 *		full barrier						full barrier
 *		reads the log's end, and "start"	takes the bit
 *		sets the bit if need be				full barrier
 *		forgets xact_pos					reads "end", then entries
 *
 * Either the janitor sees the entries, or whoever enqueues them sees a log's end
 * and a start no lower than the janitor has seen, and sets the bit for the next
 * time.  In between it has xact_pos, for which the frames are spared: the
 * janitor asks for that before it takes bits.
 *
 * A server begins without bits, since its janitor begins without having found
 * anything.
 */
#include "postgres.h"

#include "base/rq_guc.h"
#include "log/rq_log.h"
#include "queue/rq_late.h"

static pg_atomic_uint64 *late = NULL;

static int
late_words(void)
{
	return (rq_max_queues + RQ_LATE_WORD - 1) / RQ_LATE_WORD;
}

/* Zeros are an atomic integer of zero, so nothing is left to initialize. */
const RqPart rq_late_part = {
	.name = "late queues",
	.item_size = sizeof(pg_atomic_uint64),
	.items = late_words,
	.table = (void **) &late
};

void
rq_late_note(RqQueue *q, RqOff first, RqPos lowest)
{
	uint32		slot = (uint32) (q - rq_queues);
	pg_atomic_uint64 *word = &late[slot / RQ_LATE_WORD];
	uint64		bit = UINT64CONST(1) << slot % RQ_LATE_WORD;

	/* See above. */
	pg_memory_barrier();
	if (rq_log_segno(lowest) == rq_log_segno(pg_atomic_read_u64(&rq_log->end)) &&
		first > pg_atomic_read_u64(&q->start))
		return;
	/* If it is set, it is yet to be taken, and then the entries are seen. */
	if ((pg_atomic_read_u64(word) & bit) == 0)
		pg_atomic_fetch_or_u64(word, bit);
}

uint64
rq_late_take(uint32 word)
{
	return pg_atomic_read_u64(&late[word]) == 0 ? 0 :
		pg_atomic_exchange_u64(&late[word], 0);
}
