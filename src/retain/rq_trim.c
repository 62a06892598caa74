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
 * disk (extent/rq_extlist.c); and when it is, segments of the log go.  A record
 * has at most RQ_TRIM_STARTS queues, and the last one raises the log's start: so
 * in between nothing points below that but what did so before, and after a crash
 * the janitor goes on.  A group that had not consumed what goes is not
 * touched: whoever reads for it goes on at the queue's start.  What it loses
 * is counted in the preparation, added to the group's offset with the trim,
 * and written to the server log afterwards (consume/rq_losses.c).
 */
#include "postgres.h"

#include "access/xlog.h"
#include "access/xloginsert.h"
#include "miscadmin.h"

#include "base/rq_compat.h"
#include "base/rq_fault.h"
#include "base/rq_guc.h"
#include "consume/rq_losses.h"
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

/* Queues in a record. */
#define RQ_TRIM_STARTS	1024

/* A record is made earlier if groups have so many losses. */
#define LOSSES_MAX		65536

/* How many losses are noted under a hold of the meta lock. */
#define LOSS_HOLD		1024

/* What a trim takes from a group in one queue. */
typedef struct Loss
{
	uint32		group;			/* its slot */
	uint32		group_id;
	uint32		queue_id;
	XLogRecPtr	born;			/* of the queue */
	RqOff		from;
	uint64		count;
	bool		moves;			/* it has not lost any of the trim before this */
} Loss;

static RqGroupRef
group_losing(const Loss *l)
{
	return (RqGroupRef)
	{
		.slot = l->group, .id = l->group_id
	};
}

/* ---- prepare ---- */

/*
 * The log's start is taken now, under no lock: only the janitor raises it, so
 * it is still the same when rq_trim_finish() compares.
 */
void
rq_trim_prepare(RqTrim *t, RqPos new_start, bool despite_readers)
{
	t->old_start = pg_atomic_read_u64(&rq_log->start);
	t->new_start = new_start;
	t->despite_readers = despite_readers;
	t->more = false;
	t->nstarts = t->nlosses = 0;
	initStringInfo(&t->starts);
	initStringInfo(&t->born);
	initStringInfo(&t->losses);
	initStringInfo(&t->holes);
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

/* The queue's groups, sorted by their places; "n" gets how many they are. */
static Loss *
groups_of(const RqQueue *q, int *n)
{
	Loss	   *losses = palloc(Max(rq_group_count(q->topic), 1) * sizeof(Loss));
	RqOff		start = pg_atomic_read_u64((pg_atomic_uint64 *) &q->start);

	RQ_ASSERT_META_LOCK(LW_SHARED);
	*n = 0;
	for (uint32 g = rq_queue_topic(q)->first_group; g != RQ_NO_SLOT;
		 g = rq_groups[g].next)
	{
		Loss		l = {.group = g, .group_id = rq_groups[g].id,
		.queue_id = q->id, .born = q->born};

		l.from = Max(start, rq_offset_committed(rq_group_offset(g, q->id)));
		losses[(*n)++] = l;
	}
	qsort(losses, *n, sizeof(Loss), compare_losses);
	return losses;
}

/* Keep those that are any, for entries from "begin" on, and begin anew. */
static void
add_losses(StringInfo list, Loss *losses, int n, RqOff begin)
{
	for (int i = 0; i < n; i++)
	{
		losses[i].moves = losses[i].from >= begin;
		if (losses[i].count > 0)
		{
			rq_losses_expect(group_losing(&losses[i]), losses[i].queue_id);
			appendBinaryStringInfo(list, (char *) &losses[i], sizeof(Loss));
		}
		losses[i].count = 0;
	}
}

/*
 * What groups lose when the queue, which begins at "from" so far, begins at
 * "start".  After it, too, an entry can point below the log's new start;
 * rq_lowest_below() says whether one does, which spares reading all of them.
 * Those are lost only when the log's start is raised.
 */
static void
find_losses(RqTrim *t, RqQueue *q, RqOff from, RqOff start)
{
	RqOff		end = q->logged_stable;
	int			n;
	Loss	   *losses = groups_of(q, &n);

	count_losses(t, q, losses, n, from, start, RQ_INVALID_POS);
	add_losses(&t->losses, losses, n, from);
	if (!t->more && t->new_start > t->old_start &&
		rq_lowest_below(q, start, end, t->new_start) < t->new_start)
	{
		count_losses(t, q, losses, n, start, end, t->new_start);
		add_losses(&t->holes, losses, n, start);
	}
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

/* What has been prepared for this queue, or NULL: it would be the last. */
static xl_rq_queue_start *
start_of(const RqTrim *t, const RqQueue *q)
{
	uint32		last = t->nstarts - 1;
	xl_rq_queue_start *s = (xl_rq_queue_start *) t->starts.data;

	RQ_ASSERT_META_LOCK(LW_SHARED);
	if (t->nstarts == 0 || !RQ_KEY_EQ(s[last].key, rq_queue_key(q)) ||
		s[last].queue_id != q->id ||
		((XLogRecPtr *) t->born.data)[last] != q->born)
		return NULL;
	return &s[last];
}

RqOff
rq_trim_start(const RqTrim *t, const RqQueue *q)
{
	const xl_rq_queue_start *s = start_of(t, q);

	return s != NULL ? s->start :
		pg_atomic_read_u64((pg_atomic_uint64 *) &q->start);
}

/* The bytes of the frames of all entries below "start". */
static uint64
bytes_below(const RqTrim *t, RqQueue *q, RqOff from, RqOff start)
{
	const xl_rq_queue_start *s = start_of(t, q);
	uint64		bytes = s != NULL ? s->bytes_start : q->bytes_start;
	RqExtRun	run = {0};
	RqEntry		e;

	for (RqOff off = from; off < start; off++)
		if (rq_queue_entry_or_lost(q, off, &run, &e))
			bytes += RQ_ENTRY_FRAME_LEN(&e);
	return bytes;
}

/*
 * Everything that reads entries, and so can throw or take time, is done here
 * and not when the record is made.  An error leaves "nstarts" and "nlosses" as
 * they were, and so the queue as it was.
 */
uint64
rq_trim_queue(RqTrim *t, RqQueue *q, RqOff start)
{
	RqOff		from;
	xl_rq_queue_start s = {.key = rq_queue_key(q), .queue_id = q->id};

	RQ_ASSERT_META_LOCK(LW_SHARED);
	/* The call before may have thrown in the middle. */
	forget_appended(t);
	from = rq_trim_start(t, q);
	s.start = Min(start, from + RQ_META_HOLD_ENTRIES);
	t->more = s.start < start;
	s.bytes_start = bytes_below(t, q, from, s.start);
	if (s.start > from || t->new_start > t->old_start)
		find_losses(t, q, from, s.start);
	if (s.start > from)
	{
		xl_rq_queue_start *before = start_of(t, q);

		if (before != NULL)
			*before = s;
		else
		{
			appendBinaryStringInfo(&t->starts, (char *) &s, sizeof(s));
			appendBinaryStringInfo(&t->born, (char *) &q->born, sizeof(q->born));
		}
	}
	keep_appended(t);
	return s.start > from ? s.start - from : 0;
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
 * which takes its time; so it comes after the meta lock has been
 * released, and takes it again for each queue.  Where they cannot be read, the
 * queue keeps what it has until its next trim.  That can have been dropped in
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

/* There may be any number of groups, so they are noted in parts. */
static void
note_losses(const StringInfoData *list)
{
	const Loss *losses = (const Loss *) list->data;
	uint32		n = list->len / sizeof(Loss);

	for (uint32 i = 0; i < n; i++)
	{
		if (i % LOSS_HOLD == 0)
			rq_meta_lock_again();
		if (is_valid(&losses[i]))
		{
			rq_losses_note(group_losing(&losses[i]), losses[i].queue_id,
						   losses[i].from, losses[i].count);
			rq_count(RQ_STAT_GROUPS_MOVED, losses[i].moves ? 1 : 0);
			rq_count(RQ_STAT_MESSAGES_LOST, losses[i].count);
		}
		if (i % LOSS_HOLD == LOSS_HOLD - 1 || i == n - 1)
			LWLockRelease(rq_meta_lock);
	}
}

/* Insert the record and raise the starts. */
static XLogRecPtr
log_and_apply(RqTrim *t, RqPos log_start)
{
	xl_rq_trim	rec = {.log_start = log_start, .count = t->nstarts};
	xl_rq_queue_start *starts = (xl_rq_queue_start *) t->starts.data;
	XLogRecPtr	lsn;

	RQ_ASSERT_META_LOCK(LW_EXCLUSIVE);
	START_CRIT_SECTION();
	XLogBeginInsert();
	rq_xlog_register(&rec, SizeOfRqTrim);
	if (t->nstarts > 0)
		rq_xlog_register(starts, t->nstarts * sizeof(*starts));
	lsn = rq_xlog_insert(XLOG_RQ_TRIM);
	trim_apply(log_start, starts, t->nstarts, lsn);
	END_CRIT_SECTION();
	return lsn;
}

/*
 * In this order:
 *
 *		1. announce the trim and check the readers (rq_reader.c),
 *		2. leave out what is no longer valid,
 *		3. log, and raise the starts,
 *		4. end the announcement,
 *		5. give back extents of queues, and note the losses,
 *		6. flush, since no crash brings back a file that was removed,
 *		7. remove segments of the log.
 *
 * 1 to 4 under one hold of the meta lock: a reader that has seen the
 * announcement waits for that lock and then reads the new starts; and a copy of
 * the state has all new starts if it was taken after the record.  The rest can
 * take long, and nobody reads below the starts any more, so it comes after its
 * release.
 *
 * Readers are asked for each part by where the log will begin in the end, though
 * only the last part has it begin there: a reader that comes between two parts
 * finds the starts that have been raised, and keeps the others.
 */
static bool
trim_to(RqTrim *t, RqPos log_start)
{
	XLogRecPtr	lsn = InvalidXLogRecPtr;
	bool		may;

	RQ_FAULT("trim-decided");
	rq_gate_enter();
	LWLockAcquire(rq_meta_lock, LW_EXCLUSIVE);
	may = rq_log_begin_trim(t->new_start, t->despite_readers);
	RQ_FAULT("trim-begun");
	if (may)
	{
		keep_valid(t);
		lsn = log_and_apply(t, log_start);
		rq_log_end_trim();
	}
	LWLockRelease(rq_meta_lock);
	rq_gate_leave();
	if (!may)
		return false;

	note_losses(&t->losses);
	cut_trimmed((xl_rq_queue_start *) t->starts.data, t->nstarts, lsn);
	XLogFlush(lsn);
	RQ_FAULT("trim-wal");
	rq_log_remove_trimmed(t->old_start);
	RQ_FAULT("trim-removed");
	return true;
}

bool
rq_trim_part(RqTrim *t)
{
	if (t->more || (t->nstarts < RQ_TRIM_STARTS && t->nlosses < LOSSES_MAX))
		return true;
	if (!trim_to(t, t->old_start))
		return false;
	t->nstarts = t->nlosses = 0;
	forget_appended(t);
	RQ_FAULT("trim-part");
	return true;
}

bool
rq_trim_finish(RqTrim *t)
{
	forget_appended(t);
	if (t->nstarts == 0 && t->new_start == t->old_start)
		return false;
	if (!trim_to(t, t->new_start))
		return false;
	note_losses(&t->holes);
	return true;
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
