/*
 * rq_late.h
 *	  Queues that got their first entries, or entries with old frames.
 */
#ifndef RQ_LATE_H
#define RQ_LATE_H

#include "shmem/rq_parts.h"
#include "topic/rq_tables.h"

#define RQ_LATE_WORD	64		/* slots in a word */

extern const RqPart rq_late_part;

/*
 * The queue has got entries from offset "first" on, the lowest of which points
 * to "lowest".  To be called when its end has been raised and before the frames
 * are no longer spared for the transaction (rq_log_forget_xact()).  Can't throw,
 * and needs no lock.
 */
extern void rq_late_note(RqQueue *q, RqOff first, RqPos lowest);

/*
 * Which of the slots RQ_LATE_WORD * "word" and after it were noted since they
 * were taken the last time; the lowest bit is the first of them.  Janitor only.
 */
extern uint64 rq_late_take(uint32 word);

#endif							/* RQ_LATE_H */
