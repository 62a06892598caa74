/*
 * rq_sight.h
 *	  Which topics and groups the monitoring views show to a caller.
 */
#ifndef RQ_SIGHT_H
#define RQ_SIGHT_H

#include "utils/hsearch.h"

#include "base/rq_base.h"

typedef struct RqSight
{
	HTAB	   *readable;		/* by relfilenode; NULL = everything is shown */
} RqSight;

/*
 * What the current user may see: everything for members of pg_monitor, otherwise
 * the topics of this database that it may SELECT from.  Scans pg_class, so the
 * caller must not hold an LWLock; allocates in the current memory context.
 */
extern RqSight rq_sight(void);

/* Is this topic shown?  Throws nothing, and can be called with an LWLock held. */
extern bool rq_sees(const RqSight *sight, RqKey key);

#endif							/* RQ_SIGHT_H */
