/*
 * rq_holes_private.h
 *	  Entries of queues that were missing when the state was loaded.
 */
#ifndef RQ_HOLES_PRIVATE_H
#define RQ_HOLES_PRIVATE_H

#include "base/rq_base.h"

/* What to do about missing messages. */
#define RQ_MISSING_HINT \
	"Put back what is missing, mount its file system, or restore the data directory from a backup.  " \
	"With rocketq.ignore_missing_files = on, the server starts, but the messages are lost."

/*
 * Find the extents of all queues, of which the slots have been loaded; nothing is
 * written before rq_holes_end_load().  If the server was shut down in order, it is
 * FATAL when extents or chunks are there that the state does not know.  Returns
 * how many ranges of entries are missing.
 */
extern uint64 rq_holes_begin_load(bool in_order);
extern void rq_holes_end_load(void);

/*
 * Which of them are missing all the same, now that WAL has been replayed?
 * Returns how many.  Takes the meta lock shared.
 */
extern uint64 rq_holes_look_again(void);

/* Report that they are missing; there must be some. */
extern void rq_holes_report(int elevel);

/*
 * Flag them as lost, on disk too, and forget them.  Nobody else uses the store
 * yet.  Takes the meta lock shared; throws if a file can't be mapped or synced.
 */
extern void rq_holes_give_up(void);

#endif							/* RQ_HOLES_PRIVATE_H */
