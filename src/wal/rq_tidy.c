/*
 * rq_tidy.c
 *	  Remove segments of the log that a crash has left, or a base backup has
 *	  brought.
 *
 * Given a file that the state does not know, may it be removed?  Only because
 * all WAL since then has been replayed, or is still to be, and makes again
 * whatever was made since.  That the state is the right one has been checked
 * before, as far as possible (rq_files.c).  Names that are not ours are left
 * alone.  Area files have nothing that has to be removed.
 */
#include "postgres.h"

#include "storage/fd.h"

#include "format/rq_segfmt.h"
#include "log/rq_log.h"
#include "shmem/rq_shmem.h"
#include "store/rq_durable.h"
#include "wal/rq_files_private.h"
#include "wal/rq_tidy.h"

/*
 * Segments that were trimmed, or, with "all", lie where nothing was ever logged.
 * One that cannot be removed is noted only in the second case: no start takes what
 * lies below the log's start for messages.
 */
static void
tidy_log_file(const char *dir, const char *name, void *arg)
{
	bool		all = *(const bool *) arg;
	uint64		segno;
	bool		unknown;
	char		path[MAXPGPATH];

	if (!rq_parse_log_name(name, &segno))
		return;
	unknown = rq_log_segment_start(segno) >= pg_atomic_read_u64(&rq_log->end);
	if (segno >= rq_log_segno(pg_atomic_read_u64(&rq_log->start)) &&
		!(all && unknown))
		return;
	rq_log_path(path, segno);
	if (!rq_remove_segment(path) && unknown)
		rq_leftovers_note();
}

/*
 * No lock: nobody else changes the store, neither before replay nor while the
 * gate has not been opened.
 */
void
rq_files_tidy(bool all)
{
	rq_remove_temporaries(RQ_LOG_DIR);
	if (!rq_visit_dir(RQ_LOG_DIR, tidy_log_file, &all))
		rq_leftovers_note();
}

/* ---- while the store is in use ---- */

/* What a visit has found that is left. */
typedef struct LeftArg
{
	bool		any;			/* a file is left that could not be removed */
	bool		harmful;		/* the next start would take one for messages */
} LeftArg;

static void
note_left(LeftArg *left, bool harmful)
{
	left->any = true;
	left->harmful |= harmful;
}

/*
 * Beyond the log's end a segment is not removed here: others may be about to use
 * it, or have it mapped, and the next start removes it.  It is harmful if that
 * start would take it for messages (rq_files.c), which it does not with one that
 * was only made ahead.  The allocator goes on with a segment that is there, so the
 * end will get to it.
 *
 * While the gate is open, the end may reach the segment between the two
 * checks, and what has just been written is reported as left.  That costs
 * another visit.
 */
static void
remove_left_log(const char *dir, const char *name, void *arg)
{
	LeftArg    *left = arg;
	uint64		segno;
	char		path[MAXPGPATH];

	if (!rq_parse_log_name(name, &segno))
		return;
	rq_log_path(path, segno);
	if (segno < rq_log_segno(pg_atomic_read_u64(&rq_log->start)))
	{
		if (!rq_remove_segment(path))
			note_left(left, false);
	}
	else if (rq_log_segment_start(segno) >= pg_atomic_read_u64(&rq_log->end) &&
			 rq_log_file_holds_something(path))
		note_left(left, true);
}

/*
 * The counter is read first and cleared only if it is still the same: whatever
 * could not be removed while this looked elsewhere has been counted since, and
 * is found the next time.
 */
bool
rq_files_tidy_leftovers(void)
{
	uint32		seen = pg_atomic_read_u32(&rq_ctl->leftovers);
	LeftArg		left = {0};

	if (seen == 0)
		return true;
	if (!rq_visit_dir(RQ_LOG_DIR, remove_left_log, &left))
		note_left(&left, true);
	if (!left.any)
		return pg_atomic_compare_exchange_u32(&rq_ctl->leftovers, &seen, 0);
	return !left.harmful;
}
