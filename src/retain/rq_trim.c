/*
 * rq_trim.c
 *	  Raise the starts of the log and of queues, and give back what lies below.
 *
 * Given new starts for the log and for queues, how are they raised so that no
 * reader takes what was removed for a message, and no crash leaves a start
 * below files that were removed?
 *
 * What goes is decided in rq_retain.c, and prepared here queue by queue,
 * without holding a lock for long.  The record TRIM and the new starts are
 * then made under one hold of the meta lock held exclusively.  Afterwards the
 * extents of queues are given back, which nobody takes before the record is on
 * disk (extent/rq_extlist.c); and when it is, segments of the log go.  A group that had not consumed what goes is not
 * touched: whoever reads for it goes on at the queue's start.  What it loses
 * is counted in the preparation, added to the group's offset with the trim,
 * and written to the server log afterwards.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "access/xloginsert.h"
#include "miscadmin.h"

#include "base/rq_compat.h"
#include "base/rq_fault.h"
#include "base/rq_guc.h"
#include "base/rq_text.h"
#include "consume/rq_offset.h"
#include "log/rq_log.h"
#include "queue/rq_entry.h"
#include "queue/rq_extent.h"
#include "queue/rq_queue.h"
#include "retain/rq_lowest.h"
#include "retain/rq_trim.h"
#include "shmem/rq_stats.h"
#include "topic/rq_group.h"
#include "topic/rq_topic.h"

/* How many losses are written to the server log in a round. */
#define TELL_ROUND		256

/* What a trim takes from a group in one queue. */
typedef struct Loss
{
	uint32		group;			/* its slot */
	uint32		group_id;
	uint32		queue_id;
	XLogRecPtr	born;			/* of the queue */
	RqOff		from;
	uint64		count;
} Loss;

/* ---- prepare ---- */

/*
 * The log's start is taken now, under no lock: only the janitor raises it, so
 * it is still the same when rq_trim() compares.
 */
void
rq_trim_prepare(RqTrim *t, RqPos new_start)
{
	t->old_start = pg_atomic_read_u64(&rq_log->start);
	t->new_start = new_start;
	t->nstarts = t->nlosses = 0;
	initStringInfo(&t->starts);
	initStringInfo(&t->born);
	initStringInfo(&t->losses);
}

static int
compare_losses(const void *a, const void *b)
{
	RqOff		from_a = ((const Loss *) a)->from;
	RqOff		from_b = ((const Loss *) b)->from;

	return from_a < from_b ? -1 : from_a > from_b ? 1 : 0;
}

/*
 * Add to each group's loss the messages of [first, end) that are at or after
 * its place and point below "below"; not those that were aborted or whose
 * frames are gone already.  Each entry is read once, however many groups there
 * are: "losses" are sorted by place, and what was counted before a group's
 * place is taken off again.
 */
static void
count_losses(const RqTrim *t, RqQueue *q, Loss *losses, int n,
			 RqOff first, RqOff end, RqPos below)
{
	uint64		count = 0;
	int			begun = 0;
	RqExtRun	run = {0};
	RqEntry		e;

	for (RqOff off = n > 0 ? Max(first, losses[0].from) : end; off < end; off++)
	{
		while (begun < n && losses[begun].from <= off)
			losses[begun++].count -= count;
		if (rq_queue_entry_or_lost(q, off, &run, &e) && e.pos >= t->old_start &&
			e.pos < below && (e.len_flags & RQ_ENTRY_ABORTED) == 0)
			count++;
	}
	for (int i = 0; i < begun; i++)
		losses[i].count += count;
}

/*
 * What groups lose when the queue begins at "start".  After it, too, an entry
 * can point below the log's new start; rq_lowest_below() says whether one
 * does, which spares reading all of them.
 */
static void
add_losses(RqTrim *t, RqQueue *q, RqOff start)
{
	RqOff		old = pg_atomic_read_u64(&q->start);
	RqOff		end = q->logged_stable;
	Loss	   *losses = palloc(Max(rq_group_count(q->topic), 1) * sizeof(Loss));
	int			n = 0;

	RQ_ASSERT_META_LOCK(LW_SHARED);
	for (uint32 g = rq_queue_topic(q)->first_group; g != RQ_NO_SLOT;
		 g = rq_groups[g].next)
	{
		Loss		l = {.group = g, .group_id = rq_groups[g].id,
		.queue_id = q->id, .born = q->born};

		l.from = Max(old, rq_offset_committed(rq_group_offset(g, q->id)));
		losses[n++] = l;
	}
	qsort(losses, n, sizeof(Loss), compare_losses);
	count_losses(t, q, losses, n, old, start, RQ_INVALID_POS);
	if (rq_lowest_below(q, start, end, t->new_start) < t->new_start)
		count_losses(t, q, losses, n, start, end, t->new_start);
	for (int i = 0; i < n; i++)
		if (losses[i].count > 0)
			appendBinaryStringInfo(&t->losses, (char *) &losses[i], sizeof(Loss));
	pfree(losses);
}

/* The queue has been looked at to the end: what was appended for it counts. */
static void
keep_appended(RqTrim *t)
{
	t->nstarts = t->starts.len / sizeof(xl_rq_queue_start);
	t->nlosses = t->losses.len / sizeof(Loss);
}

/* It has not: forget what was appended since. */
static void
forget_appended(RqTrim *t)
{
	t->starts.len = t->nstarts * sizeof(xl_rq_queue_start);
	t->born.len = t->nstarts * sizeof(XLogRecPtr);
	t->losses.len = t->nlosses * sizeof(Loss);
}

/*
 * Everything that reads entries, and so can throw or take time, is done here
 * and not in rq_trim().  An error leaves "nstarts" and "nlosses" as they were,
 * and so the queue as it is.
 */
void
rq_trim_queue(RqTrim *t, RqQueue *q, RqOff start)
{
	xl_rq_queue_start s = {.key = rq_queue_key(q), .queue_id = q->id,
	.start = start};
	RqExtRun	run = {0};
	RqEntry		e;

	RQ_ASSERT_META_LOCK(LW_SHARED);
	/* The call before may have thrown in the middle. */
	forget_appended(t);
	if (start > pg_atomic_read_u64(&q->start) || t->new_start > t->old_start)
		add_losses(t, q, start);
	if (start > pg_atomic_read_u64(&q->start))
	{
		s.bytes_start = q->bytes_start;
		for (RqOff off = pg_atomic_read_u64(&q->start); off < start; off++)
			if (rq_queue_entry_or_lost(q, off, &run, &e))
				s.bytes_start += RQ_ENTRY_FRAME_LEN(&e);
		appendBinaryStringInfo(&t->starts, (char *) &s, sizeof(s));
		appendBinaryStringInfo(&t->born, (char *) &q->born, sizeof(q->born));
	}
	keep_appended(t);
}

/* ---- trim ---- */

/* The queue a start is about, NULL if it no longer exists. */
static RqQueue *
queue_of(const xl_rq_queue_start *s, XLogRecPtr lsn)
{
	return rq_queue_for_redo(s->key, s->queue_id, lsn);
}

/*
 * Raise the log's start and the queues'; shared with redo.  Returns where the
 * log began before, which is where the removal of files begins.
 */
static RqPos
trim_apply(RqPos log_start, const xl_rq_queue_start *starts, uint32 count,
		   XLogRecPtr lsn)
{
	RQ_ASSERT_META_LOCK(LW_EXCLUSIVE);
	for (uint32 i = 0; i < count; i++)
	{
		RqQueue    *q = queue_of(&starts[i], lsn);

		if (q != NULL)
			rq_queue_trim_apply(q, starts[i].start, starts[i].bytes_start);
	}
	return rq_log_trim_apply(log_start);
}

/*
 * Give back what lies below the starts.  To find that reads headers of extents,
 * which can fail, and takes its time; so it comes after the meta lock has been
 * released, and takes it again for each queue.  That can have been dropped in
 * between, and one of the same name come, whose "born" is later than our record.
 */
static void
cut_trimmed(const xl_rq_queue_start *starts, uint32 count, XLogRecPtr lsn)
{
	for (uint32 i = 0; i < count; i++)
	{
		RqQueue    *q;

		rq_meta_lock_again();
		q = queue_of(&starts[i], lsn);
		if (q != NULL)
		{
			LWLockAcquire(&q->lock, LW_EXCLUSIVE);
			rq_extent_cut(q);
			LWLockRelease(&q->lock);
		}
		LWLockRelease(rq_meta_lock);
		RQ_FAULT("trim-cut");
	}
}

/*
 * Leave out queues that have been dropped since they were looked at, also if
 * another one has come in their place ("born").  A start must not lie beyond
 * what is resolved and logged.
 */
static void
keep_valid(RqTrim *t)
{
	xl_rq_queue_start *starts = (xl_rq_queue_start *) t->starts.data;
	const XLogRecPtr *born = (const XLogRecPtr *) t->born.data;
	uint32		kept = 0;

	RQ_ASSERT_META_LOCK(LW_SHARED);
	for (uint32 i = 0; i < t->nstarts; i++)
	{
		RqQueue    *q = queue_of(&starts[i], PG_UINT64_MAX);

		if (q != NULL && q->born == born[i] &&
			starts[i].start <= q->logged_stable)
			starts[kept++] = starts[i];
	}
	t->nstarts = kept;
}

/* Are group and queue still those that the loss was counted for? */
static bool
is_valid(const Loss *l)
{
	const RqGroup *g = &rq_groups[l->group];

	RQ_ASSERT_META_LOCK(LW_SHARED);
	return g->id == l->group_id && l->queue_id < g->offsets.n &&
		rq_topic_queue(g->topic, l->queue_id)->born == l->born;
}

static void
note_losses(const RqTrim *t)
{
	const Loss *losses = (const Loss *) t->losses.data;

	RQ_ASSERT_META_LOCK(LW_EXCLUSIVE);
	for (uint32 i = 0; i < t->nlosses; i++)
		if (is_valid(&losses[i]))
		{
			rq_offset_lose(rq_group_offset(losses[i].group, losses[i].queue_id),
						   losses[i].from, losses[i].count);
			rq_count(RQ_STAT_GROUPS_MOVED, 1);
			rq_count(RQ_STAT_MESSAGES_LOST, losses[i].count);
		}
}

/* Insert the record and raise the starts. */
static XLogRecPtr
log_and_apply(RqTrim *t)
{
	xl_rq_trim	rec = {.log_start = t->new_start, .count = t->nstarts};
	xl_rq_queue_start *starts = (xl_rq_queue_start *) t->starts.data;
	XLogRecPtr	lsn;

	RQ_ASSERT_META_LOCK(LW_EXCLUSIVE);
	START_CRIT_SECTION();
	XLogBeginInsert();
	rq_xlog_register(&rec, SizeOfRqTrim);
	if (t->nstarts > 0)
		rq_xlog_register(starts, t->nstarts * sizeof(*starts));
	lsn = rq_xlog_insert(XLOG_RQ_TRIM);
	trim_apply(t->new_start, starts, t->nstarts, lsn);
	END_CRIT_SECTION();
	return lsn;
}

/*
 * In this order:
 *
 *		1. announce the trim and check the readers (rq_reader.c),
 *		2. leave out what is no longer valid,
 *		3. log, and raise the starts,
 *		4. note the losses, end the announcement,
 *		5. give back extents of queues,
 *		6. flush, since no crash brings back a file that was removed,
 *		7. remove segments of the log.
 *
 * 1 to 4 under one hold of the meta lock: a reader that has seen the
 * announcement waits for that lock and then reads the new starts; a copy of
 * the state has all new starts if it was taken after the record; and groups
 * and queues that are valid at 2 are so at 4.  The rest can take long, and
 * nobody reads below the starts any more, so it comes after its release.
 */
bool
rq_trim(RqTrim *t, bool despite_readers)
{
	XLogRecPtr	lsn = InvalidXLogRecPtr;
	bool		may;

	if (t->nstarts == 0 && t->new_start == t->old_start)
		return false;
	RQ_FAULT("trim-decided");
	rq_gate_enter();
	LWLockAcquire(rq_meta_lock, LW_EXCLUSIVE);
	may = rq_log_begin_trim(t->new_start, despite_readers);
	RQ_FAULT("trim-begun");
	if (may)
	{
		keep_valid(t);
		lsn = log_and_apply(t);
		note_losses(t);
		rq_log_end_trim();
	}
	LWLockRelease(rq_meta_lock);
	rq_gate_leave();
	if (!may)
		return false;

	cut_trimmed((xl_rq_queue_start *) t->starts.data, t->nstarts, lsn);
	XLogFlush(lsn);
	RQ_FAULT("trim-wal");
	rq_log_remove_trimmed(t->old_start);
	RQ_FAULT("trim-removed");
	return true;
}

/* ---- the server log ---- */

/* False if there is nothing to report, or not yet. */
static bool
tell_loss(RqOffset *o, TimestampTz now)
{
	char		name[RQ_GROUP_NAME_MAX + 1];
	RqKey		key = {0};
	RqOff		from = 0;
	RqOff		to = 0;
	uint32		queue_id = 0;
	uint64		count = 0;

	LWLockAcquire(rq_meta_lock, LW_SHARED);
	if (o->group != RQ_NO_SLOT)
	{
		const RqGroup *g = &rq_groups[o->group];

		count = rq_offset_untold(o, now, &from);
		queue_id = o->queue_id;
		key = rq_topic_key(g->topic);
		to = pg_atomic_read_u64(&rq_topic_queue(g->topic, queue_id)->start);
		strlcpy(name, g->name, sizeof(name));
	}
	LWLockRelease(rq_meta_lock);
	if (count > 0)
		ereport(LOG,
				(errmsg("consumer group \"%s\" of rocketq topic %u/%u lost " UINT64_FORMAT " messages of queue %u to retention",
						rq_text_from(key.db, name), key.db, key.rel, count, queue_id),
				 errdetail("It had consumed up to offset " UINT64_FORMAT "; the queue begins at " UINT64_FORMAT ".",
						   from, Max(from, to))));
	return count > 0;
}

void
rq_trim_tell_losses(TimestampTz now)
{
	static uint32 next = 0;		/* where to go on the next time */
	uint32		n = rq_slots_begun(rq_offset_pool);
	int			left = TELL_ROUND;

	for (uint32 i = 0; i < n && left > 0; i++)
	{
		RqOffset   *o = &rq_offsets[next];

		next = (next + 1) % n;
		/* Checked without a lock to pass over most, then again with it. */
		if (o->lost != o->lost_told && tell_loss(o, now))
			left--;
	}
}

/* ---- redo ---- */

/*
 * Neither readers nor losses: on a standby a trim waits for no reader, which
 * checks the starts again after it has copied a message; and what groups lost
 * is counted where it was decided.
 */
void
rq_trim_redo(const void *data, uint32 len, XLogRecPtr lsn)
{
	const xl_rq_trim *rec = data;
	const xl_rq_queue_start *starts = (const xl_rq_queue_start *) (rec + 1);
	RqPos		old_start;

	/*
	 * The rest of the segment that the log ends in can be too short for a
	 * frame.  No record says that it was passed over, so the start can lie in
	 * the next segment.
	 */
	if (rq_log_segno(rec->log_start) >
		rq_log_segno(pg_atomic_read_u64(&rq_log->end)) + 1)
		elog(PANIC, "TRIM record goes past the end of the commit log");
	LWLockAcquire(rq_meta_lock, LW_EXCLUSIVE);
	old_start = trim_apply(rec->log_start, starts, rec->count, lsn);
	LWLockRelease(rq_meta_lock);
	cut_trimmed(starts, rec->count, lsn);

	/*
	 * Recovery must not be able to end before this record from here on: the
	 * log's start would be the old one, and the files would not be there.
	 */
	XLogFlush(lsn);
	rq_log_remove_trimmed(old_start);
}
