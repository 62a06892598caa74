/*
 * rq_sample.c
 *	  Samples of a topic: TABLESAMPLE and ANALYZE.
 *
 * Both work on blocks.  A topic has none, so consecutive rows, as a scan numbers
 * them, stand for a block.  REPEATABLE therefore repeats a sample only as long as
 * the topic neither gains nor loses messages.
 */
#include "postgres.h"

#include "access/tsmapi.h"
#include "common/pg_prng.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "nodes/execnodes.h"
#include "pgstat.h"

#include "am/rq_estimate.h"
#include "am/rq_sample.h"
#include "am/rq_scan.h"
#include "am/rq_slot.h"
#include "base/rq_compat.h"
#include "value/rq_relation.h"

/* Rows of a block, or more if that would be too many blocks. */
#define BLOCK_ROWS		64

/*
 * The most blocks for ANALYZE.  Before version 17 it prefetches them from the
 * topic's own file, which is empty; beyond the first segment of the file that
 * would fail.
 */
#define ANALYZE_BLOCKS	((uint64) RELSEG_SIZE)

/* About how many messages ANALYZE may read at most. */
#define ANALYZE_ROWS	((uint64) 131072)

static uint64
divide_up(uint64 a, uint64 b)
{
	return a / b + (a % b != 0);
}

static uint64
block_rows(uint64 nrows, uint64 max_blocks)
{
	return Max(BLOCK_ROWS, divide_up(nrows, max_blocks));
}

/* Make a block's rows the ones to read; the block may be past the end. */
static void
enter_block(RqScan *s, BlockNumber block, uint64 rows)
{
	s->block = block;
	s->first = Min(block * rows, s->range->nrows);
	s->last = Min(s->first + rows, s->range->nrows);
}

/* ---- TABLESAMPLE ---- */

bool
rq_scan_sample_next_block(TableScanDesc scan, SampleScanState *state)
{
	RqScan	   *s = (RqScan *) scan;
	uint64		nrows = s->range->nrows;
	uint64		rows = block_rows(nrows, MaxBlockNumber);
	BlockNumber nblocks = (BlockNumber) divide_up(nrows, rows);
	BlockNumber block;

	if (nblocks == 0)
		return false;
	if (state->tsmroutine->NextSampleBlock)
		block = state->tsmroutine->NextSampleBlock(state, nblocks);
	else
		block = s->block == InvalidBlockNumber ? 0 : s->block + 1;
	if (block >= nblocks)
		return false;
	enter_block(s, block, rows);
	return true;
}

bool
rq_scan_sample_next_tuple(TableScanDesc scan, SampleScanState *state,
						  TupleTableSlot *slot)
{
	RqScan	   *s = (RqScan *) scan;
	OffsetNumber max_offset = (OffsetNumber) (s->last - s->first);

	ExecClearTuple(slot);
	for (;;)
	{
		OffsetNumber offset;

		CHECK_FOR_INTERRUPTS();
		offset = state->tsmroutine->NextSampleTuple(state, s->block, max_offset);
		if (offset == InvalidOffsetNumber || offset > max_offset)
			return false;
		rq_scan_seek(s, s->first + offset - 1);
		if (rq_scan_fetch(s, slot))
		{
			pgstat_count_heap_getnext(scan->rs_rd);
			return true;
		}
	}
}

/* ---- ANALYZE ---- */

/* Nesting depth of VACUUM and ANALYZE statements in this process. */
static int	analyzing = 0;

void
rq_analyze_begin(void)
{
	analyzing++;
}

void
rq_analyze_end(void)
{
	Assert(analyzing > 0);
	analyzing--;
}

/* Is this process in ANALYZE, or in VACUUM, which can include it? */
static bool
is_analyzing(void)
{
	return analyzing > 0 || rq_is_autovacuum_worker();
}

/*
 * ANALYZE chooses from this many blocks.  To anyone else a topic has no pages:
 * whatever inspects pages of a table (pg_prewarm, pg_visibility) would try to
 * read them from its file.
 */
uint64
rq_relation_size(Relation rel, ForkNumber fork)
{
	uint64		nrows;

	if (!is_analyzing() ||
		(fork != MAIN_FORKNUM && fork != InvalidForkNumber))
		return 0;
	rq_require_preload();
	nrows = rq_relation_count(rq_relation_topic(rel, RQ_STORAGE_OPTIONAL));
	return divide_up(nrows, block_rows(nrows, ANALYZE_BLOCKS)) * BLCKSZ;
}

bool
rq_scan_analyze_next_block(RQ_ANALYZE_BLOCK_ARGS)
{
	RqScan	   *s = (RqScan *) scan;
	uint64		nrows = s->range->nrows;
	BlockNumber block = RQ_ANALYZE_BLOCK_NUMBER();

	if (block == InvalidBlockNumber)
		return false;
	enter_block(s, block, block_rows(nrows, ANALYZE_BLOCKS));
	s->step = Max(divide_up(nrows, ANALYZE_ROWS), 1);
	s->phase = pg_prng_uint64_range(&pg_global_prng_state, 0, s->step - 1);
	return true;
}

/*
 * Count all rows of the block, and return every step-th of them, starting at a
 * random one: a few rows of each block are as good a sample as all rows of fewer
 * blocks, and less of the log is read.  Entries that are aborted or unresolved are
 * neither live nor dead.
 */
bool
rq_scan_analyze_next_tuple(TableScanDesc scan, TransactionId oldest_xmin,
						   double *live, double *dead, TupleTableSlot *slot)
{
	RqScan	   *s = (RqScan *) scan;

	while (s->first < s->last)
	{
		uint64		row = s->first++;

		ExecClearTuple(slot);
		rq_scan_seek(s, row);
		if (!rq_scan_fetch(s, slot))
			continue;
		*live += 1;
		if (row % s->step == s->phase)
		{
			rq_slot_shorten(slot);
			return true;
		}
	}
	ExecClearTuple(slot);
	return false;
}
