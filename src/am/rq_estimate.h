/*
 * rq_estimate.h
 *	  What the planner is told of a topic's size.
 */
#ifndef RQ_ESTIMATE_H
#define RQ_ESTIMATE_H

#include "storage/block.h"
#include "utils/rel.h"

extern void rq_relation_estimate_size(Relation rel, int32 *attr_widths,
									  BlockNumber *pages, double *tuples,
									  double *allvisfrac);

/* Messages that the topic has, without those whose outcome is unknown. */
extern uint64 rq_relation_count(uint32 topic);

#endif							/* RQ_ESTIMATE_H */
