/*
 * rq_logfile.c
 *	  The commit log's segments as files.
 */
#include "postgres.h"

#include <unistd.h>

#include "format/rq_segfmt.h"
#include "log/rq_log.h"
#include "shmem/rq_shmem.h"
#include "shmem/rq_stats.h"
#include "store/rq_durable.h"

RqPos
rq_log_frame_start(RqPos pos)
{
	uint64		in_segment = rq_log_in_segment(pos);

	if (in_segment < RQ_SEG_HEADER_SIZE)
		return pos - in_segment + RQ_SEG_HEADER_SIZE;
	if (rq_log->segment_size - in_segment < RQ_FRAME_HEADER_SIZE)
		return pos - in_segment + rq_log->segment_size + RQ_SEG_HEADER_SIZE;
	return pos;
}

/*
 * Whoever finds the name finds a whole file (rq_create_segment()), so it need
 * not be opened to be trusted.
 */
int
rq_log_create_segment(uint64 segno, bool sync)
{
	char		path[MAXPGPATH];
	RqSegHeader header;
	int			err;

	rq_log_path(path, segno);
	if (access(path, F_OK) == 0)
		return 0;
	rq_seg_header_init(&header, rq_log->segment_mb, rq_log_segment_start(segno));
	err = rq_create_segment(path, rq_log->segment_size,
							&header, sizeof(header), sync);
	if (err == 0)
		rq_count(RQ_STAT_SEGMENTS_CREATED, 1);
	return err;
}

void
rq_log_flush(RqPos from, RqPos to)
{
	while (from < to)
	{
		uint64		segno = rq_log_segno(from);
		RqPos		start = rq_log_segment_start(segno);
		RqPos		stop = Min(to, start + rq_log->segment_size);
		char		path[MAXPGPATH];

		rq_log_path(path, segno);
		rq_flush_path(path, from - start, stop - start);
		from = stop;
	}
}

/* The directory last, for the names of segments that have been created. */
void
rq_log_sync(RqPos from, RqPos to)
{
	if (from >= to)
		return;
	for (uint64 s = rq_log_segno(from); s <= rq_log_segno(to - 1); s++)
	{
		char		path[MAXPGPATH];

		rq_log_path(path, s);
		rq_fsync_path(path, false);
	}
	rq_fsync_path(RQ_LOG_DIR, true);
}

/* The meta lock is held exclusively, in redo as well. */
RqPos
rq_log_trim_apply(RqPos new_start)
{
	RqPos		old_start = pg_atomic_read_u64(&rq_log->start);

	if (new_start > old_start)
		pg_atomic_write_u64(&rq_log->start, new_start);
	return old_start;
}

void
rq_log_remove_trimmed(RqPos from)
{
	uint64		end = rq_log_segno(pg_atomic_read_u64(&rq_log->start));

	/*
	 * The log's start before the bytes go: a reader that finds zeros then
	 * sees that they were trimmed.  Pairs with is_trimmed() in rq_read.c.
	 */
	pg_memory_barrier();
	for (uint64 s = rq_log_segno(from); s < end; s++)
	{
		char		path[MAXPGPATH];

		rq_log_path(path, s);
		/* One that stays is removed later (wal/rq_tidy.c). */
		if (!rq_remove_segment(path))
			rq_leftovers_note();
		rq_count(RQ_STAT_SEGMENTS_TRIMMED, 1);
	}
}
