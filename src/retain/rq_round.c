/*
 * rq_round.c
 *	  A round of retention: what it may do, and what it has found so far.
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "base/rq_guc.h"
#include "log/rq_disk.h"
#include "log/rq_log.h"
#include "retain/rq_round.h"

/*
 * The most of the log that goes in one round, in megabytes, but at least a
 * segment.  The next round comes at once.
 */
#define TRIM_ROUND_MB		256

/* The position that many megabytes before the log's end; 0 without a limit. */
static RqPos
behind(RqPos end, int megabytes)
{
	uint64		bytes = (uint64) megabytes * 1024 * 1024;

	return megabytes < 0 || bytes > end ? 0 : end - bytes;
}

/* If the disk is too full, young messages go as well, as much as is needed. */
static void
look_at_disk(RqRound *r)
{
	RqPos		floor;

	r->excess = rq_disk_excess();
	floor = r->start + r->excess + rq_log->segment_size - 1;
	if (r->excess == 0 || floor <= r->young_floor)
		return;
	r->young_floor = floor;
	r->young_why = "the file system is fuller than rocketq.disk_trim_percent";
}

/* The end is read first: what is appended from now on need not be asked for. */
void
rq_round_begin(RqRound *r)
{
	RqPos		end = rq_log_written_end();
	RqPos		most = Max((RqPos) TRIM_ROUND_MB * 1024 * 1024,
						   rq_log->segment_size);

	memset(r, 0, sizeof(*r));
	r->now = GetCurrentTimestamp();
	r->end = end;
	r->start = r->asked = pg_atomic_read_u64(&rq_log->start);
	r->first_end = rq_log_segment_start(rq_log_segno(r->start) + 1);
	r->limit = rq_log_segment_start(rq_log_segno(r->start + most));
	r->young_floor = behind(end, rq_retention_size_mb);
	r->young_why = "the log is larger than rocketq.retention_size";
	r->held_floor = behind(end, rq_max_kept_size_mb);
	r->kept.what = RQ_KEEPS_WRITING;
	r->kept.pos = end > 0 ? end - 1 : 0;
	r->wanted = r->given_way = RQ_INVALID_POS;
	look_at_disk(r);
}

bool
rq_round_keeps_all(const RqRound *r)
{
	return r->kept.pos < r->first_end;
}

RqPos
rq_round_last_segment(const RqRound *r)
{
	return rq_log_segment_start(rq_log_segno(r->end));
}

/*
 * The error is kept in the janitor's memory of this round, which outlives the
 * look.  Locks are released at once, since the next queue needs them.
 */
bool
rq_round_look(RqRound *r, RqRoundLook look, uint32 topic, uint32 i, RqTrim *t)
{
	MemoryContext cxt = CurrentMemoryContext;
	volatile bool ok = true;

	PG_TRY();
	{
		look(r, topic, i, t);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(cxt);
		LWLockReleaseAll();
		if (r->error == NULL)
			r->error = CopyErrorData();
		FlushErrorState();
		ok = false;
	}
	PG_END_TRY();
	return ok;
}
