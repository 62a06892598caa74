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
 * After a crash, or in a base backup, segments of the log can be missing that WAL
 * trims or makes again, and entries of queues that it brings or removes.  So what
 * is missing is only noted at first, and checked when replay has reached a
 * consistent state.  A segment that redo has made again is whole if WAL has
 * brought all of it.  Otherwise it still counts as missing, for the next start
 * too (rq_missing.c), and what redo has made of it is removed.  Entries are looked
 * for one by one, whichever area file they were in (rq_holes.c).
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
#include "extent/rq_extmem.h"
#include "format/rq_segfmt.h"
#include "format/rq_statefmt.h"
#include "log/rq_log.h"
#include "shmem/rq_shmem.h"
#include "store/rq_durable.h"
#include "wal/rq_files.h"
#include "wal/rq_files_private.h"
#include "wal/rq_holes_private.h"
#include "wal/rq_missing_private.h"
#include "wal/rq_state.h"

/*
 * Segments of the log that were missing when the state was loaded.  Filled by the
 * postmaster; the startup process and the keeper inherit the list.
 */
static RqMissing *missing = NULL;
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
		uint32		area;

		found = rq_parse_log_name(de->d_name, &segno) ||
			rq_parse_area_name(de->d_name, &area);
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
is_complete(RqMissing *f)
{
	char		path[MAXPGPATH];
	struct stat st;

	rq_log_path(path, f->segno);
	f->there = stat(path, &st) == 0;
	return f->there ? (uint64) st.st_size >= rq_log->segment_size : errno != ENOENT;
}

static void
add_missing(RqMissing f)
{
	if (nmissing == max_missing)
	{
		max_missing = Max(64, 2 * max_missing);
		missing = missing == NULL ?
			MemoryContextAllocHuge(TopMemoryContext, max_missing * sizeof(RqMissing)) :
			repalloc_huge(missing, max_missing * sizeof(RqMissing));
	}
	missing[nmissing++] = f;
}

/*
 * Check all segments of the log.  One in which all that is kept lies in gaps need
 * not be there yet.
 */
static void
note_missing(void)
{
	RqPos		end = pg_atomic_read_u64(&rq_log->end);
	RqMissing	f = {.segno = rq_log_segno(pg_atomic_read_u64(&rq_log->start))};
	RqPos		from;
	RqPos		to;

	nmissing = 0;
	for (; rq_log_segment_start(f.segno) < end; f.segno++)
		if (log_range(f.segno, &from, &to) && !is_complete(&f))
			add_missing(f);
}

/*
 * A segment was missing when an earlier recovery began, so what is there now may
 * be what that recovery made of it.  If it is still missing, note_missing()
 * has found that already.
 */
static void
note_again(uint64 segno)
{
	RqMissing	f = {.segno = segno};
	RqPos		from;
	RqPos		to;

	if (log_range(segno, &from, &to) && is_complete(&f))
		add_missing(f);
}

/*
 * A tool that copies files may leave out empty directories; so one may be
 * missing unless files in it are.
 */
static void
check_dirs(uint64 nholes)
{
	if (rq_ignore_missing_files)
		return;
	if (nmissing > 0 && !exists(RQ_LOG_DIR))
		report_gone("directory", RQ_LOG_DIR, RQ_STATE_FILE);
	if (nholes > 0 && !exists(RQ_QUEUE_DIR))
		report_gone("directory", RQ_QUEUE_DIR, RQ_STATE_FILE);
}

static void
report_missing_files(int elevel)
{
	char		path[MAXPGPATH];

	rq_log_path(path, missing[0].segno);
	ereport(elevel,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("rocketq file \"%s\" is missing or incomplete", path),
			 nmissing > 1 ?
			 errdetail("It contains messages, as do " UINT64_FORMAT " more missing files.", nmissing - 1) :
			 errdetail("It contains messages."),
			 errhint("%s", RQ_MISSING_HINT)));
}

/* Both, unless the first report does not return; nothing if all is there. */
static void
report_all_missing(uint64 nholes, int elevel)
{
	if (rq_ignore_missing_files)
		elevel = WARNING;
	if (nmissing > 0)
		report_missing_files(elevel);
	if (nholes > 0)
		rq_holes_report(elevel);
}

/* ---- what is unknown ---- */

/*
 * A frame that was ever written has a byte that is not zero among its first 32,
 * and a segment is written from its beginning.  One that was only made ahead has
 * none.
 */
bool
rq_log_file_holds_something(const char *path)
{
	const char	zeros[32] = {0};
	char		bytes[32];
	int			fd = BasicOpenFile(path, O_RDONLY | PG_BINARY);
	bool		holds;

	if (fd < 0)
		return false;
	holds = pg_pread(fd, bytes, sizeof(bytes), RQ_SEG_HEADER_SIZE) == sizeof(bytes) &&
		memcmp(bytes, zeros, sizeof(bytes)) != 0;
	close(fd);
	return holds;
}

static void
refuse_unknown(const char *path)
{
	if (rq_log_file_holds_something(path))
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
	refuse_unknown(path);
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
 * Removals first: one that is not on disk is undone by a power failure, and after
 * the note the next start would refuse the segment that came back.
 */
void
rq_files_note_closed(void)
{
	rq_fsync_path(RQ_LOG_DIR, true);
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
	uint64		nholes;

	shut_down_in_order = is_shut_down_in_order();
	LWLockAcquire(rq_meta_lock, LW_SHARED);
	note_missing();
	nholes = rq_holes_begin_load(shut_down_in_order);
	check_dirs(nholes);
	if (shut_down_in_order)
	{
		report_all_missing(nholes, FATAL);
		nmissing = 0;
		check_all(RQ_LOG_DIR, check_log_file, NULL);
	}
	else
		rq_missing_read(note_again);
	LWLockRelease(rq_meta_lock);
	rq_make_directories();
	if (nmissing > 0)
		rq_missing_write(missing, nmissing);
	rq_holes_end_load();
}

/* Has WAL brought every frame of a segment that redo has made? */
static bool
log_is_whole(const RqMissing *f)
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
		if (!log_is_whole(&missing[i]))
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
		rq_log_path(path, missing[i].segno);
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
	uint64		nholes;

	if (rq_store->files_checked)
		return true;
	find_incomplete();
	nholes = rq_holes_look_again();
	if ((nmissing > 0 || nholes > 0) && !rq_ignore_missing_files)
	{
		remove_begun();
		report_all_missing(nholes, elevel);
		return false;
	}
	if (!shut_down_in_order)
		report_all_missing(nholes, elevel);
	rq_holes_give_up();
	rq_extents_forget_absent();
	rq_missing_forget();
	rq_store->files_checked = true;
	return true;
}
