/*
 * rq_trim.h
 *	  Raise the starts of the log and of queues, and give back what lies below.
 */
#ifndef RQ_TRIM_H
#define RQ_TRIM_H

#include "lib/stringinfo.h"

#include "format/rq_walrec.h"
#include "shmem/rq_shmem.h"
#include "topic/rq_tables.h"

/*
 * A trim in preparation.  Nothing holds the queues until it is done: one can
 * be dropped concurrently, and another come under the same number.  So it says
 * which queue each start was found for.
 */
typedef struct RqTrim
{
	RqPos		old_start;		/* of the log */
	RqPos		new_start;
	bool		despite_readers;
	bool		more;			/* the queue is not prepared to its end */
	uint32		nstarts;
	uint32		nlosses;
	StringInfoData starts;		/* xl_rq_queue_start */
	StringInfoData born;		/* RqQueue.born of each, XLogRecPtr */
	StringInfoData losses;		/* what groups lose by them */
	StringInfoData holes;		/* what they lose by the log's new start only */
} RqTrim;

/*
 * Begin.  "despite_readers": do not ask those who read below the log's new
 * start.  Janitor only, as all of this.
 */
extern void rq_trim_prepare(RqTrim *t, RqPos new_start, bool despite_readers);

/*
 * Where a queue will begin by what has been prepared.  The caller holds the meta
 * lock.
 */
extern RqOff rq_trim_start(const RqTrim *t, const RqQueue *q);

/*
 * Let a queue begin at "start" and do without entries that point below the
 * log's new start.  At most RQ_META_HOLD_ENTRIES are prepared; if there are
 * more, "more" is set, and the caller calls again after it has released the
 * lock.  Returns how many were.  The caller holds the meta lock.  Throws when an
 * entry cannot be read; the queue then stays as it was.
 */
extern uint64 rq_trim_queue(RqTrim *t, RqQueue *q, RqOff start);

/*
 * If so much has been prepared that it fills a record, let these queues begin
 * there; the log's start stays.  False if a reader still needs what would go:
 * then the rest must stay, too.
 */
extern bool rq_trim_part(RqTrim *t);

/*
 * Do the rest, and raise the log's start; false if there is nothing to do, or a
 * reader still needs what would go.
 */
extern bool rq_trim_finish(RqTrim *t);

/* An RqWalRedo. */
extern void rq_trim_redo(const void *data, uint32 len, XLogRecPtr lsn);

#endif							/* RQ_TRIM_H */
