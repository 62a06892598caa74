/*
 * rq_append.c
 *	  Append frames to the commit log.
 *
 * An append has three steps, and their order is what
 * makes it crash-safe:
 *
 *		1. store	copy the frame into the mapped segment
 *		2. log		insert the WAL record APPEND
 *		3. publish	end the reservation
 *
 * Whatever has an LSN below a redo pointer is then already in the page cache
 * when that redo pointer can be seen, so the keeper's fsync covers it.  Bytes
 * whose record never reached the disk are garbage, whatever the kernel wrote
 * back; redo finds such holes and the keeper makes them fillers (rq_gaps.c).
 *
 * These steps are taken by rq_reserve.c.  Small messages may wait in between
 * (rq_gather.c).
 */
#include "postgres.h"

#include "log/rq_disk.h"
#include "log/rq_gather_private.h"
#include "log/rq_reserve_private.h"
#include "shmem/rq_stats.h"

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
