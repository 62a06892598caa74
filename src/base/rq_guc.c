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
int			rq_max_topics = 16384;
int			rq_max_queues = 262144;
int			rq_max_groups = 16384;
int			rq_max_consumer_slots = 262144;
int			rq_max_message_size = 4 * 1024 * 1024;
int			rq_default_queues = 8;
int			rq_preallocate_segments = 2;
int			rq_keeper_interval_ms = 50;
int			rq_flush_delay_ms = 1000;
bool		rq_ignore_missing_files = false;
int			rq_janitor_interval_ms = 1000;
int			rq_retention_time_s = 72 * 3600;
bool		rq_track_latency = true;

/* fair shares */
int			rq_max_groups_per_topic = 128;
int			rq_max_queues_per_topic = RQ_QUEUES_MAX;
int			rq_max_consumer_slots_per_topic = 131072;
bool		rq_auto_create_groups = true;
int			rq_group_expire_time_s = -1;

/* retention, the disk, the server log */
int			rq_retention_size_mb = -1;
bool		rq_keep_unconsumed = true;
int			rq_max_kept_size_mb = -1;
int			rq_group_idle_timeout_s = 7 * 24 * 3600;
int			rq_disk_warn_percent = 85;
int			rq_disk_trim_percent = 90;
int			rq_disk_refuse_percent = 95;
bool		rq_log_store = true;
int			rq_log_slow_sync_ms = 1000;

static bool
check_segment_size(int *newval, void **extra, GucSource source)
{
	if (RQ_SEGMENT_MB_OK(*newval))
		return true;
	GUC_check_errdetail("The size of a segment must be a power of 2.");
	return false;
}

/* Slots are given out in blocks, so a part of one would be of no use. */
static bool
round_up_to_blocks(int *newval, void **extra, GucSource source)
{
	*newval = TYPEALIGN(RQ_SLOTS_BLOCK, *newval);
	return true;
}

/* Settings that size files and shared memory: fixed at server start. */
static void
define_sizes(void)
{
	DefineCustomIntVariable("rocketq.segment_size",
							"Sets the size of a commit log segment.",
							"It must be a power of 2. It is fixed when the store is created; later changes have no effect.",
							&rq_segment_size_mb, 64, 1, RQ_SEGMENT_MB_MAX,
							PGC_POSTMASTER, GUC_UNIT_MB,
							check_segment_size, NULL, NULL);
	DefineCustomIntVariable("rocketq.max_topics",
							"Sets the maximum number of topics.",
							NULL,
							&rq_max_topics, 16384, 16, 1000000,
							PGC_POSTMASTER, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("rocketq.max_queues",
							"Sets the maximum number of queues of all topics together.",
							"They are given out in blocks of 8; each topic has whole blocks.",
							&rq_max_queues, 262144, 16, 10000000,
							PGC_POSTMASTER, 0, round_up_to_blocks, NULL, NULL);
	DefineCustomIntVariable("rocketq.max_groups",
							"Sets the maximum number of consumer groups of all topics together.",
							NULL,
							&rq_max_groups, 16384, 16, 1000000,
							PGC_POSTMASTER, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("rocketq.max_consumer_slots",
							"Sets the maximum number of consumer slots: pairs of a consumer group and a queue.",
							"They are given out in blocks of 8; each consumer group has whole blocks.",
							&rq_max_consumer_slots, 262144, 64, 10000000,
							PGC_POSTMASTER, 0, round_up_to_blocks, NULL, NULL);
}

/*
 * How much of what all share one topic and its users can take.  A superuser can
 * set them for a role or database.
 */
static void
define_shares(void)
{
	DefineCustomIntVariable("rocketq.max_groups_per_topic",
							"Sets the maximum number of consumer groups of one topic.",
							NULL,
							&rq_max_groups_per_topic, 128, 1, 1000000,
							PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("rocketq.max_queues_per_topic",
							"Sets the maximum number of queues of one topic.",
							NULL,
							&rq_max_queues_per_topic, RQ_QUEUES_MAX, 1, RQ_QUEUES_MAX,
							PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("rocketq.max_consumer_slots_per_topic",
							"Sets the maximum number of consumer slots of one topic.",
							"Each consumer group of the topic has whole blocks of 8.",
							&rq_max_consumer_slots_per_topic, 131072, 1, 10000000,
							PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable("rocketq.auto_create_groups",
							 "Creates a consumer group when it first consumes.",
							 "If off, the owner of the topic has to create it with rocketq.create_group().",
							 &rq_auto_create_groups, true,
							 PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("rocketq.group_expire_time",
							"Sets the time after which an unused consumer group is dropped.",
							"-1 means never.",
							&rq_group_expire_time_s, -1, -1, INT_MAX,
							PGC_SIGHUP, GUC_UNIT_S, NULL, NULL, NULL);
}

/* What the server does about a store that is damaged. */
static void
define_damage(void)
{
	DefineCustomBoolVariable("rocketq.ignore_missing_files",
							 "Starts the server even if files of the store are missing.",
							 "The messages in them are lost.",
							 &rq_ignore_missing_files, false,
							 PGC_POSTMASTER, GUC_NOT_IN_SAMPLE,
							 NULL, NULL, NULL);
}

/* Pace of the workers. */
static void
define_upkeep(void)
{
	DefineCustomIntVariable("rocketq.preallocate_segments",
							"Sets the number of commit log segments kept ready after the one being written.",
							NULL,
							&rq_preallocate_segments, 2, 1, 64,
							PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("rocketq.keeper_interval",
							"Sets how often the keeper checks the redo pointer of checkpoints.",
							NULL,
							&rq_keeper_interval_ms, 50, 10, 1000,
							PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable("rocketq.flush_delay",
							"Sets how long data in the commit log may wait before it is flushed to disk.",
							"-1 leaves flushing to checkpoints.",
							&rq_flush_delay_ms, 1000, -1, INT_MAX,
							PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable("rocketq.janitor_interval",
							"Sets the time between rounds of the janitor.",
							NULL,
							&rq_janitor_interval_ms, 1000, 10, 3600 * 1000,
							PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
}

/* How long messages are kept. */
static void
define_retention(void)
{
	DefineCustomIntVariable("rocketq.retention_time",
							"Sets how long messages are kept.",
							"Messages that a consumer group holds are kept longer. -1 keeps messages forever.",
							&rq_retention_time_s, 72 * 3600, -1, INT_MAX,
							PGC_SIGHUP, GUC_UNIT_S, NULL, NULL, NULL);
	DefineCustomIntVariable("rocketq.retention_size",
							"Sets the size of the commit log above which the oldest messages are removed early.",
							"-1 means no limit.",
							&rq_retention_size_mb, -1, -1, INT_MAX,
							PGC_SIGHUP, GUC_UNIT_MB, NULL, NULL, NULL);
	DefineCustomBoolVariable("rocketq.keep_unconsumed",
							 "Keeps messages until every consumer group of their topic has consumed them.",
							 NULL,
							 &rq_keep_unconsumed, true,
							 PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("rocketq.max_kept_size",
							"Sets how much of the commit log consumer groups and readers can hold.",
							"-1 means no limit.",
							&rq_max_kept_size_mb, -1, -1, INT_MAX,
							PGC_SIGHUP, GUC_UNIT_MB, NULL, NULL, NULL);
	DefineCustomIntVariable("rocketq.group_idle_timeout",
							"Sets the time after which an unused consumer group stops holding messages.",
							"-1 means never.",
							&rq_group_idle_timeout_s, 7 * 24 * 3600, -1, INT_MAX,
							PGC_SIGHUP, GUC_UNIT_S, NULL, NULL, NULL);
}

/* What is measured. */
static void
define_statistics(void)
{
	DefineCustomBoolVariable("rocketq.track_latency",
							 "Measures how long producing takes.",
							 "The views rocketq.produce_latency, and those whose names begin like that, show it.",
							 &rq_track_latency, true,
							 PGC_SUSET, 0, NULL, NULL, NULL);
}

/* Shares of the disk that are used, in percent. */
static void
define_disk(void)
{
	DefineCustomIntVariable("rocketq.disk_warn_percent",
							"Sets how full the disk of the store can be before a warning is logged.",
							"0 and 100 disable it.",
							&rq_disk_warn_percent, 85, 0, 100,
							PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("rocketq.disk_trim_percent",
							"Sets how full the disk of the store can be before messages that are not held are removed early.",
							"0 and 100 disable it.",
							&rq_disk_trim_percent, 90, 0, 100,
							PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("rocketq.disk_refuse_percent",
							"Sets how full the disk of the store can be before producers are refused.",
							"0 and 100 disable it.",
							&rq_disk_refuse_percent, 95, 0, 100,
							PGC_SIGHUP, 0, NULL, NULL, NULL);
}

/* What is written to the server log. */
static void
define_logging(void)
{
	DefineCustomBoolVariable("rocketq.log_store",
							 "Logs each segment of the commit log that is created or removed.",
							 NULL,
							 &rq_log_store, true,
							 PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("rocketq.log_slow_sync",
							"Sets the minimum duration of a sync of the store above which it is logged.",
							"-1 disables it. If log_checkpoints is on, all syncs are logged.",
							&rq_log_slow_sync_ms, 1000, -1, INT_MAX,
							PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
}

/* Define every setting; called once, from _PG_init. */
void
rq_guc_define(void)
{
	define_sizes();
	define_shares();
	define_upkeep();
	define_damage();
	define_retention();
	define_disk();
	define_logging();
	define_statistics();

	DefineCustomIntVariable("rocketq.max_message_size",
							"Sets the maximum size of the body, keys, and properties of a message together.",
							NULL,
							&rq_max_message_size, 4 * 1024 * 1024, 1024,
							64 * 1024 * 1024,
							PGC_SUSET, GUC_UNIT_BYTE, NULL, NULL, NULL);
	DefineCustomIntVariable("rocketq.default_queues",
							"Sets the default number of queues of a new topic.",
							NULL,
							&rq_default_queues, 8, 1, RQ_QUEUES_MAX,
							PGC_USERSET, 0, NULL, NULL, NULL);

	rq_fault_define_guc();
	MarkGUCPrefixReserved("rocketq");
}
