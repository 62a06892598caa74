/*
 * rq_parallel.h
 *	  Scans of a topic by several processes.
 */
#ifndef RQ_PARALLEL_H
#define RQ_PARALLEL_H

#include "access/tableam.h"

#include "am/rq_range.h"

/* Callbacks of the access method; the first one gives an upper bound. */
extern Size rq_parallelscan_estimate(Relation rel);
extern Size rq_parallelscan_initialize(Relation rel,
									   ParallelTableScanDesc pscan);
extern void rq_parallelscan_reinitialize(Relation rel,
										 ParallelTableScanDesc pscan);

/* The range that all processes of the scan share. */
extern RqRange *rq_parallel_range(ParallelTableScanDesc pscan);

/* Take the next chunk [*first, *last); false if none are left. */
extern bool rq_parallel_take(ParallelTableScanDesc pscan, uint64 *first,
							 uint64 *last);

#endif							/* RQ_PARALLEL_H */
