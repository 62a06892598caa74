/*
 * rq_entry.h
 *	  Read entries of consume queues.
 */
#ifndef RQ_ENTRY_H
#define RQ_ENTRY_H

#include "format/rq_queuefmt.h"
#include "store/rq_map.h"
#include "topic/rq_tables.h"
#include "topic/rq_wake.h"

/*
 * Read an entry, which must lie in [start, end).  False when it has been
 * trimmed away concurrently; throws when the file is missing or damaged.
 */
extern bool rq_queue_entry(RqQueue *q, RqOff off, RqEntry *entry);

/*
 * Whose files, for a reader that does not keep the queue (see RqQueue): it
 * copies this while it does.
 */
typedef struct RqQueueFiles
{
	RqKey		key;			/* of the topic */
	uint64		incarnation;
	uint32		queue_id;
} RqQueueFiles;

extern RqQueueFiles rq_queue_files(const RqQueue *q);

/*
 * Like rq_queue_entry(), for such a reader.  If the queue no longer exists, the
 * entry can be anything, or its file missing: the caller finds out before it
 * makes use of either.
 */
extern bool rq_queue_entry_of(RqQueueFiles files, RqQueue *q, RqOff off,
							  RqEntry *entry);

/*
 * Like rq_queue_entry(), for retention: an entry whose file is missing, while
 * the server runs with rocketq.ignore_missing_files, is given as an aborted
 * entry of no bytes.
 */
extern bool rq_queue_entry_or_lost(RqQueue *q, RqOff off, RqEntry *entry);

/*
 * Entries [first, end) of one segment, which are neighbours in memory.  A
 * caller of rq_queue_next_entry() keeps it from one call to the next.
 */
typedef struct RqEntryRun
{
	RqOff		first;
	RqOff		end;
	const RqEntry *entries;
} RqEntryRun;

/*
 * Like rq_queue_entry(), for reading one entry after the other.  "run", all
 * zeros at first, saves finding the segment again; it is good as long as the
 * process reads entries of no other queue.
 */
extern bool rq_queue_next_entry(RqQueue *q, RqOff off,
								RqEntryRun *run, RqEntry *entry);

/* As rq_queue_entry(), but false, too, when the file is missing or damaged. */
extern bool rq_queue_probe(RqQueue *q, RqOff off, RqEntry *entry);

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
 * The address of an entry below "end"; NULL if it has been trimmed, or, with a
 * mode that probes, if its file cannot be mapped.  Entries of one segment are
 * neighbours in memory.
 */
extern RqEntry *rq_queue_find_entry(RqQueue *q, RqOff off, RqMapMode mode);

#endif							/* RQ_ENTRY_H */
