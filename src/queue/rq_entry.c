/*
 * rq_entry.c
 *	  Read entries of consume queues.
 *
 * Given that those who read entries take no lock, how do they know that what
 * they have read is the entry?  "start" only rises, and a trimmed segment is
 * removed only after "start" has passed it (retain/rq_trim.c).  So a reader
 * looks for the file and copies the entry first, and checks "start" afterwards:
 * if that has not passed the entry, a missing file is corruption, and the bytes
 * are not zeros of a punched hole.
 */
#include "postgres.h"

#include "base/rq_guc.h"
#include "queue/rq_entry.h"
#include "queue/rq_queue_private.h"
#include "topic/rq_topic.h"

/* Of more entries rq_queue_news() only says that something has come. */
#define NEWS_LOOK_MAX	1024

RqQueueFiles
rq_queue_files(const RqQueue *q)
{
	RqQueueFiles files = {.key = rq_queue_key(q),
		.incarnation = rq_queue_topic(q)->incarnation,
	.queue_id = q->id};

	return files;
}

/* Of "q" only the bounds are read, which are nobody's name. */
static inline RqEntry *
find_entry(RqKey key, uint64 incarnation, uint32 queue_id, RqQueue *q,
		   RqOff off, RqMapMode mode)
{
	char	   *base = rq_map_queue(key, incarnation, queue_id,
									rq_queue_segno(off), mode, false);

	if (base == NULL)
	{
		/*
		 * The file before "start": rq_queue_trim_apply() raises "start"
		 * before the file is removed, so a trimmed entry is seen as such.
		 */
		pg_read_barrier();
		if (off < pg_atomic_read_u64(&q->start))
			return NULL;
	}
	if (base == NULL && rq_map_probes(mode))
		return NULL;
	if (base == NULL)
		rq_queue_report_missing(key, queue_id, rq_queue_segno(off));
	return (RqEntry *) base + rq_queue_in_segment(off);
}

RqEntry *
rq_queue_find_entry(RqQueue *q, RqOff off, RqMapMode mode)
{
	return find_entry(rq_queue_key(q), rq_queue_topic(q)->incarnation, q->id,
					  q, off, mode);
}

/* Copy an entry, "e" or NULL, unless it has been trimmed. */
static bool
copy_entry(RqQueue *q, RqOff off, const RqEntry *e, RqEntry *entry)
{
	if (e == NULL)
		return false;
	memcpy(entry, e, sizeof(*entry));

	/*
	 * The bytes before "start": rq_queue_trim_apply() raises "start" before a
	 * hole is punched, so zeros of a hole are not taken for an entry.
	 */
	pg_read_barrier();
	return off >= pg_atomic_read_u64(&q->start);
}

bool
rq_queue_entry(RqQueue *q, RqOff off, RqEntry *entry)
{
	if (off < pg_atomic_read_u64(&q->start))
		return false;
	return copy_entry(q, off, rq_queue_find_entry(q, off, RQ_MAP_READ), entry);
}

bool
rq_queue_entry_of(RqQueueFiles files, RqQueue *q, RqOff off, RqEntry *entry)
{
	RqEntry    *e;

	if (off < pg_atomic_read_u64(&q->start))
		return false;
	e = find_entry(files.key, files.incarnation, files.queue_id, q, off,
				   RQ_MAP_READ);
	return copy_entry(q, off, e, entry);
}

/* Is the entry's file missing, and the server told to go on without it? */
static bool
is_lost(RqQueue *q, RqOff off)
{
	return rq_ignore_missing_files &&
		rq_map_queue(rq_queue_key(q), rq_queue_topic(q)->incarnation, q->id,
					 rq_queue_segno(off), RQ_MAP_READ, false) == NULL;
}

bool
rq_queue_entry_or_lost(RqQueue *q, RqOff off, RqEntry *entry)
{
	RqEntry		lost = {.len_flags = RQ_ENTRY_ABORTED};

	if (!is_lost(q, off))
		return rq_queue_entry(q, off, entry);

	/*
	 * An entry that was trimmed concurrently has no file either, so "start"
	 * is read after the file: see rq_queue_find_entry().
	 */
	pg_read_barrier();
	return copy_entry(q, off, &lost, entry);
}

bool
rq_queue_next_entry(RqQueue *q, RqOff off, RqEntryRun *run, RqEntry *entry)
{
	if (off < run->first || off >= run->end)
	{
		run->first = run->end = 0;
		if (off < pg_atomic_read_u64(&q->start))
			return false;
		run->entries = rq_queue_find_entry(q, off, RQ_MAP_READ);
		if (run->entries == NULL)
			return false;
		run->first = off;
		run->end = rq_queue_segment_start(rq_queue_segno(off) + 1);
	}
	return copy_entry(q, off, run->entries + (off - run->first), entry);
}

bool
rq_queue_probe(RqQueue *q, RqOff off, RqEntry *entry)
{
	char	   *base = rq_map_queue(rq_queue_key(q),
									rq_queue_topic(q)->incarnation, q->id,
									rq_queue_segno(off), RQ_MAP_PROBE, false);

	return base != NULL &&
		copy_entry(q, off, (RqEntry *) base + rq_queue_in_segment(off), entry);
}

int
rq_queue_news(RqQueue *q, RqOff from, RqOff to, RqNews *news)
{
	int			looked = 0;

	rq_news_init(news, to, to - from > NEWS_LOOK_MAX);
	for (RqOff off = from; off < to && !news->any; off++)
	{
		RqEntry		e;

		looked++;
		/* An entry that cannot be read may have any tag. */
		if (!rq_queue_probe(q, off, &e))
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
	while (from < to && is_lost(q, from))
		from = rq_queue_segment_start(rq_queue_segno(from) + 1);
	return Min(from, to);
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
