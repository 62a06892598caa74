/*
 * rq_queue_private.h
 *	  Between rq_queue.c and rq_resolve.c.
 */
#ifndef RQ_QUEUE_PRIVATE_H
#define RQ_QUEUE_PRIVATE_H

#include "queue/rq_queue.h"
#include "store/rq_map.h"

/*
 * The address of an entry below "end"; NULL if it has been trimmed, or, with a
 * mode that probes, if its file cannot be mapped.  Entries of one segment are
 * neighbours in memory.
 */
extern RqEntry *rq_queue_find_entry(RqQueue *q, RqOff off, RqMapMode mode);

/*
 * Like rq_queue_find_entry(), for redo: creates the segment if it is missing.
 */
extern RqEntry *rq_queue_redo_entry(RqQueue *q, RqOff off);

#endif							/* RQ_QUEUE_PRIVATE_H */
