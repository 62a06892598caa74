/*
 * rq_allocator.c
 *	  The allocator: zero-filled, fsynced commit log segments and free extents of
 *	  queues ahead of need.
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
#include "extent/rq_extmem.h"
#include "format/rq_segfmt.h"
#include "log/rq_disk.h"
#include "log/rq_log.h"
#include "queue/rq_supply.h"
#include "shmem/rq_workers.h"
#include "store/rq_durable.h"
#include "topic/rq_tables.h"
#include "worker/rq_worker.h"

/* Found by its name. */
extern PGDLLEXPORT void rq_allocator_main(Datum arg);

/* Segments created that have not been reported in the server log yet. */
static int	untold = 0;

/*
 * An error is logged once as long as it stays the same, and noted for the view
 * each time.
 */
static void
note_failure(RqSpace *space, int err, const char *message)
{
	if (err != 0)
		rq_worker_note_error(psprintf("%s: %s", message, strerror(err)));
	if (!rq_space_publish(space, err) || err == 0)
		return;
	errno = err;
	ereport(LOG,
			(errcode_for_file_access(),
			 errmsg("%s: %m", message),
			 errdetail("Producers are refused until there is more.")));
}

/*
 * Publish how far there are segments, and why there are no more (0 = there
 * will be), and wake producers that wait for either (wait_for_space() in
 * log/rq_reserve.c).
 */
static void
publish_segments(RqPos alloc_end, int err)
{
	pg_atomic_write_u64(&rq_log->alloc_end, alloc_end);
	note_failure(&rq_log->space, err,
				 "could not allocate segment of the rocketq commit log");
}

/*
 * A bounded part of what queues need; the rest in another round, after what the
 * log needs.  What does not lack anything has no error.
 */
static void
supply_queues(void)
{
	int			err = 0;

	PG_TRY();
	{
		if (!rq_supply_round(pg_atomic_read_u32(&rq_log->space.err) != 0, &err))
			rq_worker_wake(RQ_ALLOCATOR);
	}
	PG_CATCH();
	{
		/* Those who wait are not to wait for a round that always ends here. */
		(void) rq_space_publish(&rq_extents->space, EIO);
		PG_RE_THROW();
	}
	PG_END_TRY();
	note_failure(&rq_extents->space, err, "could not allocate space for rocketq queues");
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
allocate_log(void)
{
	const uint64 size = rq_log->segment_size;
	RqPos		log_end = pg_atomic_read_u64(&rq_log->end);
	RqPos		alloc_end = pg_atomic_read_u64(&rq_log->alloc_end);
	uint64		last = rq_log_segno(log_end) + rq_preallocate_segments;

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
		supply_queues();
	}
	tell_created(alloc_end);
}

static void
allocate(void)
{
	/* An unused store takes no space. */
	if (!rq_ctl->gate_open ||
		(rq_tables->ntopics == 0 && pg_atomic_read_u64(&rq_log->end) == 0))
		return;
	allocate_log();
	supply_queues();
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
