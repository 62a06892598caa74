/*
 * rq_verify_sql.c
 *	  verify(): check everything that the store keeps on disk.
 *
 * Checks every frame, every entry, every cross-reference between log, queues and
 * groups, and that exactly the expected files exist.  It runs concurrently with
 * producers and consumers, so anything that could have changed in between is
 * checked again before it is reported.
 */
#include "postgres.h"

#include <sys/stat.h>

#include "access/xlog.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "base/rq_fault.h"
#include "base/rq_guc.h"
#include "base/rq_text.h"
#include "consume/rq_offset.h"
#include "format/rq_segfmt.h"
#include "log/rq_log.h"
#include "queue/rq_chaincheck.h"
#include "queue/rq_entry.h"
#include "queue/rq_extcheck.h"
#include "queue/rq_queue.h"
#include "shmem/rq_shmem.h"
#include "topic/rq_group.h"
#include "topic/rq_topic.h"
#include "wal/rq_stateload.h"

PG_FUNCTION_INFO_V1(rocketq_verify);

/* After this many problems of one object its check ends. */
#define MAX_PROBLEMS	100

static ReturnSetInfo *result;

static void report_problem(const char *problem, const char *what,...) pg_attribute_printf(2, 3);

static void
report_problem(const char *problem, const char *what,...)
{
	Datum		values[2];
	bool		nulls[2] = {false, false};
	StringInfoData buf;
	va_list		args;

	initStringInfo(&buf);
	va_start(args, what);
	appendStringInfoVA(&buf, what, args);
	va_end(args);
	values[0] = CStringGetTextDatum(buf.data);
	values[1] = CStringGetTextDatum(problem);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/* ---- the log ---- */

static void
verify_segments(void)
{
	RqPos		log_end = pg_atomic_read_u64(&rq_log->end);
	uint64		segno = rq_log_segno(pg_atomic_read_u64(&rq_log->start));

	for (; rq_log_segment_start(segno) < log_end; segno++)
	{
		RqPos		start = rq_log_segment_start(segno);
		RqSegHeader header;
		const char *problem = "the file cannot be read";
		char		path[MAXPGPATH];
		struct stat st;
		int			fd;

		rq_log_path(path, segno);
		fd = OpenTransientFile(path, O_RDONLY | PG_BINARY);
		if (fd >= 0)
		{
			if (fstat(fd, &st) != 0 ||
				(uint64) st.st_size != rq_log->segment_size)
				problem = "the file does not have the size of a segment";
			else if (pg_pread(fd, &header, sizeof(header), 0) == sizeof(header))
				problem = rq_seg_header_check(&header, rq_log->segment_mb, start);
			CloseTransientFile(fd);
		}
		if (problem && start >= pg_atomic_read_u64(&rq_log->start))
			report_problem(problem, "file \"%s\"", path);
	}
}

/*
 * Up to where frames are complete.  During recovery redo may have passed positions
 * whose bytes are replayed later; once the gate is open there are none.
 */
static RqPos
frames_end(void)
{
	return rq_ctl->gate_open ? rq_log_written_end() : rq_log_complete_end();
}

static void
verify_frames(void)
{
	RqPos		pos = pg_atomic_read_u64(&rq_log->start);
	RqPos		end = frames_end();
	RqPos		next;
	RqFrame		frame;
	const char *problem;
	int			problems = 0;

	while (problems < MAX_PROBLEMS &&
		   rq_log_walk(&pos, end, &frame, &next, &problem))
	{
		CHECK_FOR_INTERRUPTS();
		/* Check again: redo may have moved the end in the meantime. */
		if (problem && pos >= frames_end())
			break;
		if (problem && pos >= pg_atomic_read_u64(&rq_log->start))
		{
			report_problem(problem, "commit log position " UINT64_FORMAT, pos);
			problems++;
		}
		pos = next;
	}
}

/* ---- queues ---- */

/*
 * A queue, and which of those that have had its slot.  While entries are read,
 * nothing keeps the queue, and the slot may be free.
 */
typedef struct QueueRef
{
	RqQueue    *q;
	RqExtOwner	files;
	XLogRecPtr	born;
} QueueRef;

static void
report_queue_problem(const QueueRef *ref, const char *problem)
{
	report_problem(problem, "queue %u of topic %u/%u", ref->files.queue_id,
				   ref->files.key.db, ref->files.key.rel);
}

/* The problem with an entry, NULL if there is none. */
static const char *
entry_problem(RqKey key, RqOff off, RqOff stable, const RqEntry *e,
			  TimestampTz last_time)
{
	const char *problem = NULL;
	RqFrame		frame;
	RqParts		parts;

	if (e->pos == 0 && (e->len_flags & RQ_ENTRY_ABORTED))
		return "it was missing when the server started, and is lost";
	if (e->enqueued_at < last_time)
		return "the entry is older than the one before it";
	if (off >= stable && e->xid == 0 && (e->len_flags & RQ_ENTRY_ABORTED))
		return "the entry is aborted but has no transaction";
	if (e->pos >= pg_atomic_read_u64(&rq_log->end))
		return "the entry points past the end of the commit log";
	if (!rq_log_probe(e->pos, RQ_ENTRY_FRAME_LEN(e), &frame, &parts, &problem))
		return problem;
	if (frame.db != key.db || frame.rel != key.rel)
		return "the entry points to a message of another topic";
	if (e->tag_hash != (parts.tag ? rq_tag_hash(parts.tag, parts.tag_len) : 0))
		return "the entry's tag hash does not match its message";
	return NULL;
}

static void
verify_entries(const QueueRef *ref)
{
	RqQueue    *q = ref->q;
	RqKey		key = ref->files.key;
	RqQueueCounts c = rq_queue_counts(q);
	uint64		bytes = 0;
	TimestampTz last_time = 0;
	int			problems = 0;

	if (c.start > c.stable || c.stable > c.end)
		report_queue_problem(ref, "its bounds are out of order");
	for (RqOff off = c.start; off < c.end && problems < MAX_PROBLEMS; off++)
	{
		const char *problem;
		RqEntry		e;

		CHECK_FOR_INTERRUPTS();
		if (!rq_queue_entry_of(&ref->files, q, off, &e))
			continue;
		problem = entry_problem(key, off, c.stable, &e, last_time);
		last_time = e.enqueued_at;
		bytes += RQ_ENTRY_FRAME_LEN(&e);
		if (problem == NULL || off < pg_atomic_read_u64(&q->start))
			continue;
		report_problem(problem, "entry " UINT64_FORMAT " of queue %u of topic %u/%u",
					   off, ref->files.queue_id, key.db, key.rel);
		problems++;
	}
	if (problems == 0 && c.exact && bytes != c.bytes_end - c.bytes_start &&
		c.start == pg_atomic_read_u64(&q->start))
		report_queue_problem(ref, "its count of bytes does not match its entries");
}

/*
 * In PG_CATCH(): an error that a damaged or missing file is to those who read it,
 * as a problem, which does not end verify(); any other is thrown again.
 */
static char *
caught_problem(MemoryContext cxt)
{
	ErrorData  *e;

	MemoryContextSwitchTo(cxt);
	e = CopyErrorData();
	if (ERRCODE_TO_CATEGORY(e->sqlerrcode) != ERRCODE_TO_CATEGORY(ERRCODE_DATA_CORRUPTED) &&
		ERRCODE_TO_CATEGORY(e->sqlerrcode) != ERRCODE_TO_CATEGORY(ERRCODE_IO_ERROR) &&
		e->sqlerrcode != ERRCODE_INSUFFICIENT_PRIVILEGE)
		PG_RE_THROW();
	FlushErrorState();
	return e->detail ? psprintf("%s: %s", e->message, e->detail) : e->message;
}

static void
verify_queue(const QueueRef *ref)
{
	MemoryContext cxt = CurrentMemoryContext;

	PG_TRY();
	{
		const char *problem = rq_chaincheck(ref->q, &ref->files);

		if (problem != NULL)
			report_queue_problem(ref, problem);
		verify_entries(ref);
	}
	PG_CATCH();
	{
		report_queue_problem(ref, caught_problem(cxt));
	}
	PG_END_TRY();
}

static void
verify_offsets(uint32 topic)
{
	RqKey		key = rq_topic_key(topic);
	int			problems = 0;

	Assert(LWLockHeldByMe(rq_meta_lock));
	for (uint32 g = rq_topics[topic].first_group; g != RQ_NO_SLOT;
		 g = rq_groups[g].next)
		for (uint32 i = 0; i < rq_groups[g].offsets.n && problems < MAX_PROBLEMS; i++)
		{
			RqOff		committed = rq_offset_committed(rq_group_offset(g, i));
			RqOff		end = pg_atomic_read_u64(&rq_topic_queue(topic, i)->end);

			if (committed <= end)
				continue;
			report_problem("its committed offset is past the end of the queue",
						   "group \"%s\", queue %u of topic %u/%u",
						   rq_text_from(key.db, rq_groups[g].name), i, key.db, key.rel);
			problems++;
		}
}

/* The topic's queue of this number; false if there is none, or no such topic. */
static bool
find_queue(uint32 topic, RqKey key, uint32 queue_id, QueueRef *ref)
{
	bool		found;

	LWLockAcquire(rq_meta_lock, LW_SHARED);
	found = RQ_KEY_EQ(rq_topic_key(topic), key) &&
		queue_id < rq_topic_nqueues(topic);
	if (found)
	{
		ref->q = rq_topic_queue(topic, queue_id);
		ref->files = rq_extent_owner(ref->q);
		ref->born = ref->q->born;
	}
	LWLockRelease(rq_meta_lock);
	return found;
}

static void
hand_on(Tuplestorestate *from, Tuplestorestate *to)
{
	TupleTableSlot *slot = MakeSingleTupleTableSlot(result->setDesc,
													&TTSOpsMinimalTuple);

	while (tuplestore_gettupleslot(from, true, false, slot))
		tuplestore_puttupleslot(to, slot);
	ExecDropSingleTupleTableSlot(slot);
}

/*
 * Verify one queue; false if there is no queue of this number.  The meta lock is
 * not held while entries are read, so the queue may be removed concurrently, with
 * its files; then the problems found are discarded.
 */
static bool
verify_queue_of(uint32 topic, RqKey key, uint32 queue_id)
{
	Tuplestorestate *all = result->setResult;
	QueueRef	before;
	QueueRef	after;

	if (!find_queue(topic, key, queue_id, &before))
		return false;
	result->setResult = tuplestore_begin_heap(true, false, work_mem);
	RQ_FAULT_OF("verify-queue", (uint64) key.rel << 32 | queue_id);
	verify_queue(&before);
	if (find_queue(topic, key, queue_id, &after) &&
		after.q == before.q && after.born == before.born)
		hand_on(result->setResult, all);
	tuplestore_end(result->setResult);
	result->setResult = all;
	return true;
}

static void
verify_topic(uint32 topic)
{
	RqKey		key = rq_topic_key(topic);

	for (uint32 i = 0; verify_queue_of(topic, key, i); i++)
		CHECK_FOR_INTERRUPTS();

	LWLockAcquire(rq_meta_lock, LW_SHARED);
	if (RQ_KEY_EQ(rq_topic_key(topic), key) && rq_topic_nqueues(topic) > 0)
		verify_offsets(topic);
	LWLockRelease(rq_meta_lock);
}

/* ---- files ---- */

static void
verify_log_dir(void)
{
	DIR		   *dir = AllocateDir(RQ_LOG_DIR);
	struct dirent *de;

	while ((de = ReadDirExtended(dir, RQ_LOG_DIR, LOG)) != NULL)
	{
		uint64		segno;

		if (de->d_name[0] == '.' || strstr(de->d_name, ".tmp."))
			continue;
		if (!rq_parse_log_name(de->d_name, &segno))
			report_problem("it does not belong to rocketq", "file \"%s/%s\"",
						   RQ_LOG_DIR, rq_text_from(InvalidOid, de->d_name));
	}
	FreeDir(dir);
}

static void
verify_queue_dir(void)
{
	DIR		   *dir = AllocateDir(RQ_QUEUE_DIR);
	struct dirent *de;

	while ((de = ReadDirExtended(dir, RQ_QUEUE_DIR, LOG)) != NULL)
	{
		uint32		area;

		if (de->d_name[0] != '.' && !rq_parse_area_name(de->d_name, &area))
			report_problem("it does not belong to rocketq", "file \"%s/%s\"",
						   RQ_QUEUE_DIR, rq_text_from(InvalidOid, de->d_name));
	}
	FreeDir(dir);
}

static void
report_extent_problem(const char *what, const char *problem, void *arg)
{
	int		   *problems = arg;

	if (++*problems <= MAX_PROBLEMS)
		report_problem(problem, "%s", what);
}

static void
verify_extents(void)
{
	MemoryContext cxt = CurrentMemoryContext;
	int			problems = 0;

	PG_TRY();
	{
		rq_extcheck_all(report_extent_problem, &problems);
	}
	PG_CATCH();
	{
		report_problem(caught_problem(cxt), "directory \"%s\"", RQ_QUEUE_DIR);
	}
	PG_END_TRY();
}

static void
verify_state_file(void)
{
	const char *problem = rq_state_probe();

	if (problem)
		report_problem(problem, "file \"%s\"", RQ_STATE_FILE);
}

Datum
rocketq_verify(PG_FUNCTION_ARGS)
{
	rq_require_preload();
	InitMaterializedSRF(fcinfo, 0);
	result = (ReturnSetInfo *) fcinfo->resultinfo;

	verify_state_file();
	verify_log_dir();
	verify_segments();
	verify_frames();
	for (uint32 t = 0; t < rq_topics_begun(); t++)
		if (rq_topic_nqueues(t) > 0)
			verify_topic(t);
	verify_queue_dir();
	verify_extents();
	return (Datum) 0;
}
