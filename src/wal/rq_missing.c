/*
 * rq_missing.c
 *	  Which segments of the log were missing when a recovery began, for the next
 *	  one.
 *
 * How does a second recovery know that a file is what the first one has made?
 * Redo makes a file again that it has to write to, with zeros where WAL has
 * nothing to say.  A recovery that does not come to its end leaves such a
 * file, and it looks like any other.  So what is missing is written down
 * before the first record is replayed, and counts as missing until a recovery
 * has found that WAL has brought all of it.  The note lies beside the store,
 * in the file system of the data directory: there is room if the server can
 * start at all.
 */
#include "postgres.h"

#include <unistd.h>

#include "storage/fd.h"

#include "format/rq_segfmt.h"
#include "store/rq_durable.h"
#include "wal/rq_missing_private.h"

#define TMP_FILE	RQ_MISSING_FILE ".tmp"

/* The segment whose path this is; false if it is not such a path. */
static bool
parse_path(const char *path, uint64 *segno)
{
	const size_t len = strlen(RQ_LOG_DIR "/");

	return strncmp(path, RQ_LOG_DIR "/", len) == 0 &&
		rq_parse_log_name(path + len, segno);
}

static void
report(const char *what, const char *path)
{
	ereport(ERROR,
			(errcode_for_file_access(),
			 errmsg("could not %s file \"%s\": %m", what, path)));
}

/*
 * One path a line is also what somebody who reads the note can use.  Replaced as
 * a whole: a crash in the middle of writing must not lose what an
 * earlier recovery has noted.
 */
void
rq_missing_write(const RqMissing *files, uint64 n)
{
	FILE	   *note = AllocateFile(TMP_FILE, "w");
	char		path[MAXPGPATH];

	if (note == NULL)
		report("create", TMP_FILE);
	for (uint64 i = 0; i < n; i++)
	{
		rq_log_path(path, files[i].segno);
		fprintf(note, "%s\n", path);
	}
	if (fflush(note) != 0 || ferror(note))
		report("write", TMP_FILE);
	if (pg_fsync(fileno(note)) != 0)
		report("fsync", TMP_FILE);
	FreeFile(note);
	durable_rename(TMP_FILE, RQ_MISSING_FILE, ERROR);
}

/*
 * Lines that are no path of a segment are passed over: the note says which
 * files to doubt, and such a line names none.
 */
void
rq_missing_read(void (*visit) (uint64 segno))
{
	FILE	   *note = AllocateFile(RQ_MISSING_FILE, "r");
	char		line[MAXPGPATH];
	uint64		segno;

	if (note == NULL)
	{
		if (errno != ENOENT)
			report("open", RQ_MISSING_FILE);
		return;
	}
	while (fgets(line, sizeof(line), note) != NULL)
	{
		line[strcspn(line, "\r\n")] = '\0';
		if (parse_path(line, &segno))
			visit(segno);
	}
	if (ferror(note))
		report("read", RQ_MISSING_FILE);
	FreeFile(note);
}

/* Synced, or a power failure would bring the note back. */
void
rq_missing_forget(void)
{
	if (unlink(RQ_MISSING_FILE) == 0)
		rq_fsync_path(".", true);
	else if (errno != ENOENT)
		report("remove", RQ_MISSING_FILE);
}
