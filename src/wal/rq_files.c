/*
 * rq_files.c
 *	  Are the files there that the state file describes, and no others?
 *
 * Given a data directory that somebody has copied, restored or mounted, which
 * files of the store are missing, and which do not belong to its state file?
 * A server that started with files missing would in time forget that they were
 * ever there, and would remove as garbage what it does not know.  So it
 * refuses to start, as far as it can tell.
 *
 * After a clean shutdown, files and state must agree exactly.  PostgreSQL's
 * own word for a clean shutdown is not enough: the keeper may never have run
 * since a crash, or files of dropped topics may be left.  So the keeper leaves
 * a note of its own when everything is done (RQ_CLOSED_FILE).  The note is
 * removed before anything is added; a removal works on a full disk too.
 *
 * After a crash, or in a base backup, files can be missing that WAL trims or
 * makes again.  So what is missing is only noted at first, and checked when
 * replay has reached a consistent state.  A file that redo has made again is
 * whole if WAL has brought all of it.  Otherwise it still counts as missing,
 * for the next start too (rq_missing.c), and what redo has made of it is
 * removed.
 */
#include "postgres.h"

#include <sys/stat.h>
#include <unistd.h>

#include "catalog/pg_control.h"
#include "common/controldata_utils.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/memutils.h"

#include "base/rq_guc.h"
#include "format/rq_queuefmt.h"
#include "format/rq_segfmt.h"
#include "format/rq_statefmt.h"
#include "log/rq_log.h"
#include "queue/rq_entry.h"
#include "shmem/rq_shmem.h"
#include "store/rq_durable.h"
#include "topic/rq_topic.h"
#include "wal/rq_files.h"
#include "wal/rq_files_private.h"
#include "wal/rq_missing_private.h"
#include "wal/rq_state.h"

/*
 * Those that were missing when the state was loaded.  Filled by the
 * postmaster; the startup process and the keeper inherit the list.
 */
static RqStoreFile *missing = NULL;
static uint64 nmissing = 0;
static uint64 max_missing = 0;

/* As found when the state was loaded, before the note is removed. */
static bool shut_down_in_order;

/* ---- before anything is changed ---- */

/* Only ENOENT proves that there is no such file. */
static bool
exists(const char *path)
{
	return access(path, F_OK) == 0 || errno != ENOENT;
}

/* Is there an entry in the directory that only a store in use can have made? */
static bool
has_files(const char *path, char *name)
{
	DIR		   *dir = AllocateDir(path);
	struct dirent *de;
	bool		found = false;

	if (dir == NULL && errno == ENOENT)
		return false;
	while (!found && (de = ReadDirExtended(dir, path, LOG)) != NULL)
	{
		uint64		segno;
		RqKey		key;

		found = rq_parse_log_name(de->d_name, &segno) ||
			rq_parse_topic_dir_name(de->d_name, &key);
		if (found)
			snprintf(name, MAXPGPATH, "%s/%s", path, de->d_name);
	}
	FreeDir(dir);
	return found;
}

/*
 * Has there been a store?  "witness" gets the file that shows it.  The one
 * beside the store can be missing in a data directory that was assembled by
 * hand.
 */
static bool
was_used(char *witness)
{
	if (exists(RQ_MADE_FILE))
	{
		strlcpy(witness, RQ_MADE_FILE, MAXPGPATH);
		return true;
	}
	return has_files(RQ_LOG_DIR, witness) || has_files(RQ_QUEUE_DIR, witness);
}

/*
 * FATAL in the postmaster, so the server does not start: nothing has been
 * changed by then, and what is missing can still be put back.
 */
static void
report_gone(const char *kind, const char *path, const char *witness)
{
	ereport(FATAL,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("rocketq %s \"%s\" is missing", kind, path),
			 errdetail("The existence of \"%s\" shows that the store has been used.", witness),
			 errhint("Put it back as it was when the server stopped, mount its file system, or restore the data directory from a backup.  " RQ_EMPTY_HINT,
					 RQ_DIR, RQ_MADE_FILE)));
}

/*
 * A store without its state file is either not made yet, or no longer there.
 * Only the first may be taken for an empty one.
 */
void
rq_files_check_begin(bool found)
{
	char		witness[MAXPGPATH];

	if (found || !was_used(witness))
		return;
	if (exists(RQ_DIR))
		report_gone("state file", RQ_STATE_FILE, witness);
	report_gone("directory", RQ_DIR, witness);
}

/* ---- what is missing ---- */

/*
 * The first position at or after "pos" that holds a frame, or will.  The end
 * of a gap can lie in another gap or where no frame can begin, hence the loop.
 */
static RqPos
next_written(RqPos pos)
{
	bool		again = true;

	while (again)
	{
		pos = rq_log_frame_start(pos);
		again = false;
		for (uint32 i = 0; i < rq_gaps->n && !again; i++)
			if (pos >= rq_gaps->gaps[i].start && pos < rq_gaps->gaps[i].end)
			{
				pos = rq_gaps->gaps[i].end;
				again = true;
			}
	}
	return pos;
}

/* What a segment of the log holds: [from, to). */
static bool
log_range(uint64 segno, RqPos *from, RqPos *to)
{
	RqPos		start = rq_log_segment_start(segno);

	*from = next_written(Max(start, pg_atomic_read_u64(&rq_log->start)));
	*to = Min(start + rq_log->segment_size, pg_atomic_read_u64(&rq_log->end));
	return *from < *to;
}

/*
 * Is the file there with its full size?  One that is too short counts as
 * missing, although redo would extend it: what it held past its end is lost.
 * "there" says which of the two, for remove_begun().
 */
static bool
is_complete(RqStoreFile *f)
{
	uint64		size = RQ_IS_OF_LOG(f) ? rq_log->segment_size : rq_queue_segment_size(f->segno);
	char		path[MAXPGPATH];
	struct stat st;

	rq_store_file_path(path, f);
	f->there = stat(path, &st) == 0;
	return f->there ? (uint64) st.st_size >= size : errno != ENOENT;
}

static void
add_missing(RqStoreFile f)
{
	if (nmissing == max_missing)
	{
		max_missing = Max(64, 2 * max_missing);
		missing = missing == NULL ?
			MemoryContextAllocHuge(TopMemoryContext, max_missing * sizeof(RqStoreFile)) :
			repalloc_huge(missing, max_missing * sizeof(RqStoreFile));
	}
	missing[nmissing++] = f;
}

static void
note_if_missing(RqStoreFile f)
{
	if (!is_complete(&f))
		add_missing(f);
}

/*
 * A queue that keeps no entry has lost none, whichever of its files are
 * missing.
 */
static void
note_missing_of_queue(RqQueue *q)
{
	RqOff		start = pg_atomic_read_u64(&q->start);
	RqOff		end = pg_atomic_read_u64(&q->end);
	RqStoreFile f = {.key = rq_queue_key(q), .queue_id = q->id};

	if (start >= end)
		return;
	for (f.segno = rq_queue_segno(start); f.segno <= rq_queue_segno(end - 1); f.segno++)
		note_if_missing(f);
}

/*
 * Check all files that the state describes.  A segment of the log in which all
 * that is kept lies in gaps need not be there yet.
 */
static void
note_missing(void)
{
	RqPos		end = pg_atomic_read_u64(&rq_log->end);
	RqStoreFile f = {.segno = rq_log_segno(pg_atomic_read_u64(&rq_log->start))};
	RqPos		from;
	RqPos		to;

	nmissing = 0;
	for (; rq_log_segment_start(f.segno) < end; f.segno++)
		if (log_range(f.segno, &from, &to))
			note_if_missing(f);
	for (uint32 t = 0; t < rq_topics_begun(); t++)
		for (uint32 i = 0; i < rq_topic_nslots(t); i++)
			note_missing_of_queue(rq_topic_queue(t, i));
}

/* Does the state describe the file? */
static bool
is_needed(const RqStoreFile *f)
{
	uint32		topic;
	RqQueue    *q;
	RqPos		from;
	RqPos		to;

	if (RQ_IS_OF_LOG(f))
		return log_range(f->segno, &from, &to);
	topic = rq_topic_index_find(f->key);
	if (topic == RQ_NO_SLOT || f->queue_id >= rq_topic_nslots(topic))
		return false;
	q = rq_topic_queue(topic, f->queue_id);
	return f->segno >= rq_queue_segno(pg_atomic_read_u64(&q->start)) &&
		rq_queue_segment_start(f->segno) < pg_atomic_read_u64(&q->end);
}

/*
 * A file was missing when an earlier recovery began, so what is there now may
 * be what that recovery made of it.  If it is still missing, note_missing()
 * has found that already.
 */
static void
note_again(RqStoreFile f)
{
	if (is_needed(&f) && is_complete(&f))
		add_missing(f);
}

/*
 * A tool that copies files may leave out empty directories; so one may be
 * missing unless files in it are.
 */
static void
check_dirs(void)
{
	for (uint64 i = 0; i < nmissing && !rq_ignore_missing_files; i++)
	{
		const char *dir = RQ_IS_OF_LOG(&missing[i]) ? RQ_LOG_DIR : RQ_QUEUE_DIR;

		if (!exists(dir))
			report_gone("directory", dir, RQ_STATE_FILE);
	}
}

static void
report_missing_files(const RqStoreFile *first, uint64 n, int elevel)
{
	char		path[MAXPGPATH];

	rq_store_file_path(path, first);
	ereport(rq_ignore_missing_files ? WARNING : elevel,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("rocketq file \"%s\" is missing or incomplete", path),
			 n > 1 ? errdetail("It contains messages, as do " UINT64_FORMAT " more missing files.", n - 1) :
			 errdetail("It contains messages."),
			 errhint("Put back what is missing, mount its file system, or restore the data directory from a backup.  "
					 "With rocketq.ignore_missing_files = on, the server starts, but the messages in these files are lost.")));
}

/* ---- what is unknown ---- */

/*
 * A frame or an entry that was ever written has a byte that is not zero among
 * its first 32, and a segment is written from its beginning.  One that was
 * only made ahead has none.
 */
bool
rq_file_holds_something(const char *path, uint32 skip)
{
	const char	zeros[32] = {0};
	char		bytes[32];
	int			fd = BasicOpenFile(path, O_RDONLY | PG_BINARY);
	bool		holds;

	if (fd < 0)
		return false;
	holds = pg_pread(fd, bytes, sizeof(bytes), skip) == sizeof(bytes) &&
		memcmp(bytes, zeros, sizeof(bytes)) != 0;
	close(fd);
	return holds;
}

static void
refuse_unknown(const char *path, uint32 skip)
{
	if (rq_file_holds_something(path, skip))
		ereport(FATAL,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("rocketq file \"%s\" contains messages that are not recorded in the state file", path),
				 errdetail("The server was shut down cleanly, so \"%s\" does not belong to the other files.",
						   RQ_STATE_FILE),
				 errhint("Put back the state file that belongs to them, or restore the data directory from a backup.  "
						 "To discard the messages, move the file out of \"%s\".", RQ_DIR)));
}

/*
 * Beyond the log's end only: before it the state knows the segments, or they
 * have been trimmed and are removed by the keeper (rq_tidy.c).
 */
static void
check_log_file(const char *dir, const char *name, void *unused)
{
	char		path[MAXPGPATH];
	uint64		segno;

	if (!rq_parse_log_name(name, &segno) ||
		rq_log_segment_start(segno) < pg_atomic_read_u64(&rq_log->end))
		return;
	rq_log_path(path, segno);
	refuse_unknown(path, RQ_SEG_HEADER_SIZE);
}

/* For a directory that is not read to its end, nobody can tell. */
static void
check_all(const char *path, RqDirVisit check, void *arg)
{
	if (!rq_visit_dir(path, check, arg))
		ereport(FATAL,
				(errcode(ERRCODE_IO_ERROR),
				 errmsg("could not check the files in \"%s\"", path),
				 errdetail("The message before this one says why.")));
}

static void
check_queue_file(const char *dir, const char *name, void *arg)
{
	const RqKey *key = arg;
	uint32		topic = rq_topic_index_find(*key);
	char		path[MAXPGPATH];
	uint32		queue_id;
	uint64		segno;

	if (!rq_parse_queue_name(name, &queue_id, &segno))
		return;
	if (topic != RQ_NO_SLOT && queue_id < rq_topic_nslots(topic) &&
		rq_queue_segment_start(segno) < pg_atomic_read_u64(&rq_topic_queue(topic, queue_id)->end))
		return;
	rq_queue_path(path, *key, queue_id, segno);
	refuse_unknown(path, 0);
}

/*
 * Also of a topic that the state does not know: then every file of its
 * directory that holds something is one too many.
 */
static void
check_topic_dir(const char *dir, const char *name, void *unused)
{
	char		path[MAXPGPATH];
	RqKey		key;

	if (!rq_parse_topic_dir_name(name, &key))
		return;
	rq_topic_dir_path(path, key);
	check_all(path, check_queue_file, &key);
}

/* ---- at a start ---- */

/*
 * Must files and state agree, with no WAL to be replayed?  Three witnesses:
 * the control file (PostgreSQL was shut down), the keeper's note (and so was
 * the store), and no backup_label, which would bring recovery from a backup.
 */
static bool
is_shut_down_in_order(void)
{
	bool		crc_ok;
	ControlFileData *control = get_controlfile(DataDir, &crc_ok);
	bool		in_order = crc_ok && control->state == DB_SHUTDOWNED;

	pfree(control);
	return in_order && exists(RQ_CLOSED_FILE) && !exists("backup_label");
}

/*
 * fsync the directories that files were removed from.  A removal that is not
 * on disk is undone by a power failure, and after the note the next start
 * would refuse the file that came back.
 *
 * No lock: called with the gate closed.
 */
static void
sync_removals(void)
{
	char		path[MAXPGPATH];

	for (uint32 t = 0; t < rq_topics_begun(); t++)
	{
		RqKey		key = rq_topic_key(t);

		if (key.rel == InvalidOid || !rq_topics[t].lost_files)
			continue;
		rq_topics[t].lost_files = false;
		rq_topic_dir_path(path, key);
		rq_fsync_path(path, true);
	}
	rq_fsync_path(RQ_QUEUE_DIR, true);
	rq_fsync_path(RQ_LOG_DIR, true);
}

/* Removals first: see above. */
void
rq_files_note_closed(void)
{
	sync_removals();
	rq_make_note(RQ_CLOSED_FILE,
				 "The server was shut down cleanly, and \"state\" describes all files that are\n"
				 "here.  Any others that are put here are refused.\n");
}

/*
 * Synced before the caller goes on: if a power failure brought the note back,
 * the next start would take what has been added since for files that do not
 * belong to the store.
 */
void
rq_files_forget_closed(void)
{
	if (unlink(RQ_CLOSED_FILE) != 0 && errno != ENOENT)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not remove file \"%s\": %m", RQ_CLOSED_FILE)));
	rq_fsync_path(RQ_DIR, true);
}

/*
 * After a clean shutdown nothing is replayed, so what is missing, or there and
 * unknown, is wrong now and would be removed or overwritten later.
 *
 * Otherwise what is missing is written down before the first record is
 * replayed, together with what earlier recoveries have noted: redo makes files
 * again, and from then on nobody could tell.
 */
void
rq_files_check_loaded(void)
{
	shut_down_in_order = is_shut_down_in_order();
	LWLockAcquire(rq_meta_lock, LW_SHARED);
	note_missing();
	check_dirs();
	if (shut_down_in_order)
	{
		if (nmissing > 0)
			report_missing_files(&missing[0], nmissing, FATAL);
		nmissing = 0;
		check_all(RQ_LOG_DIR, check_log_file, NULL);
		check_all(RQ_QUEUE_DIR, check_topic_dir, NULL);
	}
	else
		rq_missing_read(note_again);
	LWLockRelease(rq_meta_lock);
	if (nmissing > 0)
		rq_missing_write(missing, nmissing);
}

/* Has WAL brought every frame of a segment that redo has made? */
static bool
log_is_whole(const RqStoreFile *f)
{
	RqPos		from;
	RqPos		to;
	RqPos		next;
	RqFrame		frame;
	const char *problem = NULL;

	if (!log_range(f->segno, &from, &to))
		return true;
	while (problem == NULL && from < to &&
		   rq_log_walk(&from, to, &frame, &next, &problem))
		from = next_written(next);
	return problem == NULL;
}

/* The same for entries: each that was ever written points to a frame. */
static bool
queue_is_whole(const RqStoreFile *f)
{
	uint32		topic = rq_topic_index_find(f->key);
	RqQueue    *q;
	RqOff		to;
	RqEntry		e;

	if (topic == RQ_NO_SLOT || f->queue_id >= rq_topic_nslots(topic))
		return true;
	q = rq_topic_queue(topic, f->queue_id);
	to = Min(rq_queue_segment_start(f->segno + 1), pg_atomic_read_u64(&q->end));
	for (RqOff off = Max(rq_queue_segment_start(f->segno), pg_atomic_read_u64(&q->start));
		 off < to; off++)
		if (!rq_queue_probe(q, off, &e) || e.pos == 0)
			return false;
	return true;
}

/*
 * Leave in the list what is not whole.  What has been trimmed or dropped since
 * is no longer needed and counts as whole.
 */
static void
find_incomplete(void)
{
	uint64		n = 0;

	LWLockAcquire(rq_meta_lock, LW_SHARED);
	for (uint64 i = 0; i < nmissing; i++)
		if (RQ_IS_OF_LOG(&missing[i]) ? !log_is_whole(&missing[i]) :
			!queue_is_whole(&missing[i]))
			missing[n++] = missing[i];
	LWLockRelease(rq_meta_lock);
	nmissing = n;
}

/*
 * Remove what redo has made where there was nothing, so that whoever puts back
 * what was lost finds the place free.  A file that was there, but too short,
 * stays.
 */
static void
remove_begun(void)
{
	char		path[MAXPGPATH];

	for (uint64 i = 0; i < nmissing; i++)
	{
		rq_store_file_path(path, &missing[i]);
		if (!missing[i].there)
			unlink(path);
	}
}

/*
 * If the server is not to go on, the note of missing files stays for the next
 * start, and what redo has made goes before that is reported, since FATAL does
 * not return.
 */
bool
rq_files_check_replayed(int elevel)
{
	if (rq_store->files_checked)
		return true;
	find_incomplete();
	if (nmissing == 0 || rq_ignore_missing_files)
	{
		rq_missing_forget();
		rq_store->files_checked = true;
	}
	else
		remove_begun();
	if (nmissing > 0)
		report_missing_files(&missing[0], nmissing, elevel);
	return rq_store->files_checked;
}
