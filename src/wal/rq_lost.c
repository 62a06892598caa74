/*
 * rq_lost.c
 *	  Go on without files that are lost (rocketq.ignore_missing_files).
 *
 * Which of the missing segments of the log must exist for the server to work at
 * all?  The one that the log ends in is written to; so it is made again, and
 * others are not.  What was in it is lost: it becomes filler up to the log's end.
 * Entries of queues that are lost are another matter (rq_holes.c).
 *
 * None of that is WAL-logged: a standby has files of its own, and after a
 * crash redo brings back what is still in WAL.
 */
#include "postgres.h"

#include <unistd.h>

#include "utils/timestamp.h"

#include "format/rq_framefmt.h"
#include "format/rq_segfmt.h"
#include "log/rq_log.h"
#include "shmem/rq_shmem.h"
#include "store/rq_durable.h"
#include "wal/rq_lost.h"

static bool
is_missing(const char *path)
{
	return access(path, F_OK) != 0 && errno == ENOENT;
}

/*
 * Synced at once, name included: later syncs cover what has been logged since,
 * which this is not.
 */
static void
make_file(const char *path, uint64 size, const void *begin, uint32 len)
{
	int			err = rq_create_segment(path, size, begin, len, true);

	if (err != 0)
	{
		errno = err;
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not create file \"%s\": %m", path)));
	}
	ereport(LOG,
			(errmsg("rocketq recreated missing file \"%s\"", path)));
}

/*
 * Filler from the segment's first frame to the log's end, where the next
 * append goes on.  If the log ends at a segment boundary, the allocator makes
 * the next segment.  The file gets its name with the filler in it, so a crash
 * leaves all of that or nothing.  Repeatable: what an earlier, failed call has
 * made is not missing any more.
 */
void
rq_files_make_lost(void)
{
	RqPos		end = pg_atomic_read_u64(&rq_log->end);
	uint64		segno = rq_log_segno(end);
	RqPos		start = rq_log_segment_start(segno) + RQ_SEG_HEADER_SIZE;
	char		begin[RQ_SEG_HEADER_SIZE + RQ_FRAME_HEADER_SIZE];
	RqSegHeader header;
	char		path[MAXPGPATH];

	rq_log_path(path, segno);
	if (start >= end || !is_missing(path))
		return;
	rq_seg_header_init(&header, rq_log->segment_mb, rq_log_segment_start(segno));
	memcpy(begin, &header, sizeof(header));
	rq_frame_filler(begin + RQ_SEG_HEADER_SIZE, start, end - start,
					GetCurrentTimestamp());
	make_file(path, rq_log->segment_size, begin, sizeof(begin));
}
