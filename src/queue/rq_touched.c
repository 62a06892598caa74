/*
 * rq_touched.c
 *	  The queues that get messages of the current transaction, and which.
 *
 * Messages stand in one list, in the order they were produced (rq_pending.c), so
 * that a savepoint is a length to go back to.  At commit they are sorted by
 * queue, a stretch at a time, and each queue is locked once for a stretch.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "base/rq_compat.h"
#include "base/rq_fault.h"
#include "queue/rq_ahead.h"
#include "queue/rq_pending.h"
#include "queue/rq_queue.h"
#include "queue/rq_topic.h"
#include "queue/rq_touched.h"
#include "txn/rq_index.h"

/* A queue that gets messages. */
typedef struct Touch
{
	uint32		topic;			/* its slot, as long as that has this key */
	RqKey		key;
	uint32		queue_id;
	XLogRecPtr	born;			/* which queue of that number it was */
	uint64		pending;		/* entries, some of them perhaps rolled back */
	uint64		told;			/* the allocator knows of as many */
	bool		enqueued;		/* entries with our xid may be there */
	RqOff		end;			/* behind the last of them that is for sure */
} Touch;

struct RqTouched
{
	MemoryContext cxt;
	RqPending  *pending;
	Touch	   *touches;
	int			n;
	int			max;
	HTAB	   *index;			/* once there are many */
};

RqTouched *
rq_touched_create(MemoryContext cxt)
{
	MemoryContext old = MemoryContextSwitchTo(cxt);
	RqTouched  *t = palloc0(sizeof(*t));

	t->cxt = cxt;
	t->pending = rq_pending_create();
	MemoryContextSwitchTo(old);
	return t;
}

void
rq_touched_close(RqTouched *t)
{
	rq_pending_close(t->pending);
}

uint64
rq_touched_count(const RqTouched *t)
{
	return rq_pending_count(t->pending);
}

void
rq_touched_truncate(RqTouched *t, uint64 count)
{
	rq_pending_truncate(t->pending, count);
}

/* ---- produce ---- */

static int
add_touch(RqTouched *t, uint32 topic, uint32 queue_id)
{
	Touch		touch = {.topic = topic, .key = rq_topic_key(topic),
	.queue_id = queue_id};

	RQ_GROW(t->cxt, t->touches, t->n, t->max);
	t->touches[t->n] = touch;
	return t->n++;
}

static int
find_touch(RqTouched *t, uint32 topic, uint32 queue_id)
{
	RqKey		key = rq_topic_key(topic);
	HTAB	   *index;
	int			touch;

	if (t->index == NULL)
	{
		for (int i = t->n - 1; i >= 0; i--)
			if (RQ_KEY_EQ(t->touches[i].key, key) &&
				t->touches[i].queue_id == queue_id)
				return i;
		if (t->n < RQ_INDEX_FROM)
			return add_touch(t, topic, queue_id);
		index = rq_index_create(t->cxt, "rocketq touched queues");
		for (int i = 0; i < t->n; i++)
			rq_index_add(index, RQ_KEY_PACK(t->touches[i].key),
						 t->touches[i].queue_id, i);
		t->index = index;
	}
	touch = rq_index_find(t->index, RQ_KEY_PACK(key), queue_id);
	if (touch < 0)
	{
		touch = add_touch(t, topic, queue_id);
		rq_index_add(t->index, RQ_KEY_PACK(key), queue_id, touch);
	}
	return touch;
}

/* Let the queue's segments be made before the commit needs them. */
static void
tell_ahead(Touch *t)
{
	if (t->pending < t->told + RQ_AHEAD_STEP)
		return;
	rq_ahead_pending(rq_topic_queue(t->topic, t->queue_id), t->pending);
	t->told = t->pending;
}

void
rq_touched_add(RqTouched *t, uint32 topic, uint32 queue_id,
			   const xl_rq_entry *entries, int count)
{
	RqPendingItem item = {.touch = find_touch(t, topic, queue_id)};

	for (int i = 0; i < count; i++)
	{
		item.entry = entries[i];
		rq_pending_add(t->pending, &item);
	}
	t->touches[item.touch].pending += count;
	tell_ahead(&t->touches[item.touch]);
}

/* Are there messages for the queue that have not been rolled back? */
static bool
has_pending(RqTouched *t, int touch)
{
	const RqPendingItem *items;
	uint64		done = 0;
	uint64		n;

	while ((items = rq_pending_read(t->pending, done, &n)) != NULL)
	{
		for (uint64 i = 0; i < n; i++)
			if (items[i].touch == (uint32) touch)
				return true;
		done += n;
	}
	return false;
}

bool
rq_touched_has(RqTouched *t, RqKey topic, uint32 from, uint32 *queue_id)
{
	for (int i = 0; i < t->n; i++)
		if (RQ_KEY_EQ(t->touches[i].key, topic) &&
			t->touches[i].queue_id >= from && has_pending(t, i))
		{
			*queue_id = t->touches[i].queue_id;
			return true;
		}
	return false;
}

/* ---- commit ---- */

/* Enqueue the entries of one touched queue, in records of bounded size. */
static void
enqueue_touch(Touch *t, const xl_rq_entry *entries, uint64 n, uint64 xid)
{
	t->born = rq_topic_queue(t->topic, t->queue_id)->born;
	while (n > 0)
	{
		int			run = Min(n, RQ_ENQUEUE_MAX);

		CHECK_FOR_INTERRUPTS();
		t->enqueued = true;
		t->end = rq_queue_enqueue(t->topic, t->queue_id, entries, run,
								  xid, false, NULL) + run;
		RQ_FAULT("enqueue-done");
		entries += run;
		n -= run;
	}
}

/* Sort a stretch of the list by queue, keeping the order within each. */
static void
enqueue_stretch(RqTouched *t, const RqPendingItem *items, uint64 n,
				uint64 xid, RqTopicIsDropped is_dropped)
{
	uint64	   *at = palloc0((t->n + 1) * sizeof(uint64));
	xl_rq_entry *sorted = palloc_extended(n * sizeof(xl_rq_entry),
										  MCXT_ALLOC_HUGE);

	RQ_FAULT("precommit-sort");
	for (uint64 i = 0; i < n; i++)
		at[items[i].touch + 1]++;
	for (int k = 0; k < t->n; k++)
		at[k + 1] += at[k];
	for (uint64 i = 0; i < n; i++)
		sorted[at[items[i].touch]++] = items[i].entry;

	/* at[k] is now where queue k ends. */
	for (int k = 0; k < t->n; k++)
	{
		uint64		first = k == 0 ? 0 : at[k - 1];

		if (at[k] > first && !is_dropped(t->touches[k].key))
			enqueue_touch(&t->touches[k], sorted + first, at[k] - first, xid);
	}
	pfree(sorted);
	pfree(at);
}

void
rq_touched_enqueue(RqTouched *t, uint64 xid, RqTopicIsDropped is_dropped)
{
	const RqPendingItem *items;
	uint64		done = 0;
	uint64		n;

	while ((items = rq_pending_read(t->pending, done, &n)) != NULL)
	{
		enqueue_stretch(t, items, n, xid, is_dropped);
		done += n;
	}
}

/* ---- end of transaction ---- */

/* Returns false if entries still wait behind those of others. */
static bool
resolve_committed(const Touch *t, uint64 xid)
{
	RqQueue    *q = rq_topic_queue(t->topic, t->queue_id);

	rq_queue_resolve(t->topic, q, xid, RQ_XID_COMMITTED);
	return pg_atomic_read_u64(&q->stable) >= t->end;
}

/*
 * A queue that this transaction has made is nobody's from the moment it counts
 * as aborted, whatever locks we still hold: the janitor takes its slot, and
 * another queue can get that.  So look each time whether it is still there.
 */
static void
resolve_aborted(const Touch *t, uint64 xid)
{
	bool		more = true;

	while (more)
	{
		LWLockAcquire(rq_meta_lock, LW_SHARED);
		more = RQ_KEY_EQ(rq_topic_key(t->topic), t->key) &&
			t->queue_id < rq_topic_nslots(t->topic);
		if (more)
		{
			RqQueue    *q = rq_topic_queue(t->topic, t->queue_id);

			more = q->born == t->born &&
				rq_queue_resolve_some(t->topic, q, xid, RQ_XID_ABORTED);
		}
		LWLockRelease(rq_meta_lock);
	}
}

bool
rq_touched_resolve(RqTouched *t, uint64 xid, bool committed)
{
	bool		all = true;

	for (int i = 0; i < t->n; i++)
	{
		const Touch *touch = &t->touches[i];

		if (!touch->enqueued)
			continue;
		if (!committed)
			resolve_aborted(touch, xid);
		else if (!resolve_committed(touch, xid))
			all = false;
	}
	return all;
}
