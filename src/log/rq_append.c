/*
 * rq_append.c
 *	  Append frames to the commit log.
 *
 * Given built frames, in which order are they stored, logged and published, so
 * that neither a crash nor a concurrent reader finds half of one?  An append
 * has three steps:
 *
 *		1. store	copy the frames into the mapped segment
 *		2. log		insert the WAL record APPEND
 *		3. publish	end the reservation
 *
 * Whatever has an LSN below a redo pointer is then already in the page cache
 * when that redo pointer can be seen, so the keeper's fsync covers it.  Bytes
 * whose record never reached the disk are garbage, whatever the kernel wrote
 * back; redo finds such holes and the keeper makes them fillers (rq_gaps.c).
 *
 * Publishing makes frames count as complete (rq_log_written_end()).  It does not
 * make them messages: entries of queues do, which are written afterwards, at
 * pre-commit or, without a transaction, at once.
 *
 * rq_reserve.c takes these steps.  Small messages may wait in memory before
 * step 1, with their position already reserved (rq_gather.c).
 */
#include "postgres.h"

#include "log/rq_disk.h"
#include "log/rq_gather_private.h"
#include "log/rq_reserve_private.h"
#include "shmem/rq_stats.h"

/*
 * Append as many of the frames as one segment takes; returns how many.  They
 * are sealed only now, since their checksums cover their positions.
 */
static int
append_stretch(char *frames, const uint32 *lens, int n, RqPos *pos)
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

	/* 1. store and 2. log */
	rq_log_write(p.base, p.start, frames, p.end - p.start, p.take);

	/* 3. publish */
	rq_log_published();
	rq_log_leave(&p);
	return p.take;
}

static void
report_frame_too_large(uint32 len)
{
	rq_count(RQ_STAT_REFUSED_TOO_LARGE, 1);
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("message of %u bytes does not fit into a segment of the commit log",
					len),
			 errdetail("Segments of this store have a size of %u MB.",
					   rq_log->segment_mb),
			 errhint("Keep large objects in a table and send a reference.")));
}

/*
 * What is too large is refused before anything is appended.  What does not go
 * into the chunk of this statement has to write the chunk first, since a
 * process can announce only one stretch as in flight.
 *
 * Frames that do not fit into one segment take several reservations.  One of
 * these can throw after others have succeeded: frames that are in the log
 * already then have no entries, and go with their segment.
 */
void
rq_log_append(char *frames, const uint32 *lens, int n, RqPos *pos, bool gather)
{
	for (int i = 0; i < n; i++)
		if (lens[i] > rq_log_max_frame())
			report_frame_too_large(lens[i]);

	rq_disk_check_produce();
	if (gather && n == 1 && rq_log_gather(frames, lens[0], pos))
		return;
	rq_log_gather_write();
	while (n > 0)
	{
		int			done = append_stretch(frames, lens, n, pos);

		for (int i = 0; i < done; i++)
			frames += lens[i];
		lens += done;
		pos += done;
		n -= done;
	}
}
