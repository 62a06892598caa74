/*
 * rq_extload.h
 *	  Find the extents of all queues when the server starts.
 */
#ifndef RQ_EXTLOAD_H
#define RQ_EXTLOAD_H

#include "topic/rq_tables.h"

/* Entries [from, to) of a queue are in no extent. */
typedef void (*RqExtMissing) (RqQueue *q, RqOff from, RqOff to, void *arg);

/*
 * Read the headers of all extents, give each queue those that have its entries
 * from start to end, and have all others become free.  The queues have been
 * loaded, the parts of extents are new, and nobody has mapped an area file.
 * FATAL if a file can't be read.
 *
 * "missing" is called for what is found nowhere, queue by queue, from the end to
 * the start.  Such a queue gets the extents behind all that is missing.
 */
extern void rq_extent_load(RqExtMissing missing, void *arg);

#endif							/* RQ_EXTLOAD_H */
