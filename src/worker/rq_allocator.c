/*
 * rq_allocator.c
 *	  The allocator: zero-filled, fsynced commit log segments ahead of need, and
 *	  segments of queues that it is asked for.
 *
 * Who meets a full disk?  A producer that stored into a mapped page without
 * space on disk would get a signal (SIGBUS) in a critical section.  So space
 * is allocated here, where a failure can be reported, and producers copy into
 * pages that exist and do not wait for the file system.
 *
 * Sole writer of alloc_end; no producer reserves a place beyond it
 * (log/rq_reserve.c).
 */
#include "postgres.h"

#include <unistd.h>

#include "miscadmin.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "utils/timestamp.h"

#include "base/rq_guc.h"
#include "format/rq_segfmt.h"
#include "log/rq_disk.h"
#include "log/rq_log.h"
#include "queue/rq_ahead.h"
#include "shmem/rq_workers.h"
#include "store/rq_durable.h"
#include "topic/rq_tables.h"
#include "worker/rq_worker.h"

/* Found by its name. */
extern PGDLLEXPORT void rq_allocator_main(Datum arg);

/*
 * How many files of queues are made before it is the log's turn again.  All
 * producers need the log, while any one transaction can ask for many files.
 */
#define AHEAD_FILES		8

/* Segments created that have not been reported in the server log yet. */
static int	untold = 0;

/*
 * Publish how far there are segments, and why there are no more (0 = there
 * will be), then wake producers that wait for either (wait_for_space() in
 * log/rq_reserve.c).  An error is logged once as long as it stays the same,
 * and noted for the view each time.
 */
static void
publish_segments(RqPos alloc_end, int err)
{
	if (err != 0)
		rq_worker_note_error(psprintf("could not allocate segment of the rocketq commit log: %s",
									  strerror(err)));
	if (err != 0 && pg_atomic_read_u32(&rq_log->alloc_errno) != (uint32) err)
	{
		errno = err;
		ereport(LOG,
				(errcode_for_file_access(),
				 errmsg("could not allocate segment of the rocketq commit log: %m"),
				 errdetail("Producers are refused until there is a new segment.")));
	}
	pg_atomic_write_u64(&rq_log->alloc_end, alloc_end);
	pg_atomic_write_u32(&rq_log->alloc_errno, err);
	ConditionVariableBroadcast(&rq_log->alloc_cv);
}

/*
 * The segment the log ends in: zero what lies beyond the end.  A crash can
 * leave bytes there that were stored, but whose WAL was lost.  Nobody writes
 * there until alloc_end is published.
 */
static int
prepare_current(uint64 segno, RqPos log_end)
{
	char		path[MAXPGPATH];

	rq_log_path(path, segno);
	return rq_zero_tail(path, log_end - rq_log_segment_start(segno),
						rq_log->segment_size);
}

/* Report new segments in the server log, in at most one line a second. */
static void
tell_created(RqPos alloc_end)
{
	static TimestampTz told_at = 0;
	TimestampTz now = GetCurrentTimestamp();

	if (untold == 0 || now - told_at < USECS_PER_SEC)
		return;
	if (rq_log_store)
		ereport(LOG,
				(errmsg("rocketq extended the commit log (segments created: %d), which has room up to position " UINT64_FORMAT,
						untold, alloc_end)));
	untold = 0;
	told_at = now;
}

/*
 * One round.  alloc_end is 0 until the first round after the server's start,
 * so nothing can be reserved before the segment that the log ends in is
 * prepared; and with the gate closed that has to wait, since the keeper may
 * still tidy up or fill gaps.  gate_open is read without its lock: once it is
 * open, all that is done, and a round more when it has just been closed does
 * no harm.
 *
 * The log's end is read once: what producers take during this round, the next
 * one makes up for.
 */
static void
allocate(void)
{
	const uint64 size = rq_log->segment_size;
	RqPos		log_end = pg_atomic_read_u64(&rq_log->end);
	RqPos		alloc_end = pg_atomic_read_u64(&rq_log->alloc_end);
	uint64		last = rq_log_segno(log_end) + rq_preallocate_segments;

	/* An unused store takes no space. */
	if (!rq_ctl->gate_open || (rq_tables->ntopics == 0 && log_end == 0))
		return;
	if (alloc_end == 0)
	{
		uint64		segno = rq_log_segno(log_end);
		int			err = log_end % size == 0 ? 0 : prepare_current(segno, log_end);

		alloc_end = rq_log_segment_start(segno + (log_end % size == 0 ? 0 : 1));
		if (err != 0)
			alloc_end = 0;
		publish_segments(alloc_end, err);
		if (err != 0)
			return;
	}
	while (rq_log_segno(alloc_end) <= last && !ShutdownRequestPending)
	{
		int			err;

		CHECK_FOR_INTERRUPTS();
		err = rq_log_create_segment(rq_log_segno(alloc_end), true);
		if (err == 0)
		{
			alloc_end += size;
			untold++;
		}
		publish_segments(alloc_end, err);
		rq_disk_look();
		if (err != 0)
			return;
		(void) rq_ahead_make(AHEAD_FILES);
	}
	if (!rq_ahead_make(AHEAD_FILES))
		rq_worker_wake(RQ_ALLOCATOR);
	tell_created(alloc_end);
}

/* Nobody signals the opening of the gate to this worker, so it checks often. */
void
rq_allocator_main(Datum arg)
{
	rq_worker_begin(RQ_ALLOCATOR);
	while (rq_worker_wait(rq_ctl->gate_open ? 1000 : 10))
		rq_worker_round(allocate);
	proc_exit(1);
}
