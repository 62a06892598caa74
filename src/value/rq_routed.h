/*
 * rq_routed.h
 *	  Does what is inserted into a topic stay there?
 */
#ifndef RQ_ROUTED_H
#define RQ_ROUTED_H

#include "storage/lockdefs.h"
#include "utils/rel.h"

/*
 * Throw if what is inserted into this topic, which the caller has locked so,
 * goes elsewhere.
 */
extern void rq_refuse_routed(Relation rel, LOCKMODE lockmode);

#endif							/* RQ_ROUTED_H */
