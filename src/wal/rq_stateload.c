/*
 * rq_stateload.c
 *	  Load the state file, or begin an empty store.
 *
 * The file is read twice, checked first, so that what is loaded is sound.
 *
 * A data directory that has had a store says so by a file beside it
 * (RQ_MADE_FILE): so a store that is not there, because its file system is not
 * mounted or somebody has put it away, is not taken for one that is yet to be
 * made.  That file goes where the data directory goes, into base backups too.
 */
#include "postgres.h"

#include <unistd.h>

#include "miscadmin.h"

#include "base/rq_guc.h"
#include "format/rq_statefmt.h"
#include "shmem/rq_shmem.h"
#include "store/rq_durable.h"
#include "store/rq_stream.h"
#include "wal/rq_files_private.h"
#include "wal/rq_stateload.h"

static void
load_all(RqReader *r)
{
	RqStateHeader h;

	rq_state_take(r, &h, sizeof(h));
	rq_set_segment_mb(h.segment_mb);
	pg_atomic_write_u64(&rq_ctl->log_start, h.log_start);
	pg_atomic_write_u64(&rq_ctl->log_end, h.log_end);
	rq_ctl->meta_lsn = h.meta_lsn;
	rq_ctl->next_group_id = h.next_group_id;
	rq_ctl->made_by_upgrade = (h.flags & RQ_STATE_UPGRADE) != 0 &&
		(IsBinaryUpgrade || rq_state_count(&h, RQ_STATE_TOPICS) > 0);
	rq_parts_load(r, &h);
}

static bool
read_state(void *file, void *to, uint64 size)
{
	return rq_reader_read(file, to, size);
}

/* What is wrong with the state file, NULL if nothing is or there is none. */
static const char *
check_state(bool *found)
{
	const char *problem;
	uint64		len;
	RqReader   *r = rq_reader_open(RQ_STATE_FILE, &len);

	*found = r != NULL;
	if (r == NULL)
		return NULL;
	problem = rq_state_check(read_state, r, len);
	rq_reader_close(r);
	return problem;
}

const char *
rq_state_probe(void)
{
	const char *problem;
	bool		found;

	if (access(RQ_STATE_FILE, F_OK) == 0 && access(RQ_STATE_FILE, R_OK) != 0)
		return "the state file cannot be read";
	problem = check_state(&found);
	return found ? problem : "the state file is missing";
}

/* ---- begin ---- */

/* The state of a store that holds nothing. */
static void
write_first_state(void)
{
	RqStateHeader h = {.segment_mb = rq_ctl->segment_mb, .next_group_id = 1,
	.flags = IsBinaryUpgrade ? RQ_STATE_UPGRADE : 0};
	RqWriter   *w = rq_writer_begin(RQ_STATE_FILE, sizeof(h));

	rq_state_seal(&h, rq_writer_length(w), rq_writer_crc(w));
	rq_writer_replace(w, &h);
	rq_writer_end(w);
	rq_ctl->made_by_upgrade = IsBinaryUpgrade;
}

/*
 * pg_upgrade brings topics over, and not their messages.  Who begins to work
 * with such a store would have to give that up for the messages.
 */
static void
refuse_upgraded(void)
{
	if (rq_ctl->made_by_upgrade && !IsBinaryUpgrade)
		ereport(FATAL,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the rocketq store of the old cluster is missing"),
				 errdetail("pg_upgrade does not copy \"%s\"; the one that is there is new and empty.",
						   RQ_DIR),
				 errhint("Put the old cluster's \"%s\" in its place. " RQ_EMPTY_HINT,
						 RQ_DIR, RQ_DIR, RQ_MADE_FILE)));
}

void
rq_state_load(void)
{
	const char *problem;
	bool		found;
	uint64		len;
	RqReader   *r;

	rq_refuse_links();
	rq_set_segment_mb(rq_segment_size_mb);
	problem = check_state(&found);
	if (problem)
		rq_state_damaged(problem);
	rq_files_check_begin(found);
	if (!found)
	{
		rq_make_directories();
		write_first_state();
	}
	rq_make_note(RQ_MADE_FILE,
				 "This data directory has a rocketq store, in " RQ_DIR ".  As long as this file\n"
				 "is here, the server does not start without it.\n");
	r = rq_reader_open(RQ_STATE_FILE, &len);
	LWLockAcquire(rq_meta_lock, LW_EXCLUSIVE);
	load_all(r);
	LWLockRelease(rq_meta_lock);
	rq_reader_close(r);
	refuse_upgraded();
	if (rq_ctl->segment_mb != (uint32) rq_segment_size_mb)
		ereport(LOG,
				(errmsg("rocketq.segment_size = %dMB is ignored: the store has segments of %u MB",
						rq_segment_size_mb, rq_ctl->segment_mb)));
	rq_files_check_loaded();
	rq_make_directories();
	rq_ctl->loaded = true;
}
