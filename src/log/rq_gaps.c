/*
 * rq_gaps.c
 *	  Redo of appends, and the holes it finds.
 *
 * Reservations are not logged, so after a crash there can be stretches that were
 * reserved by a backend whose record did not make it.  Redo notes them
 * (rq_ctl->ngaps), since the log goes on after them, and takes out what is written
 * later.  The keeper makes fillers of those that are left.
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

RqStateGap *rq_gaps = NULL;

/* ---- shared memory ---- */

static uint32
max_gaps(void)
{
	return 4 * rq_max_backends() + 64;
}

static Size
gaps_size(void)
{
	return rq_table_size(max_gaps(), sizeof(RqStateGap));
}

static void
gaps_init(void)
{
	if (rq_table_create("rocketq gaps", max_gaps(), sizeof(RqStateGap),
						(void **) &rq_gaps))
		rq_ctl->max_gaps = max_gaps();
}

/* ---- the state file ---- */

static void
copy_gap(RqWriter *w, RqPos start, RqPos end)
{
	RqStateGap	g = {.start = start, .end = end};

	rq_writer_add(w, &g, sizeof(g));
}

/*
 * Reservations that are not WAL-logged yet, below "log_end".  One that is logged
 * meanwhile is no gap: its record is flushed before the copy goes to disk.
 */
static uint64
copy_inflight(RqWriter *w, RqPos log_end)
{
	uint64		n = 0;

	for (int i = 0; i < rq_max_backends(); i++)
	{
		RqBackend  *b = &rq_backends[i];
		RqPos		start;
		RqPos		end;

		/*
		 * Both belong together if the start is still the same.  The barriers
		 * pair with the one in take_place() of rq_reserve.c that is between
		 * the end and the start.
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
		copy_gap(w, start, end);
		n++;
	}
	return n;
}

static uint64
gaps_copy(RqWriter *w, const RqStateHeader *h)
{
	for (uint32 i = 0; i < rq_ctl->ngaps; i++)
		copy_gap(w, rq_gaps[i].start, rq_gaps[i].end);
	return rq_ctl->ngaps + copy_inflight(w, h->log_end);
}

static void
gaps_load(RqReader *r, const RqStateHeader *h, uint64 count)
{
	if (count > rq_ctl->max_gaps)
		ereport(FATAL,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("too many unfinished appends in the rocketq commit log"),
				 errhint("Set max_connections to at least the value the store was used with.")));
	rq_state_take(r, rq_gaps, count * sizeof(RqStateGap));
	rq_ctl->ngaps = count;
}

const RqPart rq_gaps_part = {
	.name = "gaps",
	.shmem_size = gaps_size,
	.shmem_init = gaps_init,
	.state_kind = RQ_STATE_GAPS,
	.state_copy = gaps_copy,
	.state_load = gaps_load
};

RqPos
rq_log_settled_end(void)
{
	RqPos		settled = rq_log_safe_end();

	pg_read_barrier();
	for (uint32 i = 0; i < rq_ctl->ngaps; i++)
		settled = Min(settled, rq_gaps[i].start);
	return settled;
}

/* ---- filling ---- */

/* Fill what one segment has of a gap. */
static void
fill_in_segment(uint64 segno, RqPos start, RqPos stop)
{
	const uint64 size = rq_ctl->segment_size;
	int			err = rq_log_create_segment(segno, true);
	char	   *base;

	if (err != 0)
		rq_log_report_no_segment(err);
	base = rq_map_log(segno, size, RQ_MAP_WRITE, true);
	if (base == NULL)
		rq_log_report_missing(segno);

	/*
	 * A backend can be caught between its WAL record and the end of its
	 * reservation, with the record below the redo pointer.  Its frames are
	 * complete then, and stay.  They are logged again, since others that are
	 * complete can lack a record, and a standby must get the same log.
	 */
	START_CRIT_SECTION();
	while (stop >= start + RQ_FRAME_HEADER_SIZE &&
		   rq_frame_check(base + rq_log_in_segment(start), stop - start, start, NULL) == NULL)
	{
		const RqFrame *f = (RqFrame *) (base + rq_log_in_segment(start));
		uint32		len = f->kind == RQ_FRAME_FILLER ? RQ_FRAME_HEADER_SIZE : f->len;

		rq_log_insert_append(start, start + f->len, (const char *) f, len, 1);
		start += f->len;
	}
	if (stop >= start + RQ_FRAME_HEADER_SIZE)
		rq_log_write_filler(base, start, stop - start);
	END_CRIT_SECTION();
}

void
rq_log_fill_gap(RqPos start, RqPos end)
{
	while (start < end)
	{
		uint64		segno = rq_log_segno(start);
		RqPos		seg_start = rq_log_segment_start(segno);
		RqPos		stop = Min(end, seg_start + rq_ctl->segment_size);

		start = Max(start, seg_start + RQ_SEG_HEADER_SIZE);
		fill_in_segment(segno, start, stop);
		start = stop;
	}
}

/* ---- redo ---- */

/* A stretch that was reserved before its turn: not written, as far as known. */
static void
add_gap(RqPos start, RqPos end)
{
	start = rq_log_frame_start(start);
	if (start >= end)
		return;
	if (rq_ctl->ngaps == rq_ctl->max_gaps)
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("too many unfinished appends in the rocketq commit log"),
				 errhint("Set max_connections to at least the primary's value.")));
	rq_gaps[rq_ctl->ngaps].start = start;
	rq_gaps[rq_ctl->ngaps].end = end;
	rq_ctl->ngaps++;
}

/*
 * [start, end) has been written: take it out of the gaps.  Who looks at them
 * meanwhile sees each in its place, as it was or as it is left.
 */
static void
close_gap(RqPos start, RqPos end)
{
	for (uint32 i = 0; i < rq_ctl->ngaps;)
	{
		RqStateGap *g = &rq_gaps[i];

		if (end <= g->start || start >= g->end)
		{
			i++;
			continue;
		}
		if (start > g->start)
		{
			add_gap(end, g->end);
			g->end = start;
			i++;
			continue;
		}
		g->start = rq_log_frame_start(end);
		if (g->start >= g->end)
			*g = rq_gaps[--rq_ctl->ngaps];
	}
}

/* A store that holds nothing yet takes over the segment size of the WAL. */
static void
match_segment_size(uint32 segment_mb)
{
	if (segment_mb == rq_ctl->segment_mb)
		return;
	if (pg_atomic_read_u64(&rq_ctl->log_end) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("WAL of a rocketq store with segments of %u MB meets one with %u MB",
						segment_mb, rq_ctl->segment_mb),
				 errhint("Take a new base backup of the primary.")));
	rq_set_segment_mb(segment_mb);
}

/* The segment that a record writes to, created if it is missing. */
static char *
open_for_redo(uint64 segno)
{
	char	   *base = rq_map_log(segno, rq_ctl->segment_size, RQ_MAP_WRITE, true);

	if (base == NULL)
	{
		int			err = rq_log_create_segment(segno, false);

		if (err != 0)
			rq_log_report_no_segment(err);
		base = rq_map_log(segno, rq_ctl->segment_size, RQ_MAP_WRITE, true);
	}
	/* A segment that was cut short has been extended with zeros. */
	if (base != NULL && ((RqSegHeader *) base)->magic == 0)
		rq_seg_header_init((RqSegHeader *) base, rq_ctl->segment_mb,
						   rq_log_segment_start(segno));
	return base;
}

static void
redo_store(const xl_rq_append *rec, const char *bytes, uint32 len)
{
	uint64		in_segment = rq_log_in_segment(rec->pos);
	char	   *base = open_for_redo(rq_log_segno(rec->pos));

	if (base == NULL || in_segment + len > rq_ctl->segment_size)
		elog(ERROR, "APPEND record does not fit the commit log");
	memcpy(base + in_segment, bytes, len);
	rq_ctl->redo_dirty = Min(rq_ctl->redo_dirty, rec->pos);
}

/* Store first, publish then: on a standby others read meanwhile. */
void
rq_log_redo_append(const void *data, uint32 len, XLogRecPtr lsn)
{
	const xl_rq_append *rec = data;
	RqPos		rec_end = rec->pos + rec->span;
	RqPos		end = pg_atomic_read_u64(&rq_ctl->log_end);

	match_segment_size(rec->segment_mb);

	/* Its segment may be trimmed further on in the WAL already. */
	if (rec->pos >= pg_atomic_read_u64(&rq_ctl->log_start))
		redo_store(rec, (const char *) (rec + 1), len - SizeOfRqAppend);
	if (rec->pos >= end)
	{
		if (rec->pos > end)
			add_gap(end, rec->pos);
		pg_write_barrier();
		pg_atomic_write_u64(&rq_ctl->log_end, rec_end);
	}
	else
	{
		pg_write_barrier();
		close_gap(rec->pos, rec_end);
	}
}
