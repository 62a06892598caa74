/*
 * rq_extload.h
 *	  Find the extents of all queues when the server starts.
 */
#ifndef RQ_EXTLOAD_H
#define RQ_EXTLOAD_H

#include "queue/rq_exthole.h"

typedef struct RqExtLoad RqExtLoad;

/*
 * Read the headers of all extents and find out which of them have the entries of
 * each queue from start to end.  The queues and what the state file says of
 * extents have been loaded, and nobody has mapped an area file.  Nothing is
 * written, and nothing in shared memory but what concerns chunks.  FATAL if a
 * file can't be read.  Memory is allocated in the current context, which has to
 * last until the load is finished or given up.
 *
 * "missing" is called for what is found nowhere.
 */
extern RqExtLoad *rq_extent_load_begin(RqExtMissing missing, void *arg);

/*
 * Is there an extent that was taken later than the state file was written?  And
 * how many chunks are there that are another store's, or in the wrong place?
 */
extern bool rq_extent_load_is_ahead(const RqExtLoad *load);
extern uint32 rq_extent_load_foreign(const RqExtLoad *load);

/*
 * Give the queues their extents, and make new ones, of zeros, for what is
 * missing.  All others become free: their headers are zeroed.  If anything is
 * missing, "complete" is false: then what may be damage stays as it is.  FATAL if
 * a file can't be written.
 */
extern void rq_extent_load_finish(RqExtLoad *load, bool complete);

#endif							/* RQ_EXTLOAD_H */
