/*
 * rq_routed.h
 *	  Find out whether rows inserted into a topic are stored in it.
 */
#ifndef RQ_ROUTED_H
#define RQ_ROUTED_H

#include "storage/lockdefs.h"
#include "utils/rel.h"

/*
 * Throw if rows inserted into this topic would be stored elsewhere.  The caller
 * holds "lockmode" on the relation.
 */
extern void rq_refuse_routed(Relation rel, LOCKMODE lockmode);

#endif							/* RQ_ROUTED_H */
