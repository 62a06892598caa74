/*
 * rq_reserve.c
 *	  Reserve a stretch of the commit log, write to it, end the reservation.
 *
 * Sole writer of log_end but for redo (rq_gaps.c).  Only the reservation is
 * serial: a spinlock held for a few instructions.  Copying and WAL insertion run
 * in parallel.  Everything that can fail comes before the reservation, the rest is
 * a critical section.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "access/xloginsert.h"
#include "miscadmin.h"
#include "utils/timestamp.h"

#include "base/rq_compat.h"
#include "base/rq_error.h"
#include "base/rq_fault.h"
#include "format/rq_segfmt.h"
#include "log/rq_reserve_private.h"
#include "shmem/rq_shmem.h"
#include "shmem/rq_stats.h"
#include "shmem/rq_workers.h"
#include "store/rq_map.h"

/* How long producers wait for an allocator that is not there. */
#define ALLOCATOR_WAIT_S	10

uint64
rq_log_max_frame(void)
{
	return rq_ctl->segment_size - RQ_SEG_HEADER_SIZE;
}

static RqPlace
place_at(RqPos log_end, const uint32 *lens, int n)
{
	const uint64 size = rq_ctl->segment_size;
	RqPlace		p = {.start = log_end};
	uint64		rest = size - rq_log_in_segment(log_end);

	if (rest == size)
	{
		p.start = log_end + RQ_SEG_HEADER_SIZE;
		rest -= RQ_SEG_HEADER_SIZE;
	}
	else if (rest < lens[0])
	{
		/* A rest too small for a frame header needs no filler. */
		p.filler = log_end;
		p.filler_len = rest < RQ_FRAME_HEADER_SIZE ? 0 : rest;
		p.start = log_end + rest + RQ_SEG_HEADER_SIZE;
		rest = size - RQ_SEG_HEADER_SIZE;
	}
	p.end = p.start;
	while (p.take < n && lens[p.take] <= rest)
	{
		p.end += lens[p.take];
		rest -= lens[p.take];
		p.take++;
	}
	return p;
}

void
rq_log_report_no_segment(int err)
{
	bool		is_full = err == ENOSPC || err == EDQUOT;

	errno = err;
	ereport(ERROR,
			(is_full ? errcode(ERRCODE_DISK_FULL) : errcode_for_file_access(),
			 errmsg("could not allocate a segment of the rocketq commit log: %m"),
			 is_full ?
			 errhint("Free some space in \"%s\"; producers go on by themselves.",
					 RQ_LOG_DIR) :
			 errhint("Mend \"%s\"; producers go on by themselves.",
					 RQ_LOG_DIR)));
}

/* Wait until the allocator has made segments up to "end". */
static void
wait_for_space(RqPos end)
{
	static uint32 wait_event = 0;
	int			rounds_alone = 0;

	/* The allocator works while the gate is open. */
	rq_gate_enter();
	rq_gate_leave();
	if (wait_event == 0)
		wait_event = rq_wait_event_new("RocketqAllocate");

	ConditionVariablePrepareToSleep(&rq_ctl->alloc_cv);
	while (pg_atomic_read_u64(&rq_ctl->alloc_end) < end)
	{
		uint32		err = pg_atomic_read_u32(&rq_ctl->alloc_errno);

		if (err != 0)
		{
			ConditionVariableCancelSleep();
			rq_worker_wake(RQ_ALLOCATOR);
			rq_count_refused_file(err);
			rq_log_report_no_segment(err);
		}
		if (rq_workers[RQ_ALLOCATOR].pid == 0 &&
			++rounds_alone > ALLOCATOR_WAIT_S)
		{
			ConditionVariableCancelSleep();
			rq_count(RQ_STAT_REFUSED_CLOSED, 1);
			ereport(ERROR,
					(errcode(ERRCODE_CANNOT_CONNECT_NOW),
					 errmsg("the rocketq store has no room for a message"),
					 errdetail("The worker \"rocketq allocator\" is not running."),
					 errhint("See the server log; max_worker_processes must leave room for %d workers of rocketq.",
							 RQ_NWORKERS)));
		}
		rq_worker_wake(RQ_ALLOCATOR);
		ConditionVariableTimedSleep(&rq_ctl->alloc_cv, 1000, wait_event);
	}
	ConditionVariableCancelSleep();
}

void
rq_log_report_missing(uint64 segno)
{
	char		path[MAXPGPATH];

	rq_log_path(path, segno);
	rq_report_corruption("commit log",
						 psprintf("The file \"%s\" is missing", path));
}

/* Map the segments of a place; throws. */
static void
map_place(RqPlace *p)
{
	const uint64 size = rq_ctl->segment_size;

	p->filler_base = p->filler_len == 0 ? NULL :
		rq_map_log(rq_log_segno(p->filler), size, RQ_MAP_WRITE, false);
	p->base = rq_map_log(rq_log_segno(p->start), size, RQ_MAP_WRITE, false);
	if (p->base == NULL)
		rq_log_report_missing(rq_log_segno(p->start));
	if (p->filler_len > 0 && p->filler_base == NULL)
		rq_log_report_missing(rq_log_segno(p->filler));
}

/* Take a place that is still at the log's end; false if its segments are not. */
static bool
take_place(RqPlace *p, const uint32 *lens, int n)
{
	RqBackend  *me = RQ_MY_BACKEND;
	RqPlace		now;
	bool		taken = false;

	SpinLockAcquire(&rq_ctl->reserve_lock);
	now = place_at(pg_atomic_read_u64(&rq_ctl->log_end), lens, n);
	if (rq_log_segno(now.start) == rq_log_segno(p->start) &&
		(now.filler_len == 0) == (p->filler_len == 0))
	{
		taken = true;
		pg_atomic_write_u64(&me->inflight_end, now.end);
		pg_write_barrier();
		pg_atomic_write_u64(&me->inflight_start,
							now.filler_len ? now.filler : now.start);
		pg_write_barrier();
		pg_atomic_write_u64(&rq_ctl->log_end, now.end);
	}
	SpinLockRelease(&rq_ctl->reserve_lock);
	now.base = p->base;
	now.filler_base = p->filler_base;
	*p = now;
	return taken;
}

/* Remember the lowest position of this transaction, which trim must spare. */
static void
note_xact_pos(RqPos pos)
{
	RqBackend  *me = RQ_MY_BACKEND;

	if (pos < pg_atomic_read_u64(&me->xact_pos))
		pg_atomic_write_u64(&me->xact_pos, pos);
}

void
rq_log_forget_xact(void)
{
	RqBackend  *me = RQ_MY_BACKEND;

	if (pg_atomic_read_u64(&me->xact_pos) != RQ_INVALID_POS)
		pg_atomic_write_u64(&me->xact_pos, RQ_INVALID_POS);
}

void
rq_log_insert_append(RqPos pos, RqPos end, const char *bytes, uint32 len, uint32 nframes)
{
	xl_rq_append rec = {.pos = pos, .span = end - pos, .nframes = nframes,
	.segment_mb = rq_ctl->segment_mb};

	XLogBeginInsert();
	rq_xlog_register(&rec, SizeOfRqAppend);
	rq_xlog_register(bytes, len);
	rq_xlog_insert(XLOG_RQ_APPEND);
}

void
rq_log_write(char *base, RqPos pos, const char *frames, uint32 len,
			 uint32 nframes)
{
	memcpy(base + rq_log_in_segment(pos), frames, len);
	RQ_FAULT("append-store");
	rq_log_insert_append(pos, pos + len, frames, len, nframes);
	RQ_FAULT("append-wal");
}

void
rq_log_write_filler(char *base, RqPos pos, uint32 len)
{
	RqFrame		filler;

	rq_frame_filler((char *) &filler, pos, len, GetCurrentTimestamp());
	memcpy(base + rq_log_in_segment(pos), &filler, sizeof(filler));
	rq_log_insert_append(pos, pos + len, (char *) &filler, sizeof(filler), 1);
}

RqPlace
rq_log_reserve(const uint32 *lens, int n)
{
	RqPlace		p;

	for (;;)
	{
		p = place_at(pg_atomic_read_u64(&rq_ctl->log_end), lens, n);
		if (p.end > pg_atomic_read_u64(&rq_ctl->alloc_end))
		{
			wait_for_space(p.end);
			continue;
		}
		map_place(&p);
		rq_gate_enter();
		if (take_place(&p, lens, n))
			break;
		rq_gate_leave();
	}
	START_CRIT_SECTION();
	note_xact_pos(p.start);
	RQ_FAULT("append-reserve");
	if (p.filler_len > 0)
		rq_log_write_filler(p.filler_base, p.filler, p.filler_len);
	return p;
}

/* A filler before it ends a segment: another one is needed. */
void
rq_log_leave(const RqPlace *p)
{
	END_CRIT_SECTION();
	rq_gate_leave();
	if (p->filler_len > 0)
		rq_worker_wake(RQ_ALLOCATOR);
}

void
rq_log_published(void)
{
	pg_atomic_write_u64(&RQ_MY_BACKEND->inflight_start, RQ_INVALID_POS);
}

RqPos
rq_log_safe_end(void)
{
	RqPos		safe = pg_atomic_read_u64(&rq_ctl->log_end);

	pg_memory_barrier();
	for (int i = 0; i < rq_max_backends(); i++)
	{
		/* Read once: Min() would read again what may have ended meanwhile. */
		RqPos		start = pg_atomic_read_u64(&rq_backends[i].inflight_start);

		safe = Min(safe, start);
	}
	return safe;
}
