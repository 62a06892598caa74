/*
 * rq_sample.h
 *	  Samples of a topic: TABLESAMPLE and ANALYZE.
 */
#ifndef RQ_SAMPLE_H
#define RQ_SAMPLE_H

#include "access/tableam.h"

#include "base/rq_compat.h"

/* Callbacks of the access method for TABLESAMPLE. */
extern bool rq_scan_sample_next_block(TableScanDesc scan,
									  struct SampleScanState *state);
extern bool rq_scan_sample_next_tuple(TableScanDesc scan,
									  struct SampleScanState *state,
									  TupleTableSlot *slot);

/* Callbacks of the access method for ANALYZE. */
extern bool rq_scan_analyze_next_block(RQ_ANALYZE_BLOCK_ARGS);
extern bool rq_scan_analyze_next_tuple(TableScanDesc scan,
									   TransactionId oldest_xmin,
									   double *live, double *dead,
									   TupleTableSlot *slot);

/*
 * Callback of the access method: the bytes of the topic's imaginary blocks within
 * ANALYZE, otherwise 0.
 */
extern uint64 rq_relation_size(Relation rel, ForkNumber fork);

/*
 * Enclose a statement that may be ANALYZE, for rq_relation_size().  Pairs may be
 * nested; rq_analyze_end() has to be called after an error, too.
 */
extern void rq_analyze_begin(void);
extern void rq_analyze_end(void);

#endif							/* RQ_SAMPLE_H */
