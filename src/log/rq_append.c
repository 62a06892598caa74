/*
 * rq_append.c
 *	  Append frames to the commit log.
 *
 * Sole writer of log_end.  An append has three steps, and their order is what
 * makes it crash-safe:
 *
 *		1. store	copy the frame into the mapped segment
 *		2. log		insert the WAL record APPEND
 *		3. publish	end the reservation
 *
 * Whatever has an LSN below a redo pointer is then already in the page cache
 * when that redo pointer can be seen, so the keeper's fsync covers it.  Bytes
 * whose record never reached the disk are garbage, whatever the kernel wrote
 * back; redo finds such holes (rq_ctl->ngaps) and the keeper makes them
 * fillers.
 *
 * Only the reservation is serial: a spinlock held for a few instructions.
 * Copying and WAL insertion run in parallel.  Everything that can fail comes
 * before the reservation, the rest is a critical section.
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
#include "format/rq_statefmt.h"
#include "log/rq_append_private.h"
#include "log/rq_disk.h"
#include "log/rq_log.h"
#include "shmem/rq_shmem.h"
#include "shmem/rq_stats.h"
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

static void
report_no_segment(int err)
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
			report_no_segment(err);
		}
		if (rq_ctl->worker[RQ_ALLOCATOR].pid == 0 &&
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

RQ_NORETURN static void
report_missing(uint64 segno)
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
		report_missing(rq_log_segno(p->start));
	if (p->filler_len > 0 && p->filler_base == NULL)
		report_missing(rq_log_segno(p->filler));
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

static void
log_append(RqPos pos, RqPos end, const char *bytes, uint32 len, uint32 nframes)
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
	log_append(pos, pos + len, frames, len, nframes);
	RQ_FAULT("append-wal");
}

void
rq_log_write_filler(char *base, RqPos pos, uint32 len)
{
	RqFrame		filler;

	rq_frame_filler((char *) &filler, pos, len, GetCurrentTimestamp());
	memcpy(base + rq_log_in_segment(pos), &filler, sizeof(filler));
	log_append(pos, pos + len, (char *) &filler, sizeof(filler), 1);
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

/* Append as many of the frames as one segment takes; returns how many. */
static int
append_run(char *frames, const uint32 *lens, int n, RqPos *pos)
{
	char	   *frame = frames;
	RqPlace		p = rq_log_reserve(lens, n);
	RqPos		at = p.start;

	for (int i = 0; i < p.take; i++)
	{
		rq_frame_seal(frame, at);
		pos[i] = at;
		frame += lens[i];
		at += lens[i];
	}
	rq_log_write(p.base, p.start, frames, p.end - p.start, p.take);
	rq_log_published();
	rq_log_leave(&p);
	return p.take;
}

static void
report_too_large(uint32 len)
{
	rq_count(RQ_STAT_REFUSED_TOO_LARGE, 1);
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("message of %u bytes does not fit into a segment of the commit log",
					len),
			 errdetail("The segments of this store have %u MB.",
					   rq_ctl->segment_mb),
			 errhint("Keep large objects in a table and send a reference.")));
}

void
rq_log_append(char *frames, const uint32 *lens, int n, RqPos *pos, bool gather)
{
	for (int i = 0; i < n; i++)
		if (lens[i] > rq_log_max_frame())
			report_too_large(lens[i]);

	rq_disk_check_produce();
	if (gather && n == 1 && rq_log_gather(frames, lens[0], pos))
		return;
	rq_log_gather_write();
	while (n > 0)
	{
		int			done = append_run(frames, lens, n, pos);

		for (int i = 0; i < done; i++)
			frames += lens[i];
		lens += done;
		pos += done;
		n -= done;
	}
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

RqPos
rq_log_settled_end(void)
{
	RqPos		settled = rq_log_safe_end();

	pg_read_barrier();
	for (uint32 i = 0; i < rq_ctl->ngaps; i++)
		settled = Min(settled, rq_gaps[i].start);
	return settled;
}

/* Fill what one segment has of a gap. */
static void
fill_in_segment(uint64 segno, RqPos start, RqPos stop)
{
	const uint64 size = rq_ctl->segment_size;
	int			err = rq_log_create_segment(segno, true);
	char	   *base;

	if (err != 0)
		report_no_segment(err);
	base = rq_map_log(segno, size, RQ_MAP_WRITE, true);
	if (base == NULL)
		report_missing(segno);

	/*
	 * A backend can be caught between its WAL record and the end of its
	 * reservation, with the record below the redo pointer.  Its frames are
	 * complete then, and stay.  They are logged again, since others that are
	 * complete can lack a record, and a standby must get the same log.
	 */
	START_CRIT_SECTION();
	while (stop >= start + RQ_FRAME_HEADER_SIZE &&
		   rq_frame_check(base + rq_log_in_segment(start), stop - start, start, NULL) == NULL)
	{
		const RqFrame *f = (RqFrame *) (base + rq_log_in_segment(start));
		uint32		len = f->kind == RQ_FRAME_FILLER ? RQ_FRAME_HEADER_SIZE : f->len;

		log_append(start, start + f->len, (const char *) f, len, 1);
		start += f->len;
	}
	if (stop >= start + RQ_FRAME_HEADER_SIZE)
		rq_log_write_filler(base, start, stop - start);
	END_CRIT_SECTION();
}

void
rq_log_fill_gap(RqPos start, RqPos end)
{
	while (start < end)
	{
		uint64		segno = rq_log_segno(start);
		RqPos		seg_start = rq_log_segment_start(segno);
		RqPos		stop = Min(end, seg_start + rq_ctl->segment_size);

		start = Max(start, seg_start + RQ_SEG_HEADER_SIZE);
		fill_in_segment(segno, start, stop);
		start = stop;
	}
}

/* ---- redo ---- */

/* A stretch that was reserved before its turn: not written, as far as known. */
static void
add_gap(RqPos start, RqPos end)
{
	start = rq_log_frame_start(start);
	if (start >= end)
		return;
	if (rq_ctl->ngaps == rq_ctl->max_gaps)
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("too many unfinished appends in the rocketq commit log"),
				 errhint("Set max_connections to at least the primary's value.")));
	rq_gaps[rq_ctl->ngaps].start = start;
	rq_gaps[rq_ctl->ngaps].end = end;
	rq_ctl->ngaps++;
}

/*
 * [start, end) has been written: take it out of the gaps.  Who looks at them
 * meanwhile sees each in its place, as it was or as it is left.
 */
static void
close_gap(RqPos start, RqPos end)
{
	for (uint32 i = 0; i < rq_ctl->ngaps;)
	{
		RqStateGap *g = &rq_gaps[i];

		if (end <= g->start || start >= g->end)
		{
			i++;
			continue;
		}
		if (start > g->start)
		{
			add_gap(end, g->end);
			g->end = start;
			i++;
			continue;
		}
		g->start = rq_log_frame_start(end);
		if (g->start >= g->end)
			*g = rq_gaps[--rq_ctl->ngaps];
	}
}

/* A store that holds nothing yet takes over the segment size of the WAL. */
static void
match_segment_size(uint32 segment_mb)
{
	if (segment_mb == rq_ctl->segment_mb)
		return;
	if (pg_atomic_read_u64(&rq_ctl->log_end) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("WAL of a rocketq store with segments of %u MB meets one with %u MB",
						segment_mb, rq_ctl->segment_mb),
				 errhint("Take a new base backup of the primary.")));
	rq_set_segment_mb(segment_mb);
}

/* The segment that a record writes to, created if it is missing. */
static char *
open_for_redo(uint64 segno)
{
	char	   *base = rq_map_log(segno, rq_ctl->segment_size, RQ_MAP_WRITE, true);

	if (base == NULL)
	{
		int			err = rq_log_create_segment(segno, false);

		if (err != 0)
			report_no_segment(err);
		base = rq_map_log(segno, rq_ctl->segment_size, RQ_MAP_WRITE, true);
	}
	/* A segment that was cut short has been extended with zeros. */
	if (base != NULL && ((RqSegHeader *) base)->magic == 0)
		rq_seg_header_init((RqSegHeader *) base, rq_ctl->segment_mb,
						   rq_log_segment_start(segno));
	return base;
}

static void
redo_store(const xl_rq_append *rec, const char *bytes, uint32 len)
{
	uint64		in_segment = rq_log_in_segment(rec->pos);
	char	   *base = open_for_redo(rq_log_segno(rec->pos));

	if (base == NULL || in_segment + len > rq_ctl->segment_size)
		elog(ERROR, "APPEND record does not fit the commit log");
	memcpy(base + in_segment, bytes, len);
	rq_ctl->redo_dirty = Min(rq_ctl->redo_dirty, rec->pos);
}

/* Store first, publish then: on a standby others read meanwhile. */
void
rq_log_redo_append(const void *data, uint32 len, XLogRecPtr lsn)
{
	const xl_rq_append *rec = data;
	RqPos		rec_end = rec->pos + rec->span;
	RqPos		end = pg_atomic_read_u64(&rq_ctl->log_end);

	match_segment_size(rec->segment_mb);

	/* Its segment may be trimmed further on in the WAL already. */
	if (rec->pos >= pg_atomic_read_u64(&rq_ctl->log_start))
		redo_store(rec, (const char *) (rec + 1), len - SizeOfRqAppend);
	if (rec->pos >= end)
	{
		if (rec->pos > end)
			add_gap(end, rec->pos);
		pg_write_barrier();
		pg_atomic_write_u64(&rq_ctl->log_end, rec_end);
	}
	else
	{
		pg_write_barrier();
		close_gap(rec->pos, rec_end);
	}
}
