/*
 * rq_stateload.c
 *	  Load the state file, or begin an empty store.
 *
 * Given a data directory, is there a store to be loaded, or one to be made?
 *
 * The state file is read twice, the first time only to be checked: loaders
 * write to shared memory and rely on all numbers being within their bounds.
 *
 * A data directory that has had a store has a file beside it that says so
 * (RQ_MADE_FILE).  So a store that is not there, because its file system is
 * not mounted or somebody has moved it away, is not taken for one that is yet
 * to be made.  That file goes where the data directory goes, into base backups
 * too.
 */
#include "postgres.h"

#include <unistd.h>

#include "miscadmin.h"

#include "base/rq_guc.h"
#include "format/rq_statefmt.h"
#include "log/rq_log.h"
#include "shmem/rq_shmem.h"
#include "store/rq_durable.h"
#include "store/rq_stream.h"
#include "topic/rq_tables.h"
#include "wal/rq_files_private.h"
#include "wal/rq_state.h"
#include "wal/rq_stateload.h"

/*
 * The header first, since loaders of sections use what it says.
 *
 * The flag of a store made by pg_upgrade stays as long as pg_upgrade runs its
 * servers.  Afterwards it matters only if topics came over, whose messages are
 * elsewhere (refuse_upgraded()); without any the store is just a new one.
 */
static void
load_all(RqReader *r)
{
	RqStateHeader h;

	rq_state_take(r, &h, sizeof(h));
	rq_log_set_segment_mb(h.segment_mb);
	pg_atomic_write_u64(&rq_log->start, h.log_start);
	pg_atomic_write_u64(&rq_log->end, h.log_end);
	rq_tables->meta_lsn = h.meta_lsn;
	rq_tables->next_group_id = h.next_group_id;
	rq_store->made_by_upgrade = (h.flags & RQ_STATE_UPGRADE) != 0 &&
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

	/* An answer instead of the error that opening it would raise. */
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
	RqStateHeader h = {.segment_mb = rq_log->segment_mb, .next_group_id = 1,
	.flags = IsBinaryUpgrade ? RQ_STATE_UPGRADE : 0};
	RqWriter   *w = rq_writer_begin(RQ_STATE_FILE, sizeof(h));

	rq_state_seal(&h, rq_writer_length(w), rq_writer_crc(w));
	rq_writer_replace(w, &h);
	rq_writer_end(w);
	rq_store->made_by_upgrade = IsBinaryUpgrade;
}

/*
 * pg_upgrade brings topics over, but not their messages.  Once such a store
 * has been worked with, the messages could be had only by giving up that work.
 */
static void
refuse_upgraded(void)
{
	if (rq_store->made_by_upgrade && !IsBinaryUpgrade)
		ereport(FATAL,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the rocketq store of the old cluster is missing"),
				 errdetail("pg_upgrade does not copy \"%s\"; the existing one is new and empty.",
						   RQ_DIR),
				 errhint("Put the old cluster's \"%s\" in its place.  " RQ_EMPTY_HINT,
						 RQ_DIR, RQ_DIR, RQ_MADE_FILE)));
}

/*
 *		1. check		nothing has been changed yet when this is FATAL
 *		2. begin		if there never was a store: directories, then a state
 *		3. made			after the state, or a crash in between would leave a
 *						data directory whose store counts as lost
 *		4. load			under the meta lock, as loaders expect
 *		5. files		against what is loaded, before redo makes any
 *		6. directories	only now, since a missing one is a finding of 5
 *
 * After a crash restart this runs again, on fresh shared memory.
 */
void
rq_state_load(void)
{
	const char *problem;
	bool		found;
	uint64		len;
	RqReader   *r;

	/* 1. */
	rq_refuse_links();
	rq_log_set_segment_mb(rq_segment_size_mb);
	problem = check_state(&found);
	if (problem)
		rq_state_damaged(problem);
	rq_files_check_begin(found);

	/* 2. */
	if (!found)
	{
		rq_make_directories();
		write_first_state();
	}

	/* 3. */
	rq_make_note(RQ_MADE_FILE,
				 "This data directory has a rocketq store, in " RQ_DIR ".  As long as this file\n"
				 "is here, the server does not start without it.\n");

	/* 4. */
	r = rq_reader_open(RQ_STATE_FILE, &len);
	LWLockAcquire(rq_meta_lock, LW_EXCLUSIVE);
	load_all(r);
	LWLockRelease(rq_meta_lock);
	rq_reader_close(r);
	refuse_upgraded();
	if (rq_log->segment_mb != (uint32) rq_segment_size_mb)
		ereport(LOG,
				(errmsg("rocketq.segment_size = %dMB is ignored: the store has segments of %u MB",
						rq_segment_size_mb, rq_log->segment_mb)));

	/* 5., 6. */
	rq_files_check_loaded();
	rq_make_directories();
	rq_store->loaded = true;
}
