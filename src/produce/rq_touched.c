/*
 * rq_touched.c
 *	  The queues that get messages of the current transaction, and which.
 *
 * Given what a transaction has produced and has not rolled back, which entries
 * go to which queues at its commit, and who makes them count?
 *
 * Messages stand in one list, in the order they were produced (rq_pending.c),
 * so that a savepoint is a length to go back to.  The first message after a
 * savepoint notes that length in the transaction's journal.
 *
 * At the end of the transaction, called by txn/rq_txn.c:
 *
 *		frames		what still waits in memory goes to the log, so that no
 *					entry precedes its frame in WAL
 *		entries		the list is sorted by queue, a stretch at a time, and
 *					enqueued with the transaction's id; no consumer reads that
 *					yet
 *		finish		after commit or abort the queues are resolved, which is
 *					what lets consumers have the messages
 *
 * No two queues are locked at once, so it does not matter in which order they
 * come.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "base/rq_compat.h"
#include "base/rq_fault.h"
#include "log/rq_log.h"
#include "produce/rq_pending.h"
#include "produce/rq_touched.h"
#include "queue/rq_enqueue.h"
#include "queue/rq_extent.h"
#include "queue/rq_resolve.h"
#include "queue/rq_supply.h"
#include "shmem/rq_latency.h"
#include "shmem/rq_stats.h"
#include "topic/rq_topic.h"
#include "topic/rq_topic_txn.h"
#include "txn/rq_index.h"
#include "txn/rq_txn.h"

/* A queue that gets messages. */
typedef struct Touch
{
	uint32		topic;			/* its slot, as long as that has this key */
	RqKey		key;
	uint32		queue_id;
	XLogRecPtr	born;			/* which queue of that number it was */
	uint64		pending;		/* entries, some of them perhaps rolled back */
	uint64		supplied;		/* so many have room, or it was asked for */
	bool		enqueued;		/* entries with our xid may be there */
	RqOff		end;			/* after the last one that certainly is */
} Touch;

typedef struct Touched
{
	MemoryContext cxt;
	RqPending  *pending;
	Touch	   *touches;
	int			n;
	int			max;
	HTAB	   *index;			/* once there are many */
	int			noted;			/* last action that noted a length; -1 = none */
	instr_time	pre_commit_start;	/* zero if there is nothing to enqueue */
} Touched;

/* NULL if the transaction has produced nothing. */
static Touched *touched = NULL;

static Touched *
get_touched(void)
{
	if (touched == NULL)
	{
		MemoryContext cxt = rq_txn_context();
		MemoryContext old = MemoryContextSwitchTo(cxt);
		Touched    *t = palloc0(sizeof(*t));

		t->cxt = cxt;
		t->pending = rq_pending_create();
		t->noted = -1;
		MemoryContextSwitchTo(old);
		touched = t;
	}
	return touched;
}

/* ---- the journal ---- */

/* The action: messages have been produced. */
typedef struct Length
{
	uint64		count;			/* of messages before the first one */
	int			noted;
} Length;

RQ_ACTION_FITS(Length);

/*
 * The touched queues stay in their table: their numbers are in the list's
 * items, and messages that come later may go to the same queues.  A queue that
 * gets none is not enqueued to.
 */
static void
undo_produce(const void *action)
{
	const Length *before = action;

	rq_pending_truncate(touched->pending, before->count);
	touched->noted = before->noted;
}

static const RqActionOps produced = {
	.size = sizeof(Length),
	.stage = RQ_STAGE_ENTRIES,
	.undo = undo_produce,
	.unpreparable = gettext_noop("cannot PREPARE a transaction that has produced rocketq messages"),
};

/*
 * One action covers all messages up to the next savepoint: the newest one was
 * noted after the innermost savepoint if its number is not below
 * rq_txn_savepoint().  Before the first message is added, because this can
 * throw.
 */
static void
note_length(Touched *t)
{
	const Length before = {.count = rq_pending_count(t->pending),
	.noted = t->noted};

	if (t->noted < rq_txn_savepoint())
		t->noted = rq_txn_note(&produced, &before);
}

/* ---- produce ---- */

static int
add_touch(Touched *t, uint32 topic, uint32 queue_id)
{
	Touch		touch = {.topic = topic, .key = rq_topic_key(topic),
	.queue_id = queue_id};

	RQ_GROW(t->cxt, t->touches, t->n, t->max);
	t->touches[t->n] = touch;
	return t->n++;
}

/*
 * By key and not by slot: a topic that the transaction has created and given
 * up again can lose its slot to another one before the transaction ends.
 */
static int
find_touch(Touched *t, uint32 topic, uint32 queue_id)
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

/* Have extents free before the commit needs them. */
static void
ask_for_room(Touch *t)
{
	if (t->pending > t->supplied)
		t->supplied = rq_supply_pending(rq_topic_queue(t->topic, t->queue_id),
										t->pending, t->supplied);
}

/*
 * The length is noted before the first item is added.  So an error anywhere
 * after it, also with some of the items in the list, is undone with the
 * (sub)transaction that it aborts.
 */
void
rq_touched_produce(uint32 topic, uint32 queue_id, const xl_rq_entry *entries,
				   int count)
{
	RqPendingItem item;
	Touched    *t;
	Touch	   *touch;

	rq_txn_check_open();
	RQ_FAULT("pending-add");
	t = get_touched();
	note_length(t);
	item.touch = find_touch(t, topic, queue_id);
	for (int i = 0; i < count; i++)
	{
		item.entry = entries[i];
		rq_pending_add(t->pending, &item);
	}
	touch = &t->touches[item.touch];
	if (touch->pending == 0)
		rq_extent_fetch_end(rq_topic_queue(topic, queue_id));
	touch->pending += count;
	ask_for_room(touch);
}

static bool
is_of_topic(const Touch *t, RqKey key, uint32 first_queue)
{
	return RQ_KEY_EQ(t->key, key) && t->queue_id >= first_queue;
}

/*
 * A queue of the topic, from this one on, that has messages which have not been
 * rolled back; NULL if there is none.  Only the list knows, so it is read, from
 * the file too if need be: once, however many queues there are.
 */
static const Touch *
find_pending(RqKey key, uint32 first_queue)
{
	const RqPendingItem *items;
	bool		any = false;
	uint64		done = 0;
	uint64		n;

	for (int i = 0; touched != NULL && i < touched->n; i++)
		any |= is_of_topic(&touched->touches[i], key, first_queue);
	while (any && (items = rq_pending_read(touched->pending, done, &n)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		for (uint64 i = 0; i < n; i++)
			if (is_of_topic(&touched->touches[items[i].touch], key, first_queue))
				return &touched->touches[items[i].touch];
		done += n;
	}
	return NULL;
}

void
rq_touched_check_removal(uint32 topic, uint32 nqueues)
{
	const Touch *t = find_pending(rq_topic_key(topic), nqueues);

	if (t != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("cannot remove queue %u, into which this transaction has produced",
						t->queue_id)));
}

bool
rq_touched_has_messages(uint32 topic)
{
	return find_pending(rq_topic_key(topic), 0) != NULL;
}

/* ---- commit ---- */

/*
 * Enqueue the entries of one touched queue, in records of bounded size.
 *
 * "born" and "enqueued" are set before the first record, since an error in
 * between ends in resolve_aborted(), which needs both.  An interrupt between
 * two records is harmless: the entries that are there count as aborted.
 *
 * "end" is for resolve_committed(): others may enqueue after us before that is
 * called, so the queue's own end would be too much to ask for.
 */
static void
enqueue_touch(Touch *t, const xl_rq_entry *entries, uint64 n, uint64 xid)
{
	RqQueue    *q;

	/* The lock on the topic's relation has kept it. */
	if (!RQ_KEY_EQ(rq_topic_key(t->topic), t->key))
		elog(ERROR, "topic %u/%u no longer exists", t->key.db, t->key.rel);
	q = rq_topic_queue(t->topic, t->queue_id);
	t->born = q->born;
	while (n > 0)
	{
		int			run = Min(n, RQ_ENQUEUE_MAX);

		CHECK_FOR_INTERRUPTS();
		t->enqueued = true;
		t->end = rq_queue_enqueue(q, entries, run, xid, NULL) + run;
		RQ_FAULT("enqueue-done");
		entries += run;
		n -= run;
	}
}

/*
 * Sort a stretch of the list by queue, keeping the order within each: a
 * counting sort, for there are few queues and many messages.  A queue can get
 * records from each of several stretches, again in the list's order.
 *
 * "at" has, shifted by one, first the number of items of each queue, then
 * where the queue begins in "sorted", and in the end where it ends there.
 *
 * A topic that the transaction has dropped gets nothing: nobody could read it,
 * and if the transaction has made the topic as well, its slot may be another
 * topic's by now (doom_if_dead() in topic/rq_topic_txn.c).
 */
static void
enqueue_stretch(Touched *t, const RqPendingItem *items, uint64 n,
				uint64 xid)
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

		if (at[k] > first && !rq_topic_is_dropped(t->touches[k].key))
			enqueue_touch(&t->touches[k], sorted + first, at[k] - first, xid);
	}
	pfree(sorted);
	pfree(at);
}

/*
 * Write the entries of all queues, except of topics that the transaction has
 * dropped.  May throw between any two records.
 */
static void
enqueue_all(Touched *t, uint64 xid)
{
	const RqPendingItem *items;
	uint64		done = 0;
	uint64		n;

	while ((items = rq_pending_read(t->pending, done, &n)) != NULL)
	{
		enqueue_stretch(t, items, n, xid);
		done += n;
	}
}

static void
log_entries(uint64 xid)
{
	if (touched != NULL && xid != 0)
		enqueue_all(touched, xid);
}

/*
 * Before the entries that refer to frames which have been gathered.  The clock
 * for RQ_PHASE_VISIBLE starts here, with the first that is done at pre-commit
 * for messages.
 */
static void
log_frames(uint64 xid)
{
	if (touched != NULL && rq_pending_count(touched->pending) > 0)
		touched->pre_commit_start = rq_latency_begin();
	rq_log_gather_write();
}

/* ---- end of transaction ---- */

/*
 * Returns false if our entries cannot be read yet, because they come after
 * some of a transaction in progress.  Without the meta lock: the locks of the
 * transaction, that on the topic's relation among them, are released after
 * this.
 */
static bool
resolve_committed(const Touch *t, uint64 xid)
{
	RqQueue    *q = rq_topic_queue(t->topic, t->queue_id);

	rq_resolve(q, xid, RQ_XID_COMMITTED);
	return pg_atomic_read_u64(&q->stable) >= t->end;
}

/*
 * A queue that this transaction has made is nobody's from the moment it counts
 * as aborted, whatever locks we still hold: the janitor takes its slot, and
 * another queue can get that.  So check that it still exists, under the meta
 * lock, without which no slot changes hands.  Others need that lock: it is
 * released after each part, and everything is checked again.
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
				rq_resolve_some(q, xid, RQ_XID_ABORTED);
		}
		LWLockRelease(rq_meta_lock);
	}
}

/* Raise the stable offsets; false as for resolve_committed(). */
static bool
resolve(const Touched *t, uint64 xid, bool committed)
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

/*
 * PostgreSQL calls back when the outcome is in pg_xact and the transaction is
 * out of the ProcArray.  So others may have resolved the queues by now, to the
 * same result.  What an error here leaves unresolved (rq_txn.c catches it) is
 * for them to do, too.
 */
static void
finish_entries(uint64 xid, bool committed)
{
	if (touched == NULL)
		return;
	if (!resolve(touched, xid, committed) && committed)
		rq_count(RQ_STAT_VISIBLE_LATE, 1);
	if (committed)
		rq_latency_end(RQ_PHASE_VISIBLE, touched->pre_commit_start);
}

/*
 * The list's file is closed even if all messages were rolled back: a file that
 * is open when its resource owner commits, or prepares, counts as a leak.
 */
static void
forget_touched(void)
{
	if (touched != NULL)
		rq_pending_close(touched->pending);
	touched = NULL;
	rq_supply_forget();
}

void
rq_touched_init(void)
{
	static const RqParticipant frames = {
		.stage = RQ_STAGE_FRAMES,
		.pre_commit = log_frames,
	};
	static const RqParticipant entries = {
		.stage = RQ_STAGE_ENTRIES,
		.pre_commit = log_entries,
		.finish = finish_entries,
		.forget = forget_touched,
	};

	rq_txn_register(&frames);
	rq_txn_register(&entries);
}
