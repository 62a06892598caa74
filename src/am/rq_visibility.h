/*
 * rq_visibility.h
 *	  Which entries of a queue a snapshot sees.
 */
#ifndef RQ_VISIBILITY_H
#define RQ_VISIBILITY_H

#include "utils/rel.h"
#include "utils/snapshot.h"
#include "utils/timestamp.h"

#include "format/rq_queuefmt.h"

typedef struct RqVisibility
{
	Relation	rel;
	Snapshot	snapshot;
	bool		mvcc;
	uint64		xmin;			/* transactions before this one have ended */
	uint64		xmax;			/* this one and later ones are not seen */
	TimestampTz plain_until;	/* of messages without a transaction, those
								 * that were enqueued by then are seen, */
	TimestampTz future;			/* and of those enqueued after this time */
	RqPos		future_below;	/* those below this position */
	uint64		last_xid;		/* the last one that was looked up between */
	bool		last_running;
} RqVisibility;

/*
 * Prepare to check entries of a relation.  A snapshot that is not an MVCC snapshot
 * (NULL for none) sees the resolved entries.
 */
extern void rq_visibility_init(RqVisibility *v, Relation rel, Snapshot snapshot);

/*
 * Does the snapshot see this entry?  "stable" is the queue's stable offset as
 * read before the entry: below it no entry can still be flagged as aborted, so
 * pg_xact, which may be truncated, need not be consulted.  Entries without a
 * transaction are seen below "plain_below".
 */
extern bool rq_visibility_sees(RqVisibility *v, const RqEntry *e, RqOff off, RqOff stable,
							   RqOff plain_below);

#endif							/* RQ_VISIBILITY_H */
