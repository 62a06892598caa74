/*
 * rq_store_views_sql.c
 *	  Functions behind the views of the store: its files, tables and workers.
 */
#include "postgres.h"

#include <sys/stat.h>

#include "access/xlog.h"
#include "utils/builtins.h"
#include "utils/pg_lsn.h"

#include "api/rq_row.h"
#include "base/rq_guc.h"
#include "extent/rq_extmem.h"
#include "format/rq_segfmt.h"
#include "log/rq_disk.h"
#include "log/rq_log.h"
#include "retain/rq_kept.h"
#include "shmem/rq_shmem.h"
#include "shmem/rq_workers.h"
#include "topic/rq_tables.h"
#include "wal/rq_state.h"

PG_FUNCTION_INFO_V1(rocketq_get_segments);
PG_FUNCTION_INFO_V1(rocketq_get_queue_space);
PG_FUNCTION_INFO_V1(rocketq_get_disk);
PG_FUNCTION_INFO_V1(rocketq_get_slots);
PG_FUNCTION_INFO_V1(rocketq_get_workers);

/* When the segment's first message was stored, 0 if it has none. */
static TimestampTz
first_stored(RqPos start, RqPos end)
{
	RqFrame		frame;
	RqPos		next;
	const char *problem;

	if (rq_log_walk(&start, end, &frame, &next, &problem) && problem == NULL)
		return frame.stored_at;
	return 0;
}

/* Why a segment exists. */
static char *
why_kept(RqPos start, RqPos end, RqPos log_end, const RqKept *kept)
{
	if (start >= log_end)
		return pstrdup("ready for use");
	if (end > log_end)
		return pstrdup("being written");
	if (RecoveryInProgress())
		return pstrdup("the primary");
	if (kept->what == RQ_KEEPS_UNKNOWN)
		return rq_kept_by(kept);
	if (end <= kept->pos)
		return pstrdup("to be removed");
	if (start > kept->pos)
		return pstrdup("the segments before it");
	return rq_kept_by(kept);
}

static void
put_segment(ReturnSetInfo *rsinfo, uint64 segno, RqPos log_end,
			const RqKept *kept)
{
	RqPos		start = rq_log_segment_start(segno);
	RqPos		end = start + rq_log->segment_size;
	RqPos		safe_end = rq_log_written_end();
	char		path[MAXPGPATH];
	struct stat st;
	RqRow		row = {.n = 0};

	rq_log_path(path, segno);
	rq_row_value(&row, CStringGetTextDatum(path));
	rq_row_value(&row, Int64GetDatum(start));
	rq_row_value(&row, Int64GetDatum(end));
	if (stat(path, &st) == 0)
		rq_row_value(&row, Int64GetDatum((int64) st.st_blocks * 512));
	else
		rq_row_null(&row);
	rq_row_value(&row, CStringGetTextDatum(end <= log_end ? "full" :
										   start < log_end ? "writing" : "ready"));
	rq_row_value(&row, Int64GetDatum(Min(end, Max(start, log_end)) - start));
	rq_row_time(&row, first_stored(start, Min(end, safe_end)));
	rq_row_time(&row, first_stored(end, Min(end + rq_log->segment_size, safe_end)));
	rq_row_value(&row, CStringGetTextDatum(why_kept(start, end, log_end, kept)));
	rq_row_finish(rsinfo, &row);
}

Datum
rocketq_get_segments(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = rq_rows_begin(fcinfo);
	RqPos		log_end = pg_atomic_read_u64(&rq_log->end);
	RqPos		last = Max(log_end, pg_atomic_read_u64(&rq_log->alloc_end));
	uint64		segno = rq_log_segno(pg_atomic_read_u64(&rq_log->start));
	RqKept		kept = rq_kept_get();

	for (; rq_log_segment_start(segno) < last; segno++)
		put_segment(rsinfo, segno, log_end, &kept);
	return (Datum) 0;
}

/* What area files take on the disk, and how many there are. */
static uint64
area_files_bytes(uint32 chunks, int *files)
{
	uint32		most = (chunks + RQ_AREA_CHUNKS - 1) / RQ_AREA_CHUNKS;
	uint64		bytes = 0;

	*files = 0;
	for (uint32 i = 0; i < most; i++)
	{
		char		path[MAXPGPATH];
		struct stat st;

		rq_area_path(path, i);
		if (stat(path, &st) != 0)
			continue;
		bytes += (uint64) st.st_blocks * 512;
		(*files)++;
	}
	return bytes;
}

Datum
rocketq_get_queue_space(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = rq_rows_begin(fcinfo);
	RqExtSpace	s = rq_extents_space();
	int			files;
	uint64		disk = area_files_bytes(s.chunks, &files);
	RqRow		row = {.n = 0};

	rq_row_value(&row, Int32GetDatum(files));
	rq_row_value(&row, Int64GetDatum((int64) disk));
	rq_row_value(&row, Int64GetDatum((int64) s.used));
	rq_row_value(&row, Int64GetDatum((int64) s.waiting));
	rq_row_value(&row, Int64GetDatum((int64) s.free));
	rq_row_value(&row, Int64GetDatum((int64) s.raw));
	rq_row_finish(rsinfo, &row);
	return (Datum) 0;
}

/* No row if the operating system does not tell. */
Datum
rocketq_get_disk(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = rq_rows_begin(fcinfo);
	RqDisk		d;
	RqRow		row = {.n = 0};

	if (!rq_disk_measure(&d))
		return (Datum) 0;
	rq_row_value(&row, Int64GetDatum((int64) d.size));
	rq_row_value(&row, Int64GetDatum((int64) d.used));
	rq_row_value(&row, Float8GetDatum(d.percent));
	rq_row_value(&row, BoolGetDatum(rq_disk_refuses()));
	rq_row_finish(rsinfo, &row);
	return (Datum) 0;
}

static void
put_slots(ReturnSetInfo *rsinfo, const char *table, uint32 used, uint32 size,
		  const char *setting)
{
	RqRow		row = {.n = 0};

	rq_row_value(&row, CStringGetTextDatum(table));
	rq_row_value(&row, Int64GetDatum(used));
	rq_row_value(&row, Int64GetDatum(size));
	rq_row_value(&row, CStringGetTextDatum(setting));
	rq_row_finish(rsinfo, &row);
}

/* Slots of a pool are given in whole blocks, and so it has no part of one. */
static void
put_pool(ReturnSetInfo *rsinfo, const char *table, const RqPool *pool,
		 const char *setting)
{
	uint32		size = pool->nblocks * RQ_SLOTS_BLOCK;

	put_slots(rsinfo, table, size - rq_slots_left(pool), size, setting);
}

Datum
rocketq_get_slots(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = rq_rows_begin(fcinfo);
	RqPool		queues;
	RqPool		offsets;
	uint32		ntopics;
	uint32		ngroups;

	LWLockAcquire(rq_meta_lock, LW_SHARED);
	queues = *rq_queue_pool;
	offsets = *rq_offset_pool;
	ntopics = rq_tables->ntopics;
	ngroups = rq_tables->ngroups;
	LWLockRelease(rq_meta_lock);
	put_slots(rsinfo, "topics", ntopics, rq_max_topics, "rocketq.max_topics");
	put_pool(rsinfo, "queues", &queues, "rocketq.max_queues");
	put_slots(rsinfo, "groups", ngroups, rq_max_groups, "rocketq.max_groups");
	put_pool(rsinfo, "consumer_slots", &offsets, "rocketq.max_consumer_slots");
	return (Datum) 0;
}

static const char *
worker_state(const RqWorker *w)
{
	static const char *const names[] = {
		[RQ_WORKER_STARTING] = "starting",
		[RQ_WORKER_IDLE] = "idle",
		[RQ_WORKER_WORKING] = "working",
		[RQ_WORKER_SYNCING] = "syncing",
	};

	if (w->pid == 0)
		return RecoveryInProgress() ? "in recovery" : "stopped";
	return w->failing ? "failing" : names[w->state];
}

static void
put_worker_errors(RqRow *row, RqWorker *w)
{
	char		message[RQ_WORKER_ERROR_MAX];
	uint64		errors;
	TimestampTz at;

	SpinLockAcquire(&w->error_lock);
	errors = w->errors;
	at = w->last_error_at;
	strlcpy(message, w->last_error, sizeof(message));
	SpinLockRelease(&w->error_lock);
	rq_row_value(row, Int64GetDatum(errors));
	rq_row_time(row, at);
	rq_row_if(row, errors > 0, CStringGetTextDatum(message));
}

static void
put_worker(ReturnSetInfo *rsinfo, const char *name, RqWorkerKind kind)
{
	RqWorker   *w = &rq_workers[kind];
	bool		has_synced = kind == RQ_KEEPER && rq_store->syncs > 0;
	RqRow		row = {.n = 0};

	rq_row_value(&row, CStringGetTextDatum(name));
	rq_row_pid(&row, w->pid);
	rq_row_time(&row, w->started_at);
	rq_row_time(&row, w->last_tick_at);
	rq_row_value(&row, Int64GetDatum(w->ticks));
	rq_row_if(&row, kind == RQ_KEEPER, Int64GetDatum(rq_store->syncs));
	rq_row_time(&row, kind == RQ_KEEPER ? rq_store->last_sync_at : 0);
	rq_row_if(&row, has_synced, Float8GetDatum(rq_store->last_sync_us / 1000.0));
	rq_row_if(&row, kind == RQ_KEEPER && rq_store->synced_redo != InvalidXLogRecPtr,
			  LSNGetDatum(rq_store->synced_redo));
	rq_row_value(&row, CStringGetTextDatum(worker_state(w)));
	put_worker_errors(&row, w);
	rq_row_if(&row, has_synced, Int64GetDatum(rq_store->last_sync_bytes));
	rq_row_finish(rsinfo, &row);
}

Datum
rocketq_get_workers(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = rq_rows_begin(fcinfo);

	put_worker(rsinfo, "keeper", RQ_KEEPER);
	put_worker(rsinfo, "allocator", RQ_ALLOCATOR);
	put_worker(rsinfo, "janitor", RQ_JANITOR);
	return (Datum) 0;
}
