/*
 * rq_trash.c
 *	  Files of topics and queues that are gone.
 *
 * How do files go whose names may be used again at once, when to remove them
 * can take long, and the file system can refuse to?
 *
 * They are renamed under the meta lock, which takes little time, and removed
 * without it.  A full disk can have no room for the directory to move them to,
 * and then they are removed under the lock.  What cannot even be removed is
 * counted in rq_ctl->leftovers: the janitor tries again, and as long as there
 * is something left, the store is not noted as closed, so that the next start
 * removes it instead of taking it for messages.  After a crash of the system,
 * what was removed can be back if its directory was not synced; so that is
 * done before the store is noted as closed.
 */
#include "postgres.h"

#include "storage/fd.h"

#include "format/rq_segfmt.h"
#include "shmem/rq_shmem.h"
#include "store/rq_durable.h"
#include "topic/rq_tables.h"
#include "topic/rq_trash.h"

/*
 * Nothing throws here, and nothing is synced: the record is on disk, so redo,
 * or the keeper after it (rq_tidy.c), removes what comes back after a crash.
 */
void
rq_trash_topic(RqKey key, XLogRecPtr lsn, char *trash)
{
	char		path[MAXPGPATH];

	RQ_ASSERT_META_LOCK(LW_EXCLUSIVE);
	rq_topic_dir_path(path, key);
	rq_topic_trash_path(trash, key, lsn);
	if (rename(path, trash) == 0 || errno == ENOENT)
		return;

	/*
	 * Redo that is repeated finds what it has put away the first time under
	 * that name, which has the record's LSN in it.  Then the directory itself
	 * goes.
	 */
	if (errno != ENOTEMPTY && errno != EEXIST)
		ereport(LOG,
				(errcode_for_file_access(),
				 errmsg("could not rename directory \"%s\": %m", path)));
	if (!rq_remove_dir(path))
		rq_leftovers_note();
}

/*
 * Make the directory for files of queues; an empty name if there can be none.
 * One that is there already was made by this record, in a redo before this
 * one.
 */
static void
make_place(RqKey key, XLogRecPtr lsn, char *trash)
{
	int			err;

	rq_topic_trash_path(trash, key, lsn);
	err = rq_try_make_dir(trash);
	if (err == 0 || err == EEXIST)
		return;
	errno = err;
	ereport(LOG,
			(errcode_for_file_access(),
			 errmsg("could not create directory \"%s\": %m", trash)));
	trash[0] = '\0';
}

/* Move a file to "trash", or remove it; false if it is still there. */
static bool
put_away(const char *path, const char *trash)
{
	char		to[MAXPGPATH * 2];

	if (trash[0] != '\0')
	{
		snprintf(to, sizeof(to), "%s/%s", trash, last_dir_separator(path) + 1);
		if (rename(path, to) == 0)
			return true;
		ereport(LOG,
				(errcode_for_file_access(),
				 errmsg("could not rename file \"%s\": %m", path)));
	}
	return rq_remove_segment(path);
}

/*
 * File by file, since the directory keeps those of the queues that stay.  The
 * topic is marked first: its directory has lost files, and must be synced
 * before the store is noted as closed.  A file that stays, or a directory that
 * can't be read, is left to the janitor.
 */
void
rq_trash_queues(RqKey key, uint32 first, XLogRecPtr lsn, char *trash)
{
	char		path[MAXPGPATH];
	DIR		   *dir;
	struct dirent *de;
	bool		gone;

	RQ_ASSERT_META_LOCK(LW_EXCLUSIVE);
	rq_topics[rq_topic_index_find(key)].lost_files = true;
	rq_topic_dir_path(path, key);
	dir = AllocateDir(path);
	if (dir == NULL && errno == ENOENT)
		return;
	gone = dir != NULL;
	if (gone)
		make_place(key, lsn, trash);
	while ((de = ReadDirExtended(dir, path, LOG)) != NULL)
	{
		uint32		queue_id;
		uint64		segno;
		char		file[MAXPGPATH];

		if (!rq_parse_queue_name(de->d_name, &queue_id, &segno) ||
			queue_id < first)
			continue;
		rq_queue_path(file, key, queue_id, segno);
		gone &= put_away(file, trash);
	}
	if (dir != NULL)
		FreeDir(dir);
	if (!gone)
		rq_leftovers_note();
}

void
rq_trash_remove(const char *trash)
{
	if (trash[0] != '\0' && !rq_remove_dir(trash))
		rq_leftovers_note();
}
