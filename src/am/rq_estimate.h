/*
 * rq_estimate.h
 *	  Estimate a topic's size for the planner.
 */
#ifndef RQ_ESTIMATE_H
#define RQ_ESTIMATE_H

#include "storage/block.h"
#include "utils/rel.h"

/* Callback of the access method; throws nothing for damaged messages. */
extern void rq_relation_estimate_size(Relation rel, int32 *attr_widths,
									  BlockNumber *pages, double *tuples,
									  double *allvisfrac);

/* Number of stable messages of the topic (RQ_NO_SLOT has none). */
extern uint64 rq_relation_count(uint32 topic);

#endif							/* RQ_ESTIMATE_H */
