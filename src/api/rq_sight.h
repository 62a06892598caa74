/*
 * rq_sight.h
 *	  Whose topics and groups the monitoring views show to a caller.
 */
#ifndef RQ_SIGHT_H
#define RQ_SIGHT_H

#include "utils/hsearch.h"

#include "base/rq_base.h"

typedef struct RqSight
{
	HTAB	   *readable;		/* NULL = everything is seen */
} RqSight;

/*
 * What the current user sees: everything as a member of pg_monitor, else the
 * topics of this database whose messages it may SELECT.  It scans pg_class, so
 * no LWLock is held; the memory is of the current context.
 */
extern RqSight rq_sight(void);

/* Is that topic seen?  Throws nothing, and may be asked under an LWLock. */
extern bool rq_sees(const RqSight *sight, RqKey key);

#endif							/* RQ_SIGHT_H */
