/*
 * rq_tidy.c
 *	  Remove files that a crash has left, or a base backup has brought.
 *
 * Given a file that the state does not know, may it be removed?  Only because
 * all WAL since then has been replayed, or is still to be, and makes again
 * whatever was made since.  That the state is the right one has been checked
 * before, as far as possible (rq_files.c).  Names that are not ours are left
 * alone.
 */
#include "postgres.h"

#include "storage/fd.h"

#include "format/rq_queuefmt.h"
#include "format/rq_segfmt.h"
#include "log/rq_log.h"
#include "shmem/rq_shmem.h"
#include "store/rq_durable.h"
#include "topic/rq_topic.h"
#include "wal/rq_files_private.h"
#include "wal/rq_tidy.h"

/* Whose files a directory holds, and whether those beyond the ends go too. */
typedef struct TidyArg
{
	uint32		topic;
	bool		all;
} TidyArg;

/*
 * Log segments that were trimmed, or lie where nothing was ever logged.  One
 * that cannot be removed is noted only in the second case: no start takes what
 * lies below the log's start for messages.
 */
static void
tidy_log_file(const char *dir, const char *name, void *arg)
{
	const TidyArg *tidy = arg;
	uint64		segno;
	bool		unknown;
	char		path[MAXPGPATH];

	if (!rq_parse_log_name(name, &segno))
		return;
	unknown = rq_log_segment_start(segno) >= pg_atomic_read_u64(&rq_log->end);
	if (segno >= rq_log_segno(pg_atomic_read_u64(&rq_log->start)) &&
		!(tidy->all && unknown))
		return;
	rq_log_path(path, segno);
	if (!rq_remove_segment(path) && unknown)
		rq_leftovers_note();
}

/*
 * The same for queues.  Beyond the end a segment can also be too short, since
 * its name can reach the disk before its bytes do; so it is removed and not
 * used.  Files of queues that the topic does not have always go.
 */
static void
tidy_queue_file(const char *dir, const char *name, void *arg)
{
	const TidyArg *tidy = arg;
	uint32		queue_id;
	uint64		segno;
	bool		unknown = true;
	char		path[MAXPGPATH];

	if (!rq_parse_queue_name(name, &queue_id, &segno))
		return;
	if (queue_id < rq_topic_nslots(tidy->topic))
	{
		RqQueue    *q = rq_topic_queue(tidy->topic, queue_id);

		unknown = rq_queue_segment_start(segno) >= pg_atomic_read_u64(&q->end);
		if (segno >= rq_queue_segno(pg_atomic_read_u64(&q->start)) &&
			!(tidy->all && unknown))
			return;
	}
	rq_queue_path(path, rq_topic_key(tidy->topic), queue_id, segno);
	rq_topics[tidy->topic].lost_files = true;
	if (!rq_remove_segment(path) && unknown)
		rq_leftovers_note();
}

/* Directories of topics that do not exist go as a whole. */
static void
tidy_topic_dir(const char *dir, const char *name, void *arg)
{
	TidyArg		tidy = *(const TidyArg *) arg;
	char		path[MAXPGPATH];
	RqKey		key;
	uint64		lsn;

	bool		gone = true;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	if (rq_parse_topic_trash_name(name, &key, &lsn))
		gone = rq_remove_dir(path);
	else if (rq_parse_topic_dir_name(name, &key))
	{
		tidy.topic = rq_topic_find(key);
		if (tidy.topic == RQ_NO_SLOT)
			gone = rq_remove_dir(path);
		else
		{
			rq_remove_temporaries(path);
			gone = rq_visit_dir(path, tidy_queue_file, &tidy);
		}
	}
	if (!gone)
		rq_leftovers_note();
}

/*
 * No lock: nobody else changes the store, neither before replay nor while the
 * gate has not been opened.
 */
void
rq_files_tidy(bool all)
{
	TidyArg		tidy = {.topic = RQ_NO_SLOT, .all = all};

	rq_remove_temporaries(RQ_LOG_DIR);
	if (!rq_visit_dir(RQ_LOG_DIR, tidy_log_file, &tidy) ||
		!rq_visit_dir(RQ_QUEUE_DIR, tidy_topic_dir, &tidy))
		rq_leftovers_note();
}

/* ---- while the store is in use ---- */

/* What a visit has found that is left. */
typedef struct LeftArg
{
	uint32		topic;			/* whose directory is visited */
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
 * A file of a queue that exists can be left over from an earlier queue of that
 * number.  Beyond the queue's end it is not removed here: others may be about
 * to use it, or have it mapped, and the next start removes it.  It is harmful
 * if that start would take it for messages (rq_files.c), which it does not
 * with a segment that was only made ahead.
 *
 * While the gate is open, the end may reach the segment between the two
 * checks, and what has just been written is reported as left.  That costs
 * another visit.
 */
static void
remove_left_queue(const char *dir, const char *name, void *arg)
{
	LeftArg    *left = arg;
	RqQueue    *q;
	uint32		queue_id;
	uint64		segno;
	char		path[MAXPGPATH];

	if (!rq_parse_queue_name(name, &queue_id, &segno))
		return;
	rq_queue_path(path, rq_topic_key(left->topic), queue_id, segno);
	if (queue_id >= rq_topic_nslots(left->topic))
	{
		rq_topics[left->topic].lost_files = true;
		if (!rq_remove_segment(path))
			note_left(left, true);
		return;
	}
	q = rq_topic_queue(left->topic, queue_id);
	if (segno < rq_queue_segno(pg_atomic_read_u64(&q->start)))
	{
		if (!rq_remove_segment(path))
			note_left(left, false);
	}
	else if (rq_queue_segment_start(segno) >= pg_atomic_read_u64(&q->end) &&
			 rq_file_holds_something(path, 0))
		note_left(left, true);
}

/*
 * The same for the log: the allocator goes on with a segment that is there, so
 * the end will get to it.
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
			 rq_file_holds_something(path, RQ_SEG_HEADER_SIZE))
		note_left(left, true);
}

/*
 * Under the meta lock no topic comes or goes whose directory this could be.
 * It is taken for one directory at a time, since others wait for it.
 */
static void
remove_left(const char *dir, const char *name, void *arg)
{
	LeftArg    *left = arg;
	char		path[MAXPGPATH];
	RqKey		key;
	uint64		lsn;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	if (rq_parse_topic_trash_name(name, &key, &lsn) && !rq_remove_dir(path))
		note_left(left, true);
	if (!rq_parse_topic_dir_name(name, &key))
		return;
	LWLockAcquire(rq_meta_lock, LW_SHARED);
	left->topic = rq_topic_index_find(key);
	if (left->topic == RQ_NO_SLOT ? !rq_remove_dir(path) :
		!rq_visit_dir(path, remove_left_queue, left))
		note_left(left, true);
	LWLockRelease(rq_meta_lock);
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
	LeftArg		left = {.topic = RQ_NO_SLOT};

	if (seen == 0)
		return true;
	if (!rq_visit_dir(RQ_LOG_DIR, remove_left_log, &left) ||
		!rq_visit_dir(RQ_QUEUE_DIR, remove_left, &left))
		note_left(&left, true);
	if (!left.any)
		return pg_atomic_compare_exchange_u32(&rq_ctl->leftovers, &seen, 0);
	return !left.harmful;
}
