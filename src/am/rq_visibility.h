/*
 * rq_visibility.h
 *	  What a snapshot sees of a queue's entries.
 */
#ifndef RQ_VISIBILITY_H
#define RQ_VISIBILITY_H

#include "utils/rel.h"
#include "utils/snapshot.h"
#include "utils/timestamp.h"

#include "format/rq_cqfmt.h"

typedef struct RqVisibility
{
	Relation	rel;
	Snapshot	snapshot;
	bool		mvcc;
	uint64		xmin;			/* transactions before this one have ended */
	uint64		xmax;			/* this one and later ones are not seen */
	TimestampTz plain_until;	/* of messages without a transaction, those
								 * that were enqueued by then are seen */
	uint64		last_xid;		/* the last one that was looked up between */
	bool		last_running;
} RqVisibility;

/* A snapshot that is not an MVCC one (NULL is none) sees what is resolved. */
extern void rq_visibility_init(RqVisibility *v, Relation rel, Snapshot snapshot);

/*
 * Does the snapshot see this entry?  "stable" is the queue's stable offset as
 * it was read before the entry: below it a flag that is not there will not
 * come, so that pg_xact need not be asked, which may be truncated.  Entries
 * without a transaction are seen below "plain_below".
 */
extern bool rq_visibility_sees(RqVisibility *v, const RqEntry *e, RqOff off, RqOff stable,
							   RqOff plain_below);

#endif							/* RQ_VISIBILITY_H */
