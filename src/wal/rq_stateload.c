/*
 * rq_stateload.c
 *	  Load the state file, or begin an empty store.
 *
 * Given a data directory, is there a store to be loaded, or one to be made?
 *
 * The state file is read twice, the first time only to be checked, and to find
 * its last sync that counts.
 *
 * What is loaded has other slots than in the file, so the first sync replaces
 * the file by an image.
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
#include "utils/memutils.h"

#include "base/rq_guc.h"
#include "extent/rq_extmem.h"
#include "format/rq_stateslots.h"
#include "log/rq_log.h"
#include "queue/rq_tablestate.h"
#include "shmem/rq_bits.h"
#include "shmem/rq_shmem.h"
#include "store/rq_durable.h"
#include "store/rq_stream.h"
#include "topic/rq_tables.h"
#include "wal/rq_control.h"
#include "wal/rq_files_private.h"
#include "wal/rq_state.h"
#include "wal/rq_stateload.h"
#include "wal/rq_statewrite.h"
#include "wal/rq_upgrade.h"

/* ---- read ---- */

/* What is wrong with the state file, NULL if nothing is or there is none. */
static const char *
check_state(bool *there, RqStateFound *found)
{
	const char *problem;
	RqStateSource s = {.read = rq_reader_read};

	s.file = rq_reader_open(RQ_STATE_FILE, &s.length);
	*there = s.file != NULL;
	if (!*there)
		return NULL;
	problem = rq_state_check(&s, found);
	rq_reader_close(s.file);
	return problem;
}

/*
 * No checkpoint completes before a sync that reaches beyond its redo pointer
 * (worker/rq_keeper.c), so a file that does not has lost it.  After a final sync
 * checkpoints need no further one.
 *
 * If WAL was reset (pg_resetwal), it is WAL that is missing.  One can go on from
 * the file then, but not replay WAL that begins later: records rely on what
 * those before them have done.
 */
static void
check_end(const RqStateFound *found)
{
	XLogRecPtr	redo;
	bool		replay;

	if ((found->last.flags & RQ_STATE_FINAL) != 0)
		return;
	redo = rq_redo_start(&replay);
	if (found->last.upto >= redo)
		return;
	ereport(rq_ignore_missing_files && !replay ? WARNING : FATAL,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("rocketq file \"%s\" and WAL do not fit together", RQ_STATE_FILE),
			 errdetail("The file has changes up to %X/%X, and WAL goes on from %X/%X.  What is in between is missing.",
					   LSN_FORMAT_ARGS(found->last.upto), LSN_FORMAT_ARGS(redo)),
			 replay ? errhint("Restore the data directory from a backup.") :
			 errhint("Restore the data directory from a backup.  "
					 "With rocketq.ignore_missing_files = on, the server starts, but the changes in between are lost, messages and topics among them.")));
}

const char *
rq_state_probe(void)
{
	const char *problem;
	RqStateFound found;
	bool		there;

	/* An answer instead of the error that opening it would raise. */
	if (access(RQ_STATE_FILE, F_OK) == 0 && access(RQ_STATE_FILE, R_OK) != 0)
		return "the state file cannot be read";
	problem = check_state(&there, &found);
	return there ? problem : "the state file is missing";
}

/* ---- load ---- */

/*
 * The flag of a store made by pg_upgrade stays as long as pg_upgrade runs its
 * servers.  Afterwards it matters only if topics came over, whose messages are
 * elsewhere (refuse_upgraded()); without any the store is just a new one.
 */
static void
load_slots(const RqStateSlots *s, const RqStateFound *found)
{
	const RqStateBatch *last = &found->last;
	const RqStateGap *gaps;
	uint32		ngaps;

	rq_log_set_segment_mb(found->header.segment_mb);
	pg_atomic_write_u64(&rq_log->start, last->log_start);
	pg_atomic_write_u64(&rq_log->end, last->log_end);
	rq_tables->meta_lsn = last->meta_lsn;
	rq_tables->next_group_id = last->next_group_id;
	rq_extents->store = found->header.store;
	rq_extents->next_seq = last->extent_seq;
	rq_extents->nchunks = last->extent_chunks;
	gaps = rq_state_gaps(s, &ngaps);
	rq_log_gaps_load(gaps, ngaps);
	rq_table_load(s);

	/* It is as on disk, and the first sync writes an image, with all slots. */
	for (RqSlotKind kind = 0; kind < RQ_SLOT_KINDS; kind++)
		rq_bits_clear_all(&rq_changed[kind], rq_table_begun(kind));
	rq_store->made_by_upgrade = (found->header.flags & RQ_STATE_UPGRADE) != 0 &&
		(IsBinaryUpgrade || rq_tables->ntopics > 0);
}

/* Read the file that has been checked, in memory that is freed again. */
static void
load_state(const RqStateFound *found)
{
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext,
											  "rocketq state",
											  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(cxt);
	RqStateSource s = {.read = rq_reader_read};
	RqStateSlots *slots;

	s.file = rq_reader_open(RQ_STATE_FILE, &s.length);
	slots = s.file == NULL ? NULL : rq_state_slots(&s, found);
	if (slots == NULL)
		rq_state_damaged("it cannot be read a second time");
	rq_reader_close(s.file);
	LWLockAcquire(rq_meta_lock, LW_EXCLUSIVE);
	load_slots(slots, found);
	LWLockRelease(rq_meta_lock);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(cxt);
}

/* ---- begin ---- */

/* The state of a store that holds nothing, and what will be found in it. */
static void
write_first_state(void)
{
	RqStateFile file = {0};
	RqStateHeader header = {.segment_mb = rq_log->segment_mb,
	.flags = IsBinaryUpgrade ? RQ_STATE_UPGRADE : 0};
	RqStateBatch numbers = {.flags = RQ_STATE_FINAL, .extent_seq = 1,
	.next_group_id = 1};
	RqStateWriter *w;

	if (!pg_strong_random(&header.store, sizeof(header.store)))
		ereport(FATAL,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate a number for the rocketq store")));
	w = rq_state_write_begin(&file, true, &header);
	rq_state_write_finish(w, &numbers);
	rq_state_write_close(w);
}

/*
 * Say in the file that checkpoints need no further sync unless something changes.
 * If there is no WAL to be replayed, recovery ends with a checkpoint all the
 * same, and calls nobody before it; else what is replayed is synced first
 * (rq_rmgr.c).
 */
static void
note_loaded(const RqStateFound *found)
{
	RqStateFile file = {.id = found->header.id, .seq = found->last.seq,
	.length = found->length, .attempts = found->last.attempt};
	RqStateBatch numbers = found->last;
	RqStateWriter *w;

	if ((numbers.flags & RQ_STATE_FINAL) != 0)
		return;
	numbers.flags |= RQ_STATE_FINAL;
	w = rq_state_write_begin(&file, false, &found->header);
	rq_state_write_gaps(w, rq_gaps->gaps, rq_gaps->n);
	rq_state_write_finish(w, &numbers);
	rq_state_write_close(w);
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
 *		1. check		nothing has been changed yet when this is FATAL, but for a
 *						store of an older version, which only then can be checked
 *		2. begin		if there never was a store: directories, then a state
 *		3. made			after the state, or a crash in between would leave a
 *						data directory whose store counts as lost
 *		4. load			under the meta lock, as loaders expect
 *		5. files		against what is loaded, before redo makes any; directories
 *						only then, since a missing one is a finding
 *		6. note			after all that can refuse the file
 *
 * After a crash restart this runs again, on fresh shared memory.
 */
void
rq_state_load(void)
{
	const char *problem;
	RqStateFound found;
	bool		there;

	/* 1. */
	rq_refuse_links();
	rq_log_set_segment_mb(rq_segment_size_mb);
	rq_store_upgrade();
	problem = check_state(&there, &found);
	if (problem)
		rq_state_damaged(problem);
	rq_files_check_begin(there);
	if (there)
		check_end(&found);

	/* 2. */
	if (!there)
	{
		rq_make_directories();
		write_first_state();
		problem = check_state(&there, &found);
		if (problem || !there)
			rq_state_damaged("it is not what was written just now");
	}

	/* 3. */
	rq_make_note(RQ_MADE_FILE,
				 "This data directory has a rocketq store, in " RQ_DIR ".  As long as this file\n"
				 "is here, the server does not start without it.\n");

	/* 4. */
	load_state(&found);
	refuse_upgraded();
	if (rq_log->segment_mb != (uint32) rq_segment_size_mb)
		ereport(LOG,
				(errmsg("rocketq.segment_size = %dMB is ignored: the store has segments of %u MB",
						rq_segment_size_mb, rq_log->segment_mb)));

	/* 5., 6. */
	rq_files_check_loaded();
	note_loaded(&found);
	rq_store->loaded = true;
}
