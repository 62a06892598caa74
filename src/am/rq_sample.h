/*
 * rq_sample.h
 *	  Samples of a topic: TABLESAMPLE and ANALYZE.
 */
#ifndef RQ_SAMPLE_H
#define RQ_SAMPLE_H

#include "access/tableam.h"

#include "base/rq_compat.h"

extern bool rq_scan_sample_next_block(TableScanDesc scan,
									  struct SampleScanState *state);
extern bool rq_scan_sample_next_tuple(TableScanDesc scan,
									  struct SampleScanState *state,
									  TupleTableSlot *slot);
extern bool rq_scan_analyze_next_block(RQ_ANALYZE_BLOCK_ARGS);
extern bool rq_scan_analyze_next_tuple(TableScanDesc scan,
									   TransactionId oldest_xmin,
									   double *live, double *dead,
									   TupleTableSlot *slot);
extern uint64 rq_relation_size(Relation rel, ForkNumber fork);

/*
 * While these enclose a statement, rq_relation_size() answers ANALYZE; they may be
 * nested.
 */
extern void rq_analyze_begin(void);
extern void rq_analyze_end(void);

#endif							/* RQ_SAMPLE_H */
