/*
 * rq_parallel.c
 *	  Scans of a topic by several processes.
 *
 * The leader stores in shared memory what all processes read.  Each process takes
 * chunks of it until none are left: large ones first, so that access is mostly
 * sequential, and smaller ones at the end, so that all finish together.
 */
#include "postgres.h"

#include "utils/rel.h"

#include "am/rq_parallel.h"
#include "am/rq_range.h"
#include "topic/rq_topic.h"
#include "value/rq_relation.h"

/* A chunk has 1/CHUNK_SHARE of the rows left, within these limits. */
#define MIN_CHUNK		512
#define MAX_CHUNK		16384
#define CHUNK_SHARE		64

typedef struct ParallelScan
{
	ParallelBlockTableScanDescData block;	/* its base part is PostgreSQL's */
	pg_atomic_uint64 next_row;	/* first row not taken, or past the end */
	RqRange		range;
} ParallelScan;

static Size
shared_size(uint32 nqueues)
{
	return MAXALIGN(offsetof(ParallelScan, range)) + rq_range_size(nqueues);
}

/*
 * Our lock on the relation keeps the number of queues from changing before
 * rq_parallelscan_initialize(), but a topic without storage can get storage at any
 * time: assume the most queues that it can have.
 */
Size
rq_parallelscan_estimate(Relation rel)
{
	uint32		topic;

	rq_require_preload();
	topic = rq_relation_topic(rel, RQ_STORAGE_OPTIONAL);
	return shared_size(topic == RQ_NO_SLOT ?
					   RQ_QUEUES_MAX : rq_topic_nqueues(topic));
}

Size
rq_parallelscan_initialize(Relation rel, ParallelTableScanDesc pscan)
{
	ParallelScan *p = (ParallelScan *) pscan;
	uint32		topic = rq_relation_topic(rel, RQ_STORAGE_OPTIONAL);
	uint32		nqueues = topic == RQ_NO_SLOT ? 0 : rq_topic_nqueues(topic);

	(void) table_block_parallelscan_initialize(rel, pscan);
	pg_atomic_init_u64(&p->next_row, 0);
	rq_range_fill(&p->range, topic, nqueues);
	return shared_size(nqueues);
}

void
rq_parallelscan_reinitialize(Relation rel, ParallelTableScanDesc pscan)
{
	pg_atomic_write_u64(&((ParallelScan *) pscan)->next_row, 0);
}

RqRange *
rq_parallel_range(ParallelTableScanDesc pscan)
{
	return &((ParallelScan *) pscan)->range;
}

bool
rq_parallel_take(ParallelTableScanDesc pscan, uint64 *first, uint64 *last)
{
	ParallelScan *p = (ParallelScan *) pscan;
	uint64		nrows = p->range.nrows;
	uint64		next = pg_atomic_read_u64(&p->next_row);
	uint64		chunk;

	if (next >= nrows)
		return false;
	chunk = Min(Max((nrows - next) / CHUNK_SHARE, MIN_CHUNK), MAX_CHUNK);
	next = pg_atomic_fetch_add_u64(&p->next_row, chunk);
	if (next >= nrows)
		return false;
	*first = next;
	*last = Min(next + chunk, nrows);
	return true;
}
