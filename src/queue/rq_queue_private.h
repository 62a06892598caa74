/*
 * rq_queue_private.h
 *	  Between rq_queue.c and those who write and read entries.
 */
#ifndef RQ_QUEUE_PRIVATE_H
#define RQ_QUEUE_PRIVATE_H

#include "base/rq_compat.h"
#include "queue/rq_queue.h"

/* How to open a segment. */
typedef enum RqOpenFlags
{
	RQ_OPEN_EXISTING = 1,		/* it holds entries, so it must exist */
	RQ_OPEN_REPAIR = 2			/* redo: make what is not there as it should
								 * be */
} RqOpenFlags;

/*
 * Map a segment for writing; a missing one is created.  "flags" are
 * RqOpenFlags.  NULL if it is below the queue's start, as it has been filled
 * and trimmed since the caller looked at the queue's end.  Throws.
 */
extern RqEntry *rq_queue_open_segment(RqQueue *q, uint64 segno, int flags);

/* Throw because a segment should be there. */
RQ_NORETURN extern void rq_queue_report_missing(RqKey key, uint32 queue_id,
												uint64 segno);

/* The address of an entry, for redo: creates the segment if it is missing. */
extern RqEntry *rq_queue_redo_entry(RqQueue *q, RqOff off);

#endif							/* RQ_QUEUE_PRIVATE_H */
