/*
 * rq_trash.h
 *	  Files of topics and queues that are gone.
 */
#ifndef RQ_TRASH_H
#define RQ_TRASH_H

#include "access/xlogdefs.h"

#include "base/rq_base.h"

/*
 * Move the directory of a topic, or the files of its queues from "first" on,
 * to a directory with a name of its own, "trash" (MAXPGPATH bytes): the names
 * can be used again at once.  The caller has flushed the record at "lsn" that
 * says so, and so they do not throw for a file; what cannot be moved is
 * removed where it is.  "trash" is set if there may be something in it.  The
 * caller holds the meta lock exclusively; a topic whose queues go exists.
 */
extern void rq_trash_topic(RqKey key, XLogRecPtr lsn, char *trash);
extern void rq_trash_queues(RqKey key, uint32 first, XLogRecPtr lsn, char *trash);

/* Remove what was put away, if anything was ("trash" is not empty); no lock. */
extern void rq_trash_remove(const char *trash);

#endif							/* RQ_TRASH_H */
