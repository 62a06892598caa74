/*
 * rq_queuesync.c
 *	  Which files of queues are on disk, as this process has brought them there.
 *
 * A sync copies all queues' slots, and what a copy says must be on disk
 * before the copy is.  Given what the last sync has brought to disk, which
 * files have to be synced with this one?  There can be very many queues, and
 * most have not changed.
 *
 *		1. note		while a slot is copied, under the same hold of its lock:
 *					the entries that may have changed since the last sync
 *		2. sync		without locks: segments, then the directories that name
 *					them
 *		3. remember	how far each queue was when it was copied, not how far it
 *					is by now
 *
 * What is remembered is this process's own, and lost with it: its successor
 * begins with rq_queue_sync_assume().
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "base/rq_guc.h"
#include "format/rq_queuefmt.h"
#include "format/rq_segfmt.h"
#include "queue/rq_queue.h"
#include "queue/rq_queuesync.h"
#include "shmem/rq_shmem.h"
#include "store/rq_durable.h"
#include "topic/rq_topic.h"

/*
 * How far a queue's files are on disk: all entries below "stable" for good,
 * those below "end" as they were then.
 */
typedef struct SyncedQueue
{
	uint64		incarnation;
	RqOff		stable;
	RqOff		end;
} SyncedQueue;

/* A queue whose files have to be brought to disk with the copy. */
typedef struct QueueToSync
{
	uint32		slot;
	RqKey		key;
	uint32		id;
	RqOff		from;
	SyncedQueue now;			/* when it was copied */
} QueueToSync;

/* By slot; what is said of a slot holds for that incarnation only. */
static SyncedQueue *synced_queues = NULL;

/* Those noted by the sync that is under way; in its memory context. */
static QueueToSync *to_sync;
static uint64 nto_sync;
static uint64 max_to_sync;

static void
allocate_synced(void)
{
	if (synced_queues == NULL)
		synced_queues = MemoryContextAllocExtended(TopMemoryContext,
												   rq_max_queues * sizeof(SyncedQueue),
												   MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
}

/*
 * All three are of one moment, and so need both locks: the meta lock keeps the
 * slot's owner, the queue's lock its offsets.  A topic gets a new incarnation
 * when it gives up slots of queues, so a slot that is given to another queue
 * does not look as if the files of that one were on disk.
 */
static SyncedQueue
queue_now(RqQueue *q)
{
	SyncedQueue now = {.incarnation = rq_queue_topic(q)->incarnation,
		.stable = pg_atomic_read_u64(&q->stable),
	.end = pg_atomic_read_u64(&q->end)};

	Assert(LWLockHeldByMe(rq_meta_lock) && LWLockHeldByMe(&q->lock));
	return now;
}

static QueueToSync *
add_to_sync(void)
{
	if (nto_sync == max_to_sync)
	{
		max_to_sync = Max(256, 2 * max_to_sync);
		to_sync = to_sync == NULL ?
			palloc_extended(max_to_sync * sizeof(QueueToSync), MCXT_ALLOC_HUGE) :
			repalloc_huge(to_sync, max_to_sync * sizeof(QueueToSync));
	}
	return &to_sync[nto_sync++];
}

/*
 * Entries change in two places: new ones at the end, flags of aborted ones
 * between the stable offset and the end.  So whatever lies below the stable
 * offset of the last sync is on disk, unless redo has written it again.
 *
 * redo_dirty is reset here and in rq_queue_sync_noted(), though the lock is
 * held shared: only redo lowers it, and that is either this process or over.
 */
void
rq_queue_sync_note(RqQueue *q)
{
	uint32		slot = (uint32) (q - rq_queues);
	SyncedQueue *done = &synced_queues[slot];
	SyncedQueue now = queue_now(q);
	bool		known = done->incarnation == now.incarnation;
	QueueToSync *s;
	RqOff		from;

	/* Nothing has changed since the last sync. */
	if (known && done->stable == now.stable && done->end == now.end &&
		q->redo_dirty == RQ_INVALID_POS)
		return;
	from = Max(known ? Min(done->stable, q->redo_dirty) : 0,
			   pg_atomic_read_u64(&q->start));
	/* No entry to sync: what has changed is trimmed by now, or there is none. */
	if (from >= now.end)
	{
		*done = now;
		q->redo_dirty = RQ_INVALID_POS;
		return;
	}
	s = add_to_sync();
	s->slot = slot;
	s->key = rq_queue_key(q);
	s->id = q->id;
	s->from = from;
	s->now = now;
}

void
rq_queue_sync_begin(void)
{
	allocate_synced();
	to_sync = NULL;
	nto_sync = max_to_sync = 0;
}

static void
sync_topic_dir(RqKey key)
{
	char		path[MAXPGPATH];

	rq_topic_dir_path(path, key);
	rq_fsync_path(path, true);
}

/*
 * No lock is held, so queues can be dropped or trimmed; what has no file needs
 * none, and rq_fsync_path() passes it over.  Queues of a topic were mostly noted
 * one after the other, so its directory is synced about once.
 *
 * Nothing is remembered before everything is on disk.
 */
uint64
rq_queue_sync_noted(void)
{
	uint64		bytes = 0;
	bool		any = false;
	bool		any_here = false;

	for (uint64 i = 0; i < nto_sync; i++)
	{
		const QueueToSync *s = &to_sync[i];

		any_here |= rq_queue_sync(s->key, s->id, s->from, s->now.end);
		bytes += (s->now.end - Min(s->from, s->now.end)) * sizeof(RqEntry);
		if (i + 1 < nto_sync && RQ_KEY_EQ(s[1].key, s->key))
			continue;
		if (any_here)
			sync_topic_dir(s->key);
		any |= any_here;
		any_here = false;
	}
	if (any)
		rq_fsync_path(RQ_QUEUE_DIR, true);
	for (uint64 i = 0; i < nto_sync; i++)
	{
		rq_queues[to_sync[i].slot].redo_dirty = RQ_INVALID_POS;
		synced_queues[to_sync[i].slot] = to_sync[i].now;
	}
	return bytes;
}

void
rq_queue_sync_assume(void)
{
	allocate_synced();
	LWLockAcquire(rq_meta_lock, LW_SHARED);
	for (uint32 t = 0; t < rq_topics_begun(); t++)
		for (uint32 i = 0; i < rq_topic_nslots(t); i++)
		{
			RqQueue    *q = rq_topic_queue(t, i);
			SyncedQueue *done = &synced_queues[q - rq_queues];

			/*
			 * The last sync was made before the gate was opened, or after it
			 * was closed, so no entries have come since.  But resolving needs
			 * no gate: flags past what is logged may not be on disk.
			 */
			LWLockAcquire(&q->lock, LW_SHARED);
			*done = queue_now(q);
			done->stable = q->logged_stable;
			LWLockRelease(&q->lock);
		}
	LWLockRelease(rq_meta_lock);
}
