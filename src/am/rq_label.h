/*
 * rq_label.h
 *	  The settings of a topic, kept as its security label.
 */
#ifndef RQ_LABEL_H
#define RQ_LABEL_H

#include "utils/rel.h"

#include "base/rq_base.h"

/* Throw unless a topic that has "now" queues (0 = a new one) can have so many. */
extern void rq_check_nqueues(int64 nqueues, uint32 now);

/*
 * Give the topic these settings and keep them in its label.  The caller holds
 * the relation exclusively until the end of the transaction.
 */
extern void rq_label_alter(Relation rel, const RqTopicSettings *settings);

#endif							/* RQ_LABEL_H */
