/*
 * rq_guc.c
 *	  The settings of rocketq: one call per setting, nothing else.
 */
#include "postgres.h"

#include <limits.h>

#include "utils/guc.h"

#include "base/rq_base.h"
#include "base/rq_fault.h"
#include "base/rq_guc.h"

int			rq_segment_size_mb = 64;
int			rq_max_topics = 1024;
int			rq_max_queues = 16384;
int			rq_max_consumer_slots = 16384;
int			rq_max_message_size = 4 * 1024 * 1024;
int			rq_default_queues = 8;
int			rq_preallocate_segments = 2;
int			rq_keeper_interval_ms = 50;
int			rq_janitor_interval_ms = 1000;
int			rq_retention_time_s = 72 * 3600;
bool		rq_track_latency = true;

/* Settings that size files and shared memory: fixed at server start. */
static void
define_sizes(void)
{
	DefineCustomIntVariable("rocketq.segment_size",
							"Size of one commit log segment.",
							"Fixed when the store is created; later changes of the setting have no effect.",
							&rq_segment_size_mb, 64, 1, RQ_SEGMENT_MB_MAX,
							PGC_POSTMASTER, GUC_UNIT_MB, NULL, NULL, NULL);
	DefineCustomIntVariable("rocketq.max_topics",
							"Most topics that the store can hold.",
							NULL,
							&rq_max_topics, 1024, 16, 1000000,
							PGC_POSTMASTER, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("rocketq.max_queues",
							"Most queues that all topics together can have.",
							NULL,
							&rq_max_queues, 16384, 16, 10000000,
							PGC_POSTMASTER, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("rocketq.max_consumer_slots",
							"Most pairs of consumer group and queue whose offset is kept.",
							NULL,
							&rq_max_consumer_slots, 16384, 64, 10000000,
							PGC_POSTMASTER, 0, NULL, NULL, NULL);
}

/* Pace of the workers and how long messages are kept. */
static void
define_upkeep(void)
{
	DefineCustomIntVariable("rocketq.preallocate_segments",
							"Commit log segments kept ready ahead of the one being written.",
							NULL,
							&rq_preallocate_segments, 2, 1, 64,
							PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("rocketq.keeper_interval",
							"Time between two looks of the keeper at the checkpoint's redo pointer.",
							NULL,
							&rq_keeper_interval_ms, 50, 10, 1000,
							PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable("rocketq.janitor_interval",
							"Time between two rounds of the janitor.",
							NULL,
							&rq_janitor_interval_ms, 1000, 10, 3600 * 1000,
							PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable("rocketq.retention_time",
							"How long messages are kept once every group has consumed them.",
							"-1 keeps them for ever.",
							&rq_retention_time_s, 72 * 3600, -1, INT_MAX,
							PGC_SIGHUP, GUC_UNIT_S, NULL, NULL, NULL);
}

/* What is measured. */
static void
define_statistics(void)
{
	DefineCustomBoolVariable("rocketq.track_latency",
							 "Measures how long producing takes.",
							 "The views of rocketq.produce_latency show it.",
							 &rq_track_latency, true,
							 PGC_SUSET, 0, NULL, NULL, NULL);
}

/* Define every setting; called once, from _PG_init. */
void
rq_guc_define(void)
{
	define_sizes();
	define_upkeep();
	define_statistics();

	DefineCustomIntVariable("rocketq.max_message_size",
							"Largest body plus keys and properties of one message.",
							NULL,
							&rq_max_message_size, 4 * 1024 * 1024, 1024,
							64 * 1024 * 1024,
							PGC_SUSET, GUC_UNIT_BYTE, NULL, NULL, NULL);
	DefineCustomIntVariable("rocketq.default_queues",
							"Queues of a topic made by CREATE TABLE ... USING rocketq.",
							NULL,
							&rq_default_queues, 8, 1, RQ_QUEUES_MAX,
							PGC_USERSET, 0, NULL, NULL, NULL);

	rq_fault_define_guc();
	MarkGUCPrefixReserved("rocketq");
}
