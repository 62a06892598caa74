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
	uint32		nstarts;
	uint32		nlosses;
	StringInfoData starts;		/* xl_rq_queue_start */
	StringInfoData born;		/* RqQueue.born of each, XLogRecPtr */
	StringInfoData losses;		/* what groups lose by it */
} RqTrim;

extern void rq_trim_prepare(RqTrim *t, RqPos new_start);

/*
 * Let a queue begin at "start" and do without entries that point below the
 * log's new start.  The caller holds the meta lock.  Throws when an entry
 * cannot be read; the queue then stays as it is.
 */
extern void rq_trim_queue(RqTrim *t, RqQueue *q, RqOff start);

/*
 * Do it; false, with nothing done, if there is nothing to do or, unless
 * "despite_readers", a reader still needs what would go.
 */
extern bool rq_trim(RqTrim *t, bool despite_readers);

/* Write what groups have lost to the server log. */
extern void rq_trim_tell_losses(TimestampTz now);

/* An RqWalRedo. */
extern void rq_trim_redo(const void *data, uint32 len, XLogRecPtr lsn);

#endif							/* RQ_TRIM_H */
