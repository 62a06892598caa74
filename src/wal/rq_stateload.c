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
#include "topic/rq_alter.h"
#include "topic/rq_group.h"
#include "topic/rq_topic.h"
#include "wal/rq_files_private.h"
#include "wal/rq_stateload.h"

StaticAssertDecl(RQ_PEND_DROP == RQ_STATE_PEND_OP_MAX, "on-disk layout");

static void
report_unreadable(const char *problem)
{
	ereport(FATAL,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("file \"%s\" is damaged", RQ_STATE_FILE),
			 errdetail("%s.", problem),
			 errhint("Restore the data directory from a backup.")));
}

/* What rq_state_check() has passed is there to be taken. */
static void
take(RqReader *r, void *to, uint64 size)
{
	if (!rq_reader_read(r, to, size))
		report_unreadable("it ends too early");
}

static void
load_queue(RqQueue *q, RqReader *r)
{
	RqStateQueue s;

	take(r, &s, sizeof(s));
	pg_atomic_write_u64(&q->start, s.start);
	pg_atomic_write_u64(&q->stable, Max(s.start, s.stable));
	pg_atomic_write_u64(&q->end, s.end);
	q->logged_stable = Max(s.start, s.stable);
	q->last_time = s.last_time;
	q->lsn = s.lsn;
	q->born = s.born;
	q->bytes_start = s.bytes_start;
	q->bytes_end = s.bytes_end;
}

static void
load_offset(RqOffset *o, RqReader *r)
{
	RqStateOffset s;

	take(r, &s, sizeof(s));
	o->committed = s.committed;
	o->pend_next = s.pend_next;
	o->pend_xid = s.pend_xid;
	o->saved_total = s.saved_total;
	o->saved_left = s.saved_left;
	o->logged = RQ_NOT_LOGGED;
	o->lsn = s.lsn;
}

static void
load_group(uint32 topic, RqReader *r)
{
	RqStateGroup s;
	uint32		group;

	take(r, &s, sizeof(s));
	group = rq_group_apply(topic, s.id, s.name, s.name_len, s.nqueues, 0,
						   s.created_at);
	rq_groups[group].pend_op = s.pend_op;
	rq_groups[group].pend_xid = s.pend_xid;
	for (uint32 i = 0; i < s.nqueues; i++)
		load_offset(rq_group_offset(group, i), r);
}

static void
load_topic(RqReader *r)
{
	RqStateTopic s;
	xl_rq_topic rec;
	uint32		topic;

	take(r, &s, sizeof(s));
	if (rq_topic_index_find(s.key) != RQ_NO_SLOT)
		report_unreadable("a topic is in it twice");
	topic = rq_topic_apply(s.key, s.spc, &s.committed, s.pend_xid, s.lsn);
	rec.drop_xid = s.drop_xid;
	rec.committed = s.committed;
	rec.staged = s.staged;
	rec.alter_xid = s.alter_xid;
	rec.nslots = s.nslots;
	rq_topic_apply_alter(topic, &rec, s.alter_lsn);
	for (uint32 i = 0; i < s.nslots; i++)
		load_queue(rq_topic_queue(topic, i), r);
	for (uint32 i = 0; i < s.ngroups; i++)
		load_group(topic, r);
}

static void
load_gaps(uint32 ngaps, RqReader *r)
{
	if (ngaps > rq_ctl->max_gaps)
		ereport(FATAL,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("too many unfinished appends in the rocketq commit log"),
				 errhint("Set max_connections to at least the value the store was used with.")));
	take(r, rq_gaps, ngaps * sizeof(RqStateGap));
	rq_ctl->ngaps = ngaps;
}

static void
load_all(RqReader *r)
{
	RqStateHeader h;

	take(r, &h, sizeof(h));
	rq_set_segment_mb(h.segment_mb);
	pg_atomic_write_u64(&rq_ctl->log_start, h.log_start);
	pg_atomic_write_u64(&rq_ctl->log_end, h.log_end);
	rq_ctl->meta_lsn = h.meta_lsn;
	rq_ctl->next_group_id = h.next_group_id;
	rq_ctl->made_by_upgrade = (h.flags & RQ_STATE_UPGRADE) != 0 &&
		(IsBinaryUpgrade || h.ntopics > 0);
	load_gaps(h.ngaps, r);
	for (uint32 i = 0; i < h.ntopics; i++)
		load_topic(r);
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
		report_unreadable(problem);
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
