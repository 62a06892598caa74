/*
 * rq_unused.h
 *	  Consumer groups that nobody uses.
 */
#ifndef RQ_UNUSED_H
#define RQ_UNUSED_H

#include "topic/rq_group.h"

extern const RqPart rq_unused_part;

/* Does a group hold what it has not consumed? */
extern bool rq_group_holds(uint32 group);

/*
 * The group that holds most of a queue, RQ_NO_SLOT = none; "from" gets the
 * offset from which it does.  The caller holds the meta lock.
 */
extern uint32 rq_group_holding(const RqQueue *q, RqOff *from);

/*
 * Find groups that have become idle, and hold nothing any more, or are used
 * again.  Janitor only.
 */
extern void rq_unused_note_idle(TimestampTz now);

/*
 * Drop groups that nobody has used for rocketq.group_expire_time.  Janitor
 * only.
 */
extern void rq_unused_drop_expired(void);

#endif							/* RQ_UNUSED_H */
