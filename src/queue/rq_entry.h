/*
 * rq_entry.h
 *	  Read entries of consume queues.
 */
#ifndef RQ_ENTRY_H
#define RQ_ENTRY_H

#include "format/rq_queuefmt.h"
#include "queue/rq_extent.h"
#include "topic/rq_tables.h"
#include "topic/rq_wake.h"

/*
 * An entry of zeros below its queue's end is lost: the file that it was in was
 * missing when the server started.
 */
static inline bool
rq_queue_is_lost(const RqEntry *e)
{
	return e->pos == 0 && (e->len_flags & RQ_ENTRY_ABORTED) == 0;
}

/*
 * Read an entry, which must lie in [start, end).  False when it has been
 * trimmed away concurrently; throws when it is lost, or cannot be found.
 */
extern bool rq_queue_entry(RqQueue *q, RqOff off, RqEntry *entry);

/*
 * Like rq_queue_entry(), for a reader that does not keep the queue (see
 * RqQueue), and with "entry" as it is when it is lost.  If the queue no longer
 * exists, the entry can be anything, or not be found: the caller finds out
 * before it makes use of either.
 */
extern bool rq_queue_entry_of(const RqExtOwner *owner, RqQueue *q, RqOff off,
							  RqEntry *entry);

/*
 * Like rq_queue_entry(), for retention: an entry that is lost, while the server
 * runs with rocketq.ignore_missing_files, is given as an aborted entry of no
 * bytes.
 */
extern bool rq_queue_entry_or_lost(RqQueue *q, RqOff off, RqExtRun *run,
								   RqEntry *entry);

/*
 * Like rq_queue_entry(), for reading one entry after the other.  "run", all
 * zeros at first, saves finding the extent again; it is good as long as the
 * caller reads entries of no other queue with it.
 */
extern bool rq_queue_next_entry(RqQueue *q, RqOff off,
								RqExtRun *run, RqEntry *entry);

/* As rq_queue_entry(), but false, too, when it is lost or cannot be found. */
extern bool rq_queue_probe(RqQueue *q, RqOff off, RqEntry *entry);

/* The same for reading one entry after the other. */
extern bool rq_queue_probe_next(RqQueue *q, RqOff off, RqExtRun *run,
								RqEntry *entry);

/*
 * Read the entries [from, to) as news for waiters.  If there are very many,
 * the news says only that something has come.  Returns how many were read.
 */
extern int	rq_queue_news(RqQueue *q, RqOff from, RqOff to, RqNews *news);

/*
 * First offset in [start, stable] enqueued at or after that time.  Throws as
 * rq_queue_entry() does, but passes over lost entries (see
 * rq_queue_entry_or_lost()).
 */
extern RqOff rq_queue_offset_at(RqQueue *q, TimestampTz when);

/*
 * The address of an entry below "end", by "run", which works as for
 * rq_queue_next_entry(); NULL if it has been trimmed, or, with a mode that
 * probes, if it cannot be found.  "owner" is NULL for who keeps the queue.
 */
extern RqEntry *rq_queue_seek_entry(RqQueue *q, const RqExtOwner *owner,
									RqOff off, RqMapMode mode, RqExtRun *run);

static inline RqEntry *
rq_queue_find_entry(RqQueue *q, RqOff off, RqMapMode mode, RqExtRun *run)
{
	if (likely(rq_run_has(run, off)))
		return run->entries + (off - run->first);
	return rq_queue_seek_entry(q, NULL, off, mode, run);
}

#endif							/* RQ_ENTRY_H */
