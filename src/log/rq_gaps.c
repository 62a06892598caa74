/*
 * rq_gaps.c
 *	  Redo of appends, and the holes it finds.
 *
 * Given that reservations are not logged, and records of neighboring stretches
 * come in any order, which stretches below the log's end are not written?
 *
 * A record that begins past the log's end leaves a gap before it: somebody had
 * reserved that, and its record comes later or, after a crash, never.  Redo
 * notes the gap in rq_gaps, moves the log's end past the record, and takes out
 * of the gaps what later records write.  What was in flight when the state was
 * copied is in the state file as a gap, too, because the log's end there lies
 * past it.
 *
 * Gaps are changed by the startup process during recovery, then by the keeper,
 * which makes fillers of those that are left before it opens the gate.  These
 * two also copy the state, so none of this takes a lock.  Others, such as
 * backends of a standby, do not read the gaps but only where the first one
 * begins, since a list that changes cannot be read without a lock.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "miscadmin.h"

#include "base/rq_fault.h"
#include "format/rq_segfmt.h"
#include "format/rq_statefmt.h"
#include "log/rq_reserve_private.h"
#include "shmem/rq_shmem.h"
#include "store/rq_map.h"

RqGaps	   *rq_gaps = NULL;

/* ---- shared memory ---- */

static uint32
max_gaps(void)
{
	return 4 * rq_max_backends() + 64;
}

static Size
gaps_bytes(void)
{
	return offsetof(RqGaps, gaps) + max_gaps() * sizeof(RqStateGap);
}

static Size
gaps_size(void)
{
	return rq_table_size(1, gaps_bytes());
}

static void
gaps_init(void)
{
	if (rq_table_create("rocketq gaps", 1, gaps_bytes(), (void **) &rq_gaps))
	{
		rq_gaps->max = max_gaps();
		pg_atomic_init_u64(&rq_gaps->first, RQ_INVALID_POS);
	}
}

/* After each change of the gaps. */
static void
publish_first_gap(void)
{
	RqPos		first = RQ_INVALID_POS;

	for (uint32 i = 0; i < rq_gaps->n; i++)
		first = Min(first, rq_gaps->gaps[i].start);
	pg_atomic_write_u64(&rq_gaps->first, first);
}

/* ---- the state file ---- */

/*
 * Reservations that are not WAL-logged yet, below "log_end".  A reservation
 * lies wholly below that or wholly past it, since it moves the log's end at
 * once.
 *
 * One that is logged while the state is copied does no harm as a gap: its
 * record is flushed before the copy goes to disk (bring_to_disk() in
 * wal/rq_state.c).  Redo then takes it out of the gaps; or, if the record lies
 * below the redo pointer, fill_in_segment() finds its frames.
 */
static uint32
copy_inflight(RqStateGap *to, RqPos log_end)
{
	uint32		n = 0;

	for (int i = 0; i < rq_max_backends(); i++)
	{
		RqBackend  *b = &rq_backends[i];
		RqPos		start;
		RqPos		end;

		/*
		 * The backend may have ended this reservation and begun another one
		 * in between.  Positions are never reused, so if the start is still
		 * the same, the end is the one that belongs to it.  The first barrier
		 * pairs with the one in take_place() of rq_reserve.c that orders the
		 * end before the start.  The second one has the start read again only
		 * after the end: a later reservation overwrites the end only after
		 * this one's start has been withdrawn.  It pairs with the release of
		 * the gate, which is between the two.
		 */
		do
		{
			start = pg_atomic_read_u64(&b->inflight_start);
			pg_read_barrier();
			end = pg_atomic_read_u64(&b->inflight_end);
			pg_read_barrier();
		} while (pg_atomic_read_u64(&b->inflight_start) != start);
		if (start >= log_end)
			continue;
		to[n].start = start;
		to[n].end = end;
		n++;
	}
	return n;
}

uint32
rq_log_gaps_max(void)
{
	return rq_gaps->max + rq_max_backends();
}

/* What redo has left, and what is in flight: to a loader they are the same. */
uint32
rq_log_gaps_copy(RqStateGap *to, RqPos log_end)
{
	memcpy(to, rq_gaps->gaps, rq_gaps->n * sizeof(RqStateGap));
	return rq_gaps->n + copy_inflight(to + rq_gaps->n, log_end);
}

void
rq_log_gaps_load(const RqStateGap *from, uint32 n)
{
	if (n > rq_gaps->max)
		ereport(FATAL,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("too many unfinished appends in the rocketq commit log"),
				 errhint("Set max_connections to at least the value with which the store was used before.")));
	for (uint32 i = 0; i < n; i++)
	{
		if (from[i].end > pg_atomic_read_u64(&rq_log->end))
			rq_state_damaged("a gap lies past the end of the log");
		rq_gaps->gaps[i] = from[i];
	}
	rq_gaps->n = n;
	publish_first_gap();
}

const RqPart rq_gaps_part = {
	.name = "gaps",
	.shmem_size = gaps_size,
	.shmem_init = gaps_init
};

RqPos
rq_log_complete_end(void)
{
	RqPos		safe = rq_log_written_end();
	RqPos		first_gap;

	/*
	 * The log's end before the first gap: pairs with the barrier in
	 * rq_log_redo_append() between a new gap and the end past it.
	 */
	pg_read_barrier();
	first_gap = pg_atomic_read_u64(&rq_gaps->first);

	/*
	 * The first gap before the bytes that the caller reads: pairs with the
	 * barrier in rq_log_redo_append() between the bytes and a closed gap.
	 */
	pg_read_barrier();
	return Min(safe, first_gap);
}

/* ---- filling ---- */

/*
 * Fill what one segment has of a gap.  Nobody else writes there: the gate is
 * closed, and the log's end lies past the gap.
 *
 * The segment may be missing: redo makes a segment only when a record writes
 * to it.
 */
static void
fill_in_segment(uint64 segno, RqPos start, RqPos stop)
{
	const uint64 size = rq_log->segment_size;
	int			err = rq_log_create_segment(segno, true);
	char	   *base;

	if (err != 0)
		rq_log_report_no_segment(err);
	base = rq_map_log(segno, size, RQ_MAP_WRITE, true);
	if (base == NULL)
		rq_log_report_missing(segno);

	/*
	 * The state can be copied while a backend is between its WAL record and
	 * the end of its reservation, with the record below the redo pointer.
	 * Redo then does not see the record, but the frames are complete, and
	 * stay.  They are logged again, since frames that never had a record can
	 * be complete as well, and a standby must get the same log.
	 */
	START_CRIT_SECTION();
	while (stop >= start + RQ_FRAME_HEADER_SIZE &&
		   rq_frame_check(base + rq_log_in_segment(start), stop - start, start, NULL) == NULL)
	{
		const RqFrame *f = (RqFrame *) (base + rq_log_in_segment(start));
		uint32		len = f->kind == RQ_FRAME_FILLER ? RQ_FRAME_HEADER_SIZE : f->len;

		/* It is stored already: only log it. */
		rq_log_insert_append(start, start + f->len, (const char *) f, len, 1);
		start += f->len;
	}
	if (stop >= start + RQ_FRAME_HEADER_SIZE)
		rq_log_write_filler(base, start, stop - start);
	END_CRIT_SECTION();
}

/* A filler for each segment, since no frame straddles two. */
static void
fill_gap(RqPos start, RqPos end)
{
	while (start < end)
	{
		uint64		segno = rq_log_segno(start);
		RqPos		seg_start = rq_log_segment_start(segno);
		RqPos		stop = Min(end, seg_start + rq_log->segment_size);

		start = Max(start, seg_start + RQ_SEG_HEADER_SIZE);
		fill_in_segment(segno, start, stop);
		start = stop;
	}
}

/*
 * A gap is taken out only after it is filled, so a failure leaves it there.
 * There is no barrier between the two: WAL insertion has released a lock.
 */
void
rq_log_fill_gaps(void)
{
	while (rq_gaps->n > 0)
	{
		RqStateGap	g = rq_gaps->gaps[rq_gaps->n - 1];

		fill_gap(Max(g.start, pg_atomic_read_u64(&rq_log->start)), g.end);
		rq_gaps->n--;
		publish_first_gap();
	}
}

/* ---- redo ---- */

/* A stretch that has been reserved, and whose record has not been replayed. */
static void
add_gap(RqPos start, RqPos end)
{
	start = rq_log_frame_start(start);
	if (start >= end)
		return;
	if (rq_gaps->n == rq_gaps->max)
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("too many unfinished appends in the rocketq commit log"),
				 errhint("Set max_connections to at least the primary's value.")));
	rq_gaps->gaps[rq_gaps->n].start = start;
	rq_gaps->gaps[rq_gaps->n].end = end;
	rq_gaps->n++;
}

/* [start, end) has been written: take it out of the gaps. */
static void
close_gap(RqPos start, RqPos end)
{
	for (uint32 i = 0; i < rq_gaps->n;)
	{
		RqStateGap *g = &rq_gaps->gaps[i];

		if (end <= g->start || start >= g->end)
		{
			i++;
			continue;
		}
		if (start > g->start)
		{
			/* What is before "start" stays, and what is past "end", if any. */
			add_gap(end, g->end);
			g->end = start;
			i++;
			continue;
		}

		/* What is past "end" stays; if nothing is, the last gap moves here. */
		g->start = rq_log_frame_start(end);
		if (g->start >= g->end)
			*g = rq_gaps->gaps[--rq_gaps->n];
	}
}

/* A store that holds nothing yet takes over the segment size of the WAL. */
static void
match_segment_size(uint32 segment_mb)
{
	if (segment_mb == rq_log->segment_mb)
		return;
	if (pg_atomic_read_u64(&rq_log->end) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("WAL of a rocketq store with segments of %u MB meets one with %u MB",
						segment_mb, rq_log->segment_mb),
				 errhint("Take a new base backup of the primary.")));
	rq_log_set_segment_mb(segment_mb);
}

/* The segment that a record writes to, created if it is missing. */
static char *
open_for_redo(uint64 segno)
{
	char	   *base = rq_map_log(segno, rq_log->segment_size, RQ_MAP_WRITE, true);

	if (base == NULL)
	{
		int			err = rq_log_create_segment(segno, false);

		if (err != 0)
			rq_log_report_no_segment(err);
		base = rq_map_log(segno, rq_log->segment_size, RQ_MAP_WRITE, true);
	}

	/*
	 * A segment that was too short has been extended, maybe from its header
	 * on.
	 */
	if (base != NULL && ((RqSegHeader *) base)->magic == 0)
		rq_seg_header_init((RqSegHeader *) base, rq_log->segment_mb,
						   rq_log_segment_start(segno));
	return base;
}

static void
redo_store(const xl_rq_append *rec, const char *bytes, uint32 len)
{
	uint64		in_segment = rq_log_in_segment(rec->pos);
	char	   *base = open_for_redo(rq_log_segno(rec->pos));

	if (base == NULL || in_segment + len > rq_log->segment_size)
		elog(ERROR, "APPEND record does not fit the commit log");
	memcpy(base + in_segment, bytes, len);
	/* The next sync begins no later than here, whatever was synced before. */
	rq_log->redo_dirty = Min(rq_log->redo_dirty, rec->pos);
}

/*
 * As in an append, store comes before publish: on a standby, backends read
 * concurrently.  The record can be one that the store has seen already, since
 * the state and the segments may be newer than it: then the same bytes are
 * stored once more, and there is no gap to close.
 *
 * Bytes are stored whatever the log's end says, because in a base backup a
 * segment can be older than the state file.
 */
void
rq_log_redo_append(const void *data, uint32 len, XLogRecPtr lsn)
{
	const xl_rq_append *rec = data;
	RqPos		rec_end = rec->pos + rec->span;
	RqPos		end = pg_atomic_read_u64(&rq_log->end);

	match_segment_size(rec->segment_mb);

	/*
	 * 1. store.  If the state file is newer than this record, it may know of
	 * a trim that comes further on in WAL; then there is no such segment.
	 */
	if (rec->pos >= pg_atomic_read_u64(&rq_log->start))
		redo_store(rec, (const char *) (rec + 1), len - SizeOfRqAppend);

	/* 2. publish */
	if (rec->pos >= end)
	{
		if (rec->pos > end)
		{
			add_gap(end, rec->pos);
			publish_first_gap();
		}

		/*
		 * The bytes and the gap before the log's end; pairs with the barriers
		 * after the reads of the end in rq_log_written_end() and
		 * rq_log_complete_end().
		 */
		pg_write_barrier();
		pg_atomic_write_u64(&rq_log->end, rec_end);
	}
	else
	{
		/*
		 * The bytes before the gap closes; pairs with the second barrier in
		 * rq_log_complete_end().
		 */
		pg_write_barrier();
		close_gap(rec->pos, rec_end);
		publish_first_gap();
	}
}
