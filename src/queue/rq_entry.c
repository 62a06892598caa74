/*
 * rq_entry.c
 *	  Read entries of consume queues.
 *
 * Given that those who read entries take no lock, how do they know that what
 * they have read is the entry?  "start" only rises, and an extent is given back
 * only after "start" has passed it (retain/rq_trim.c).  So a reader looks for
 * the extent and copies the entry first, and checks "start" afterwards: if that
 * has not passed the entry, the extent was the queue's all the time, and not to
 * find it is corruption.
 */
#include "postgres.h"

#include "base/rq_error.h"
#include "base/rq_guc.h"
#include "queue/rq_entry.h"
#include "topic/rq_topic.h"

/* Of more entries rq_queue_news() only says that something has come. */
#define NEWS_LOOK_MAX	1024

RQ_NORETURN static void
report_missing(const RqExtOwner *owner, RqOff off)
{
	rq_report_corruption(psprintf("queue %u of topic %u/%u", owner->queue_id,
								  owner->key.db, owner->key.rel),
						 psprintf("entry " UINT64_FORMAT " is missing or not to be found", off));
}

RQ_NORETURN static void
report_lost(RqQueue *q, RqOff off)
{
	RqExtOwner	owner = rq_extent_owner(q);

	report_missing(&owner, off);
}

RqEntry *
rq_queue_seek_entry(RqQueue *q, const RqExtOwner *owner, RqOff off,
					RqMapMode mode, RqExtRun *run)
{
	if (off >= pg_atomic_read_u64(&q->start) &&
		rq_extent_find(q, owner, off, mode, run))
		return run->entries + (off - run->first);
	memset(run, 0, sizeof(*run));

	/*
	 * The extent before "start": rq_queue_trim_apply() raises "start" before
	 * the extent is given back, so a trimmed entry is seen as such.
	 */
	pg_read_barrier();
	if (off < pg_atomic_read_u64(&q->start) || rq_map_probes(mode))
		return NULL;
	if (owner == NULL)
		report_lost(q, off);
	report_missing(owner, off);
}

/* Copy an entry, "e" or NULL, unless it has been trimmed. */
static inline bool
copy_entry(RqQueue *q, RqOff off, const RqEntry *e, RqEntry *entry)
{
	if (e == NULL)
		return false;
	memcpy(entry, e, sizeof(*entry));

	/*
	 * The bytes before "start": rq_queue_trim_apply() raises "start" before
	 * the extent is given back, so what others put there is not taken for the
	 * entry.
	 */
	pg_read_barrier();
	return off >= pg_atomic_read_u64(&q->start);
}

static inline bool
read_entry(RqQueue *q, RqOff off, RqMapMode mode, RqExtRun *run, RqEntry *entry)
{
	return copy_entry(q, off, rq_queue_find_entry(q, off, mode, run), entry);
}

bool
rq_queue_next_entry(RqQueue *q, RqOff off, RqExtRun *run, RqEntry *entry)
{
	if (!read_entry(q, off, RQ_MAP_READ, run, entry))
		return false;
	if (unlikely(rq_queue_is_lost(entry)))
		report_lost(q, off);
	return true;
}

bool
rq_queue_entry(RqQueue *q, RqOff off, RqEntry *entry)
{
	RqExtRun	run = {0};

	return rq_queue_next_entry(q, off, &run, entry);
}

bool
rq_queue_entry_of(const RqExtOwner *owner, RqQueue *q, RqOff off,
				  RqEntry *entry)
{
	RqExtRun	run = {0};

	return copy_entry(q, off, rq_queue_seek_entry(q, owner, off, RQ_MAP_READ, &run),
					  entry);
}

bool
rq_queue_entry_or_lost(RqQueue *q, RqOff off, RqExtRun *run, RqEntry *entry)
{
	static const RqEntry lost = {.len_flags = RQ_ENTRY_ABORTED};

	if (!read_entry(q, off, RQ_MAP_READ, run, entry))
		return false;
	if (unlikely(rq_queue_is_lost(entry)))
	{
		if (!rq_ignore_missing_files)
			report_lost(q, off);
		*entry = lost;
	}
	return true;
}

bool
rq_queue_probe_next(RqQueue *q, RqOff off, RqExtRun *run, RqEntry *entry)
{
	return read_entry(q, off, RQ_MAP_PROBE, run, entry) &&
		!rq_queue_is_lost(entry);
}

bool
rq_queue_probe(RqQueue *q, RqOff off, RqEntry *entry)
{
	RqExtRun	run = {0};

	return rq_queue_probe_next(q, off, &run, entry);
}

int
rq_queue_news(RqQueue *q, RqOff from, RqOff to, RqNews *news)
{
	RqExtRun	run = {0};
	int			looked = 0;

	rq_news_init(news, to, to - from > NEWS_LOOK_MAX);
	for (RqOff off = from; off < to && !news->any; off++)
	{
		RqEntry		e;

		looked++;
		/* An entry that cannot be read may have any tag. */
		if (!rq_queue_probe_next(q, off, &run, &e))
			news->any = true;
		else if ((e.len_flags & RQ_ENTRY_ABORTED) == 0)
			rq_news_add(news, e.tag_hash);
	}
	return looked;
}

/* The first entry in [from, to) that is not lost, or "to". */
static RqOff
pass_lost(RqQueue *q, RqOff from, RqOff to)
{
	RqExtRun	run = {0};
	RqEntry		e;

	while (from < to && rq_ignore_missing_files &&
		   read_entry(q, from, RQ_MAP_READ, &run, &e) &&
		   rq_queue_is_lost(&e))
		from++;
	return from;
}

/*
 * Bisect, since times never fall within a queue.  A lost entry has no time;
 * the first one after it that is there stands for it.  An entry that is
 * trimmed concurrently is older than all that stay.
 */
RqOff
rq_queue_offset_at(RqQueue *q, TimestampTz when)
{
	RqOff		low = pg_atomic_read_u64(&q->start);
	RqOff		high = pg_atomic_read_u64(&q->stable);

	while (low < high)
	{
		RqOff		mid = low + (high - low) / 2;
		RqOff		off = pass_lost(q, mid, high);
		RqEntry		e;

		if (off < high && (!rq_queue_entry(q, off, &e) || e.enqueued_at < when))
			low = off + 1;
		else
			high = mid;
	}
	return low;
}
