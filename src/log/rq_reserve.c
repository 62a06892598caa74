/*
 * rq_reserve.c
 *	  Reserve a stretch of the commit log, write to it, end the reservation.
 *
 * Given that many backends append at the same time, which of them writes
 * where, and which bytes below the log's end are complete?  A backend takes a
 * stretch of the log: it announces it in its RqBackend (inflight_start,
 * inflight_end) and moves the log's end past it, under one spinlock.  The
 * announcement is withdrawn when the stretch is WAL-logged.  So at any time
 *
 *		- a stretch below the log's end is either logged or in flight; the rest
 *		  of a segment that is too short for a frame, and segment headers,
 *		  belong to no stretch;
 *		- everything below the lowest start in flight is logged
 *		  (rq_log_written_end()).
 *
 * Only the reservation is serial, and costs a few dozen instructions, however
 * many frames there are: their lengths are added up before.  Copying and WAL
 * insertion run in parallel, so neighboring stretches can be logged in any
 * order; rq_gaps.c says what redo makes of that.
 *
 * Everything that can fail comes before the reservation.  The rest is a
 * critical section: a stretch that has been given out cannot be taken back,
 * and rq_log_written_end() would not rise past one that is never logged.
 *
 * Nothing else moves the log's end while the store is open; during recovery
 * redo does.
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
#include "shmem/rq_space.h"
#include "shmem/rq_stats.h"
#include "shmem/rq_workers.h"
#include "store/rq_map.h"

uint64
rq_log_max_frame(void)
{
	return rq_log->segment_size - RQ_SEG_HEADER_SIZE;
}

/*
 * Where frames begin if the log ends at "log_end".  A frame does not straddle
 * two segments: if the first one, of "first" bytes, does not fit into the rest
 * of the segment, they go to the next segment.
 *
 * Called under the spinlock, so without a loop.
 */
static RqPlace
place_at(RqPos log_end, uint32 first)
{
	const uint64 size = rq_log->segment_size;
	RqPlace		p = {.start = log_end};
	uint64		rest = size - rq_log_in_segment(log_end);

	if (rest == size)
	{
		/* The segment before is full to its last byte, or this is the first. */
		p.start = log_end + RQ_SEG_HEADER_SIZE;
	}
	else if (rest < first)
	{
		/*
		 * A rest too small for a frame header needs no filler: readers skip
		 * it (rq_log_frame_start()).
		 */
		p.filler = log_end;
		p.filler_len = rest < RQ_FRAME_HEADER_SIZE ? 0 : rest;
		p.start = log_end + rest + RQ_SEG_HEADER_SIZE;
	}
	return p;
}

/*
 * A place where the log seems to end now, for as many frames as fit into the
 * segment; the others need another reservation.
 */
static RqPlace
find_place(const uint32 *lens, int n)
{
	RqPlace		p = place_at(pg_atomic_read_u64(&rq_log->end), lens[0]);
	uint64		rest = rq_log->segment_size - rq_log_in_segment(p.start);

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
			 errmsg("could not allocate segment of the rocketq commit log: %m"),
			 is_full ?
			 errhint("Free some space in \"%s\"; producers resume automatically.",
					 RQ_LOG_DIR) :
			 errhint("Fix the problem with \"%s\"; producers resume automatically.",
					 RQ_LOG_DIR)));
}

static bool
has_segments(uint64 end)
{
	return pg_atomic_read_u64(&rq_log->alloc_end) >= end;
}

/* Wait until the allocator has made segments up to "end". */
static void
wait_for_space(RqPos end)
{
	static const RqSpaceKind segments = {
		.failed = gettext_noop("could not allocate space in the rocketq commit log"),
		.report = rq_log_report_no_segment
	};

	rq_space_wait(&rq_log->space, &segments, has_segments, end);
}

void
rq_log_report_missing(uint64 segno)
{
	char		path[MAXPGPATH];

	rq_log_path(path, segno);
	rq_report_corruption("commit log",
						 psprintf("file \"%s\" is missing", path));
}

/*
 * Map a segment for writing; throws.  NULL if it has been trimmed, because the
 * log has been filled past it since the caller looked where it ends.
 */
static char *
map_segment(uint64 segno)
{
	char	   *base = rq_map_log(segno, rq_log->segment_size, RQ_MAP_WRITE, false);

	if (base != NULL)
		return base;

	/*
	 * The file before the log's start: pairs with rq_log_remove_trimmed(),
	 * before which the start is raised.
	 */
	pg_read_barrier();
	if (segno >= rq_log_segno(pg_atomic_read_u64(&rq_log->start)))
		rq_log_report_missing(segno);
	return NULL;
}

/*
 * Map the segments of a place; false if one of them has been trimmed.  The
 * first mapping is still good after the second call (store/rq_map.h).
 */
static bool
map_place(RqPlace *p)
{
	if (p->filler_len > 0)
	{
		p->filler_base = map_segment(rq_log_segno(p->filler));
		if (p->filler_base == NULL)
			return false;
	}
	p->base = map_segment(rq_log_segno(p->start));
	return p->base != NULL;
}

/*
 * Take a place of the same length where the log ends now, as others may have
 * moved the end since "*p" was found; "first" is the length of the first
 * frame.  False if the new place needs other segments than those mapped for
 * "*p", or the segment no longer has room for all of it.
 *
 * alloc_end need not be checked again: it is always the end of a segment, so a
 * place in a segment that was below it still is.
 */
static bool
take_place(RqPlace *p, uint32 first)
{
	RqBackend  *me = RQ_MY_BACKEND;
	uint64		len = p->end - p->start;
	uint64		segno = rq_log_segno(p->start);
	RqPlace		now;
	bool		taken = false;

	SpinLockAcquire(&rq_log->reserve_lock);
	now = place_at(pg_atomic_read_u64(&rq_log->end), first);
	now.end = now.start + len;
	if (rq_log_segno(now.start) == segno && rq_log_segno(now.end - 1) == segno &&
		(now.filler_len == 0) == (p->filler_len == 0))
	{
		taken = true;

		/*
		 * The end before the start: whoever sees the start then sees the end
		 * that belongs to it.  Pairs with copy_inflight() in rq_gaps.c.
		 */
		pg_atomic_write_u64(&me->inflight_end, now.end);
		pg_write_barrier();
		pg_atomic_write_u64(&me->inflight_start,
							now.filler_len ? now.filler : now.start);

		/*
		 * The announcement before the log's end: whoever sees an end past the
		 * stretch then sees that it is in flight.  Pairs with
		 * rq_log_written_end() and with rq_state_copy() in
		 * wal/rq_statecopy.c.  The spinlock makes this hold for the ends that
		 * others set afterwards.
		 */
		pg_write_barrier();
		pg_atomic_write_u64(&rq_log->end, now.end);
	}
	SpinLockRelease(&rq_log->reserve_lock);
	p->start = now.start;
	p->end = now.end;
	p->filler = now.filler;
	p->filler_len = now.filler_len;
	return taken;
}

/*
 * Remember the lowest position of this transaction, which retention must
 * spare.  That is the position of its first append, since the log's end only
 * rises.
 *
 * Must be done while the stretch is in flight: a round of retention
 * (retain/rq_round.c) takes the safe end first and asks for xact_pos in
 * rq_needs_find() after that, so one of them always spares the frame.  The barrier
 * on this side is the WAL insertion before rq_log_published(); it pairs with
 * the first one in rq_needs_find().
 */
static void
note_xact_pos(RqPos pos)
{
	RqBackend  *me = RQ_MY_BACKEND;

	if (pos < pg_atomic_read_u64(&me->xact_pos))
		pg_atomic_write_u64(&me->xact_pos, pos);
}

/*
 * Called after the entries are in their queues (txn/rq_txn.c).  Retention asks
 * transactions first and queues second, so it cannot miss a frame that changes
 * from one to the other.  The barrier on this side is the release of the
 * queue's lock; it pairs with the second one in
 * rq_needs_find() of retain/rq_needs.c.
 */
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
	.segment_mb = rq_log->segment_mb};

	XLogBeginInsert();
	rq_xlog_register(&rec, SizeOfRqAppend);
	rq_xlog_register(bytes, len);
	rq_xlog_insert(XLOG_RQ_APPEND);
}

/*
 * Steps 1 and 2 of an append, see rq_append.c.  A checkpoint's redo pointer is
 * taken while no WAL insertion is under way, so bytes whose record lies below
 * it were stored before it, and the sync that the keeper then does covers
 * them.
 */
void
rq_log_write(char *base, RqPos pos, const char *frames, uint32 len,
			 uint32 nframes)
{
	/* 1. store */
	memcpy(base + rq_log_in_segment(pos), frames, len);
	RQ_FAULT("append-store");
	/* 2. log */
	rq_log_insert_append(pos, pos + len, frames, len, nframes);
	RQ_FAULT("append-wal");
}

/* The same for a filler, of which only the header is stored and logged. */
void
rq_log_write_filler(char *base, RqPos pos, uint32 len)
{
	RqFrame		filler;

	rq_frame_filler((char *) &filler, pos, len, GetCurrentTimestamp());
	memcpy(base + rq_log_in_segment(pos), &filler, sizeof(filler));
	rq_log_insert_append(pos, pos + len, (char *) &filler, sizeof(filler), 1);
}

/*
 * First what can fail or take long, without any lock: wait until the segments
 * exist, then map them.  Then enter the gate and take the place.  Others
 * append concurrently, so the log's end can leave the segments that were
 * mapped, or those can even be trimmed before; then all begins again.
 *
 * The gate is entered before the reservation and left after it is logged: when
 * the keeper has closed the gate, no append is halfway, except for a chunk
 * that rq_gather.c fills and writes later.
 *
 * The filler is part of the stretch and is logged at once; it stays in flight
 * with the frames.
 */
RqPlace
rq_log_reserve(const uint32 *lens, int n)
{
	RqPlace		p;

	for (;;)
	{
		p = find_place(lens, n);
		RQ_FAULT("append-place");
		if (p.end > pg_atomic_read_u64(&rq_log->alloc_end))
		{
			wait_for_space(p.end);
			continue;
		}
		if (!map_place(&p))
			continue;
		rq_gate_enter();
		if (take_place(&p, lens[0]))
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

/*
 * If there is a filler, the log continues in a new segment: the allocator
 * should create another one in advance.
 */
void
rq_log_leave(const RqPlace *p)
{
	END_CRIT_SECTION();
	rq_gate_leave();
	if (p->filler_len > 0)
		rq_worker_wake(RQ_ALLOCATOR);
}

/*
 * Step 3 of an append.  A plain write is enough: WAL insertion has released a
 * lock, which is a full barrier, after the bytes were stored and logged.
 */
void
rq_log_published(void)
{
	pg_atomic_write_u64(&RQ_MY_BACKEND->inflight_start, RQ_INVALID_POS);
}

RqPos
rq_log_written_end(void)
{
	RqPos		safe = pg_atomic_read_u64(&rq_log->end);

	/*
	 * The end before the reservations; pairs with take_place().  A stretch
	 * below this end is then seen in flight, unless it has been logged since.
	 * One that is reserved later begins at or past this end.
	 */
	pg_memory_barrier();
	for (int i = 0; i < rq_max_backends(); i++)
	{
		/*
		 * Read it only once: Min() evaluates its arguments twice, and the
		 * reservation may end concurrently.
		 */
		RqPos		start = pg_atomic_read_u64(&rq_backends[i].inflight_start);

		safe = Min(safe, start);
	}
	return safe;
}
