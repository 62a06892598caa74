/*
 * rq_janitor.c
 *	  The janitor: storage of dropped topics, segments nobody needs, and
 *	  samples for rates.
 *
 * How does a process without a database know which topics exist?  A topic's
 * own empty relation file is the proof.  A commit that drops a topic reports
 * that at once (rq_topic_doom()); what a crash or DROP DATABASE left is found
 * by checking for the files, without any catalog.  A crash can also leave the
 * file of a dropped topic; such a topic is recognized by its drop_xid
 * (rq_topic_txn.c).
 */
#include "postgres.h"

#include <unistd.h>

#include "catalog/pg_tablespace_d.h"
#include "common/relpath.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "utils/timestamp.h"

#include "base/rq_compat.h"
#include "base/rq_fault.h"
#include "base/rq_guc.h"
#include "consume/rq_rates.h"
#include "consume/rq_saved.h"
#include "consume/rq_unused.h"
#include "log/rq_disk.h"
#include "retain/rq_retain.h"
#include "shmem/rq_workers.h"
#include "topic/rq_group_create.h"
#include "topic/rq_group_drop.h"
#include "topic/rq_settle.h"
#include "topic/rq_topic.h"
#include "topic/rq_topic_create.h"
#include "topic/rq_topic_drop.h"
#include "wal/rq_tidy.h"
#include "worker/rq_worker.h"

/* Found by its name. */
extern PGDLLEXPORT void rq_janitor_main(Datum arg);

/* How often the files of all topics are checked for, in milliseconds. */
#define LOOK_INTERVAL_MS	60000

/* How often files that could not be removed are tried again, in milliseconds. */
#define RETRY_INTERVAL_MS	2000

/* How many topics' storage is removed in a round. */
#define DROP_ROUND			32

/* How many groups are dropped in a round whose creation was rolled back. */
#define ABANDONED_ROUND		256

/*
 * Only ENOENT is taken as proof that the file does not exist: whatever else
 * may be wrong must not cost a topic its messages.
 */
static bool
file_exists(RqKey key, Oid spc)
{
	char	   *path = rq_relation_path(key.db, spc, key.rel);
	bool		found = access(path, F_OK) == 0 || errno != ENOENT;

	pfree(path);
	return found;
}

/* A tablespace that is not mounted proves nothing about its files. */
static bool
tablespace_is_there(const char *name)
{
	char		path[MAXPGPATH];

	snprintf(path, sizeof(path), "pg_tblspc/%s/%s", name,
			 TABLESPACE_VERSION_DIRECTORY);
	return access(path, F_OK) == 0;
}

/*
 * An RqTopicExists, true if in doubt.  The tablespace is only a hint: ALTER
 * DATABASE SET TABLESPACE moves the file without our knowing.  So before a
 * topic is taken for dropped, all tablespaces are searched, and all must be
 * mounted.
 */
static bool
relation_exists(RqKey key, Oid hint)
{
	DIR		   *dir;
	struct dirent *de;
	bool		found;

	if (file_exists(key, hint) || file_exists(key, DEFAULTTABLESPACE_OID))
		return true;
	dir = AllocateDir("pg_tblspc");
	found = dir == NULL;
	while (!found && (de = ReadDirExtended(dir, "pg_tblspc", LOG)) != NULL)
		found = de->d_name[0] != '.' &&
			(!tablespace_is_there(de->d_name) ||
			 file_exists(key, atooid(de->d_name)));
	if (dir)
		FreeDir(dir);
	return found;
}

/* Something has come to an end: another round follows at once. */
static bool again;

/*
 * Remove storage of some dropped topics.  Doomed ones at once, since somebody
 * may need their room; the check for files of all others, one or more system
 * calls for each, once a minute.  A round that was cut short is no complete
 * check, so the next one checks again.
 */
static void
drop_garbage(void)
{
	static TimestampTz next_look = 0;
	TimestampTz now = GetCurrentTimestamp();
	bool		look = now >= next_look;
	int			dropped;

	if (!look && pg_atomic_read_u32(&rq_tables->ndoomed) == 0)
		return;
	RQ_FAULT("janitor-drop");
	dropped = rq_topic_drop_garbage(look ? relation_exists : NULL, DROP_ROUND);
	if (look && dropped < DROP_ROUND)
		next_look = TimestampTzPlusMilliseconds(now, LOOK_INTERVAL_MS);
	again |= dropped > 0;
}

static void
settle_topics(void)
{
	static RqPass pass;

	RQ_FAULT("janitor-settle");
	again |= rq_topic_settle_some(&pass);
}

static void
settle_groups(void)
{
	static RqPass pass;

	again |= rq_group_settle_some(&pass);
}

static void
drop_abandoned(void)
{
	again |= rq_group_drop_abandoned(ABANDONED_ROUND) > 0;
}

/* Try again what the file system refused when it was dropped or trimmed. */
static void
remove_leftovers(void)
{
	static TimestampTz next_try = 0;
	TimestampTz now = GetCurrentTimestamp();

	if (now < next_try || pg_atomic_read_u32(&rq_ctl->leftovers) == 0)
		return;
	next_try = TimestampTzPlusMilliseconds(now, RETRY_INTERVAL_MS);
	(void) rq_files_tidy_leftovers();
}

/*
 * The order is that of what others wait for: room on the disk comes first.
 * What users can make grow without limit is done in parts, see src/README.  An
 * error ends its own step only, since one that keeps coming back must not keep
 * the others from being done.
 */
static const RqRound steps[] = {
	rq_disk_look,
	rq_retain_round,
	settle_topics,
	settle_groups,
	drop_abandoned,
	drop_garbage,
	remove_leftovers,
	rq_unused_drop_expired,
	rq_saved_place_round,
	rq_rates_sample
};

/* gate_open is only a hint here; steps that log anything enter the gate. */
static void
clean(void)
{
	again = false;
	if (!rq_ctl->gate_open)
		return;
	for (int i = 0; i < lengthof(steps); i++)
		rq_worker_round(steps[i]);
	if (again)
		rq_worker_wake(RQ_JANITOR);
}

void
rq_janitor_main(Datum arg)
{
	rq_worker_begin(RQ_JANITOR);
	do
		clean();
	while (rq_worker_wait(rq_janitor_interval_ms));
	proc_exit(1);
}
