/*
 * rocketq.c
 *	  Load the library: settings, resource manager, hooks, workers.
 *
 * src/README says where everything is and in which order to read it.
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "storage/ipc.h"

#include "am/rq_tableam.h"
#include "base/rq_guc.h"
#include "base/rq_waits.h"
#include "consume/rq_owner.h"
#include "consume/rq_readers.h"
#include "consume/rq_unused.h"
#include "ddl/rq_access_hook.h"
#include "ddl/rq_executor_hook.h"
#include "ddl/rq_label.h"
#include "ddl/rq_utility_hook.h"
#include "extent/rq_extmem.h"
#include "log/rq_disk.h"
#include "log/rq_log.h"
#include "produce/rq_produce.h"
#include "produce/rq_touched.h"
#include "queue/rq_late.h"
#include "retain/rq_kept.h"
#include "shmem/rq_latency.h"
#include "shmem/rq_bits.h"
#include "shmem/rq_parts.h"
#include "shmem/rq_shmem.h"
#include "shmem/rq_stats.h"
#include "shmem/rq_workers.h"
#include "topic/rq_growth.h"
#include "topic/rq_tables.h"
#include "topic/rq_waiters.h"
#include "txn/rq_txn.h"
#include "value/rq_relation.h"
#include "value/rq_serializable.h"
#include "wal/rq_rmgr.h"
#include "wal/rq_state.h"
#include "wal/rq_stateload.h"
#include "worker/rq_worker.h"

PG_MODULE_MAGIC;

/*
 * What each layer keeps in shared memory, in the order in which it is set up:
 * a part may use those before it.
 */
const RqPart *const rq_parts[] = {
	&rq_control_part,
	&rq_meta_lock_part,
	&rq_backends_part,
	&rq_workers_part,
	&rq_stats_part,
	&rq_latency_part,
	&rq_log_part,
	&rq_disk_part,
	&rq_gaps_part,
	&rq_extents_part,
	&rq_chunks_part,
	&rq_slots_part,
	&rq_bits_part,
	&rq_tables_part,
	&rq_topics_part,
	&rq_queues_part,
	&rq_groups_part,
	&rq_offsets_part,
	&rq_growth_part,
	&rq_offset_uses_part,
	&rq_late_part,
	&rq_waiters_part,
	&rq_unused_part,
	&rq_kept_part,
	&rq_store_part,
	NULL
};

extern PGDLLEXPORT void _PG_init(void);

PG_FUNCTION_INFO_V1(rocketq_tableam_handler);

static shmem_request_hook_type prev_shmem_request = NULL;
static shmem_startup_hook_type prev_shmem_startup = NULL;

static void
rocketq_shmem_request(void)
{
	if (prev_shmem_request)
		prev_shmem_request();
	rq_parts_request();
}

/*
 * The state is loaded here, in the postmaster, since it has to be there before
 * the startup process replays the first record.  After a crash restart the
 * memory is new, so "loaded" is false again.
 */
static void
rocketq_shmem_startup(void)
{
	if (prev_shmem_startup)
		prev_shmem_startup();
	rq_waits_register();
	rq_parts_startup();
	if (!rq_store->loaded)
		rq_state_load();
}

/*
 * Install the hooks of ddl/.  Their order does not matter, but value/ has to know
 * the routine of topics before the first hook checks whether a relation is one.
 *
 * Called at server start.  If the library is not preloaded, called when a process
 * first opens a topic, so that its columns are protected even then.
 */
static void
install_hooks(void)
{
	static bool installed = false;

	if (installed)
		return;
	installed = true;
	rq_relation_init(&rq_table_am);
	rq_access_hook_install();
	rq_executor_hook_install();
	rq_utility_hook_install();
}

Datum
rocketq_tableam_handler(PG_FUNCTION_ARGS)
{
	install_hooks();
	PG_RETURN_POINTER(&rq_table_am);
}

/*
 * Shared memory and the resource manager are available only at server start.
 * So nothing is set up unless the library is preloaded; every function checks
 * that (rq_require_preload()).
 */
void
_PG_init(void)
{
	if (!process_shared_preload_libraries_in_progress)
		return;

	rq_guc_define();
	rq_rmgr_register();

	/* In this order: see rq_serializable_init(). */
	rq_serializable_init();
	rq_txn_init();
	rq_produce_init();
	rq_touched_init();
	rq_readers_init();
	rq_owner_init();
	install_hooks();
	rq_label_init();

	prev_shmem_request = shmem_request_hook;
	shmem_request_hook = rocketq_shmem_request;
	prev_shmem_startup = shmem_startup_hook;
	shmem_startup_hook = rocketq_shmem_startup;

	rq_workers_register();
}
