/*
 * rq_holes.c
 *	  Entries of queues that were missing when the state was loaded.
 *
 * Given entries that are in no extent, does the server have to do without them?
 * Not if WAL removes them, or brings them: into the extents that were made for
 * them (queue/rq_exthole.c).  Until then they are only noted.  What is missing
 * then is lost, if the server is to go on: the entries are flagged as aborted ones
 * that point nowhere, which readers pass by and verify() reports.
 *
 * None of that is WAL-logged: a standby has files of its own, and after a crash
 * redo brings back what is still in WAL.
 */
#include "postgres.h"

#include <unistd.h>

#include "utils/memutils.h"

#include "base/rq_error.h"
#include "extent/rq_extmem.h"
#include "format/rq_segfmt.h"
#include "queue/rq_entry.h"
#include "queue/rq_extent.h"
#include "queue/rq_extload.h"
#include "topic/rq_topic.h"
#include "wal/rq_holes_private.h"

/* Entries [from, to) of a queue. */
typedef struct Hole
{
	RqKey		key;
	uint32		queue_id;
	XLogRecPtr	born;
	RqOff		from;
	RqOff		to;
} Hole;

/*
 * Filled by the postmaster; the startup process and the keeper inherit the list.
 */
static Hole *holes = NULL;
static uint64 nholes = 0;
static uint64 max_holes = 0;

/* The first area file that was missing then, if one was. */
static char missing_path[MAXPGPATH];

static MemoryContext load_cxt = NULL;
static RqExtLoad *load = NULL;

/* ---- load ---- */

static void
note_hole(RqQueue *q, RqOff from, RqOff to, void *unused)
{
	if (nholes == max_holes)
	{
		max_holes = Max(64, 2 * max_holes);
		holes = holes == NULL ?
			MemoryContextAllocHuge(TopMemoryContext, max_holes * sizeof(Hole)) :
			repalloc_huge(holes, max_holes * sizeof(Hole));
	}
	holes[nholes++] = (Hole)
	{
		.key = rq_queue_key(q),
			.queue_id = q->id,
			.born = q->born,
			.from = from,
			.to = to
	};
}

/* Area files with nothing but raw chunks are removed, so one can be missing. */
static void
note_missing_file(void)
{
	uint32		n = (rq_extents->nchunks + RQ_AREA_CHUNKS - 1) / RQ_AREA_CHUNKS;

	missing_path[0] = '\0';
	for (uint32 i = 0; i < n && missing_path[0] == '\0'; i++)
	{
		rq_area_path(missing_path, i);
		if (access(missing_path, F_OK) == 0 || errno != ENOENT)
			missing_path[0] = '\0';
	}
}

/*
 * What comes after the state file must be in WAL, of which there is none after a
 * clean shutdown.
 */
static void
refuse_extents(void)
{
	if (rq_extent_load_foreign(load) > 0)
		ereport(FATAL,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("rocketq directory \"%s\" contains files of another store, or under another name",
						RQ_QUEUE_DIR),
				 errdetail("The server log names them."),
				 errhint("Put back the files as they were when the server stopped.")));
	if (rq_extent_load_is_ahead(load))
		ereport(FATAL,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("rocketq files in directory \"%s\" contain messages that are not recorded in the state file",
						RQ_QUEUE_DIR),
				 errdetail("The server was shut down cleanly, so \"%s\" does not belong to the other files.",
						   RQ_STATE_FILE),
				 errhint("Put back the state file that belongs to them, or restore the data directory from a backup.")));
}

uint64
rq_holes_begin_load(bool in_order)
{
	MemoryContext old;

	Assert(load == NULL);
	load_cxt = AllocSetContextCreate(CurrentMemoryContext, "rocketq extents",
									 ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(load_cxt);
	nholes = 0;
	load = rq_extent_load_begin(note_hole, NULL);
	MemoryContextSwitchTo(old);
	note_missing_file();
	if (in_order)
		refuse_extents();
	return nholes;
}

void
rq_holes_end_load(void)
{
	rq_extent_load_finish(load, nholes == 0);
	load = NULL;
	MemoryContextDelete(load_cxt);
}

/* ---- after replay ---- */

/* The queue, if it is still the one; NULL if not. */
static RqQueue *
hole_queue(const Hole *h)
{
	uint32		topic = rq_topic_index_find(h->key);
	RqQueue    *q = topic == RQ_NO_SLOT ? NULL : rq_queue_find(topic, h->queue_id);

	return q != NULL && q->born == h->born ? q : NULL;
}

static bool
is_entry_missing(RqQueue *q, RqOff off)
{
	RqEntry		e;

	return !rq_queue_probe(q, off, &e) || rq_ext_entry_is_missing(&e);
}

/* Is anything of it missing?  What has been trimmed or dropped is not. */
static bool
is_open(const Hole *h)
{
	RqQueue    *q = hole_queue(h);
	RqOff		off;

	if (q == NULL)
		return false;
	for (off = Max(h->from, pg_atomic_read_u64(&q->start)); off < h->to; off++)
		if (is_entry_missing(q, off))
			return true;
	return false;
}

uint64
rq_holes_look_again(void)
{
	uint64		n = 0;

	LWLockAcquire(rq_meta_lock, LW_SHARED);
	for (uint64 i = 0; i < nholes; i++)
		if (is_open(&holes[i]))
			holes[n++] = holes[i];
	LWLockRelease(rq_meta_lock);
	nholes = n;
	return n;
}

void
rq_holes_report(int elevel)
{
	const Hole *h = &holes[0];
	StringInfoData detail;

	initStringInfo(&detail);
	if (missing_path[0] != '\0')
		appendStringInfo(&detail, "File \"%s\" is missing.", missing_path);
	else
		appendStringInfo(&detail, "A file in directory \"%s\" is incomplete or damaged.",
						 RQ_QUEUE_DIR);
	if (nholes > 1)
		appendStringInfo(&detail, "  " UINT64_FORMAT " more ranges of messages are missing.",
						 nholes - 1);
	ereport(elevel,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("rocketq messages " UINT64_FORMAT " to " UINT64_FORMAT " of queue %u of topic %u/%u are missing",
					h->from, h->to - 1, h->queue_id, h->key.db, h->key.rel),
			 errdetail_internal("%s", detail.data),
			 errhint("%s", RQ_MISSING_HINT)));
}

/* ---- give up ---- */

/*
 * They get the time of the entry before, since a search by time relies on times
 * that never fall (rq_queue_offset_at()).
 */
static uint64
flag_lost(RqQueue *q, RqOff from, RqOff to)
{
	RqExtRun	run = {0};
	int64		time = 0;
	uint64		n = 0;
	RqEntry		before;

	if (from > pg_atomic_read_u64(&q->start) && rq_queue_probe(q, from - 1, &before))
		time = before.enqueued_at;
	for (RqOff off = from; off < to; off++)
	{
		RqEntry    *e;

		if ((run.addr == RQ_EXT_NONE || off - run.first >= run.count) &&
			!rq_extent_find(q, NULL, off, RQ_MAP_WRITE, &run))
			elog(ERROR, "entry " UINT64_FORMAT " of queue %u has no extent", off, q->id);
		e = &run.entries[off - run.first];
		if (rq_ext_entry_is_missing(e))
		{
			e->enqueued_at = time;
			e->len_flags = RQ_ENTRY_ABORTED;
			rq_area_mark(&rq_extents->marks, RQ_EXT_CHUNK(run.addr));
			n++;
		}
		time = e->enqueued_at;
	}
	return n;
}

static void
give_up_hole(const Hole *h)
{
	RqQueue    *q = hole_queue(h);
	uint64		n;

	if (q == NULL)
		return;
	n = flag_lost(q, Max(h->from, pg_atomic_read_u64(&q->start)), h->to);
	if (n > 0)
		ereport(LOG,
				(errmsg("rocketq lost " UINT64_FORMAT " messages of queue %u of topic %u/%u",
						n, h->queue_id, h->key.db, h->key.rel)));
}

/*
 * Synced at once: later syncs cover what has been logged since, which this is
 * not.
 */
void
rq_holes_give_up(void)
{
	if (nholes == 0)
		return;
	LWLockAcquire(rq_meta_lock, LW_SHARED);
	for (uint64 i = 0; i < nholes; i++)
		give_up_hole(&holes[i]);
	LWLockRelease(rq_meta_lock);
	(void) rq_area_sync(&rq_extents->marks);
	nholes = 0;
}
