/*
 * rq_consume.c
 *	  Read messages of a queue, for a consumer group or for anyone.
 *
 * Given a group and a topic, which messages does the group get next, and how is
 * it ensured that nobody else gets them for it?
 *
 * A transaction first owns the queue for the group (rq_owner.h), then asks
 * where the group goes on, then reads.  The order matters: until the queue is
 * owned its offset can move.  The queue stays owned until the transaction
 * ends, so if it is rolled back the next owner gets the same messages.
 *
 * Reading itself takes no lock: entries below "stable" are final, and the log
 * below them does not change.  What retention may remove in the meantime is
 * announced and checked (log/rq_reader.c).
 */
#include "postgres.h"

#include "access/xact.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "storage/proc.h"

#include "base/rq_compat.h"
#include "base/rq_error.h"
#include "base/rq_fault.h"
#include "base/rq_guc.h"
#include "consume/rq_consume.h"
#include "consume/rq_consumer.h"
#include "consume/rq_offset.h"
#include "consume/rq_owner.h"
#include "consume/rq_readers.h"
#include "consume/rq_saved.h"
#include "consume/rq_wait.h"
#include "log/rq_log.h"
#include "queue/rq_entry.h"
#include "queue/rq_resolve.h"
#include "shmem/rq_stats.h"
#include "topic/rq_group.h"
#include "topic/rq_topic.h"
#include "topic/rq_waiters.h"
#include "txn/rq_txn.h"

/* How many messages are fetched from memory at a time: see fetch_ahead(). */
#define FETCH_AHEAD		8

/* The last transaction of this backend that has called rq_consume(). */
static LocalTransactionId consumed_in = InvalidLocalTransactionId;

/*
 * Without this error a reader would wait for what never comes, or go on after
 * messages that it has not seen.
 */
static void
report_illegal_offset(RqQueue *q, RqOff from, bool too_small)
{
	ereport(ERROR,
			(errcode(RQ_ERRCODE_OFFSET_ILLEGAL),
			 too_small ?
			 errmsg("queue %u begins after offset " UINT64_FORMAT, q->id, from) :
			 errmsg("queue %u ends before offset " UINT64_FORMAT, q->id, from),
			 errdetail("The offsets of the queue range from " UINT64_FORMAT " to " UINT64_FORMAT ".",
					   pg_atomic_read_u64(&q->start),
					   pg_atomic_read_u64(&q->stable)),
			 too_small ?
			 errhint("Retention has removed the messages in between.  Continue from rocketq.min_offset().") :
			 errhint("After TRUNCATE, and in a new topic, offsets begin at 0 again.  Continue from rocketq.min_offset() or rocketq.max_offset().")));
}

/*
 * Fetch the frames of the next entries from memory; returns the offset after them.
 * Neighbours in a queue can lie anywhere in the log, each in another page.  A
 * processor looks up the addresses of several pages at once, but only of those
 * that come within some hundred instructions; so first all pages are touched,
 * one after the other, and then the rest of each frame.
 */
static RqOff
fetch_ahead(const RqExtRun *run, RqOff off, RqOff end)
{
	const RqEntry *entries = run->entries + (off - run->first);
	uint32		n = Min(Min(FETCH_AHEAD, end - off), run->first + run->count - off);

	for (uint32 i = 0; i < n; i++)
		rq_log_prefetch(entries[i].pos, 1);
	for (uint32 i = 0; i < n; i++)
		rq_log_prefetch(entries[i].pos, RQ_ENTRY_FRAME_LEN(&entries[i]));
	return off + n;
}

/*
 * Read up to "max" matching messages from "from" on; returns how many, and in
 * "next" the offset after the last entry checked.  What retention has removed
 * is passed over, or, if "exact" and "from" is among it, an error.
 *
 * The pin makes retention spare the log from its present start on.  It cannot
 * always do so (on a standby, or beyond rocketq.max_kept_size), so the start is
 * checked again after the sink has copied a message.
 */
static int
read_forward(RqQueue *q, RqOff from, bool exact, int max,
			 const RqFilter *filter, RqSink sink, void *arg, RqOff *next)
{
	RqOff		stable = pg_atomic_read_u64(&q->stable);
	RqMessage	m = {.queue_id = q->id};
	RqExtRun	run = {0};
	int			count = 0;
	RqReadPin  *pin = rq_log_pin();
	RqOff		fetched = 0;
	RqOff		off;

	/*
	 * "stable" before the entries below it: pairs with the write barrier in
	 * resolve_chunk() (queue/rq_resolve.c), which sets their flags first.
	 */
	pg_read_barrier();
	for (off = from; off < stable && count < max; off++)
	{
		if (off % 1024 == 0)
			CHECK_FOR_INTERRUPTS();
		if (!rq_queue_next_entry(q, off, &run, &m.entry))
		{
			/* The start has passed us: go on there. */
			if (exact && off == from)
				report_illegal_offset(q, from, true);
			off = pg_atomic_read_u64(&q->start) - 1;
			continue;
		}
		if (off >= fetched)
			fetched = fetch_ahead(&run, off, Min(stable, off + (max - count)));
		if ((m.entry.len_flags & RQ_ENTRY_ABORTED) != 0 ||
			!rq_filter_entry(filter, &m.entry))
			continue;

		/* False here: the frame has been trimmed, though its entry is kept. */
		if (!rq_log_read(m.entry.pos, RQ_ENTRY_FRAME_LEN(&m.entry),
						 &m.frame, &m.parts) ||
			!rq_filter_message(filter, &m.parts))
			continue;
		m.offset = off;
		sink(arg, &m);
		/* If it is trimmed by now, the sink may have copied zeros. */
		rq_log_check_kept(m.entry.pos);
		count++;
	}
	rq_log_unpin(pin);
	*next = off;
	return count;
}

/*
 * One check for messages, an RqLook.  It moves want->from past what did not
 * match, so that the next check goes on there.
 */
static int
pull(RqWant *want, uint32 unused, void *arg)
{
	const RqPullRequest *req = arg;
	RqQueue    *q;
	RqOff		from = want->from;

	/* The queue can be removed while we sleep without the lock. */
	if (req->queue_id >= rq_topic_nqueues(req->topic))
		return 0;
	q = rq_topic_queue(req->topic, req->queue_id);
	rq_resolve_refresh(q);
	if (from < pg_atomic_read_u64(&q->start))
		report_illegal_offset(q, from, true);
	if (from > pg_atomic_read_u64(&q->end) && !RecoveryInProgress())
		report_illegal_offset(q, from, false);
	return read_forward(q, from, true, req->max, req->filter, req->sink,
						req->sink_arg, &want->from);
}

/*
 * Check once without joining the waiters' list, which costs locks; rq_wait()
 * checks again once it has joined.
 */
int
rq_pull(const RqPullRequest *req)
{
	RqWant		want = {.topic = req->topic, .queue_id = req->queue_id,
	.from = req->from, .filter = req->filter, .lock = req->lock};
	int			count = pull(&want, req->queue_id, unconstify(RqPullRequest *, req));

	if (count == 0 && req->wait_ms > 0)
		count = rq_wait(&want, req->wait_ms, pull, unconstify(RqPullRequest *, req));
	rq_count(RQ_STAT_PULLED, count);
	return count;
}

/*
 * Is there anything after the group's place in the queue, or may there be once
 * that has been found?  Not if the group no longer exists, which nothing keeps
 * here.
 */
static bool
has_unread(const RqCursor *c)
{
	RqOff		committed;
	bool		open;

	return rq_offset_peek(c->group, c->q->id, &committed, &open) &&
		(open || pg_atomic_read_u64(&c->q->stable) >
		 Max(committed, pg_atomic_read_u64(&c->q->start)));
}

/*
 * Read what one queue has for the group; returns the count.
 *
 * A queue with nothing to read is left before it is locked.  Nothing is missed
 * by that: what comes later is news, and a waiter joins the list before it
 * checks.  Nor by leaving a queue that another transaction owns, which offers
 * what it leaves (rq_offer.c).
 */
static int
consume_queue(const RqConsumeRequest *req, RqCursor c, int max)
{
	RqReader   *r;
	RqOff		from;
	RqOff		next;
	int			count;

	rq_resolve_refresh(c.q);
	if (rq_readers_find(&c) == NULL && !has_unread(&c))
		return 0;
	if (!rq_owner_take(&c, false))
		return 0;

	/*
	 * Only the janitor could still move the group here, if a restore has left
	 * its place open; this ends that, too.
	 */
	rq_saved_place(&c);
	r = rq_readers_get(&c);
	from = rq_reader_position(r, &c);
	count = read_forward(c.q, from, false, max, req->filter, req->sink,
						 req->sink_arg, &next);
	RQ_FAULT("consume-read");
	if (next == from)
		return 0;
	rq_reader_set_next(r, next);
	if (req->auto_commit)
		rq_reader_commit_read(r);
	rq_count(RQ_STAT_CONSUMED, count);
	return count;
}

/*
 * Consume round robin, starting at queue "*turn"; leave that after the last
 * queue visited, so that a topic with thousands of queues does not check again
 * those that it has just emptied.
 */
static int
consume_from(const RqConsumeRequest *req, RqGroupRef group, uint32 *turn)
{
	uint32		nqueues = rq_topic_nqueues(req->topic);
	int			count = 0;

	for (uint32 i = 0; i < nqueues && count < req->max; i++)
	{
		RqCursor	c = {.group = group,
		.q = rq_topic_queue(req->topic, (*turn)++ % nqueues)};

		count += consume_queue(req, c, req->max - count);
	}
	return count;
}

/* Does the transaction read any queue of the topic for a group? */
static bool
reads_topic(uint32 topic)
{
	RqReader   *r;

	for (int i = 0; (r = rq_readers_at(i)) != NULL; i++)
		if (r->topic == topic)
			return true;
	return false;
}

/*
 * Has it been dropped since it was found?  Until it is owned nothing keeps it.
 */
static bool
group_is_gone(RqGroupRef group)
{
	return rq_groups[group.slot].id != group.id;
}

/*
 * One check for messages, an RqLook.  A waiter woken for a queue begins with
 * that one.  Otherwise "turn" goes on where the last call ended; it begins
 * somewhere else in each process, so that consumers do not meet at queue 0.
 *
 * Between finding the group and owning a queue somebody can drop it.  Then find
 * or create it again, or we would wait for a group that does not exist.
 *
 * Once a queue of the topic is read, the lock on the relation has to be kept
 * until the transaction ends, also while waiting.
 */
static int
consume(RqWant *want, uint32 queue_id, void *arg)
{
	static uint32 turn = 0;
	const RqConsumeRequest *req = arg;
	uint32		woken_for = queue_id;
	int			count;

	if (turn == 0)
		turn = hash_bytes_uint32((uint32) MyProcPid);
	do
	{
		CHECK_FOR_INTERRUPTS();
		want->group = rq_consumer_find_or_create_group(req->topic, req->group);
		RQ_FAULT("group-found");
		rq_group_used(want->group);
		count = consume_from(req, want->group,
							 queue_id == RQ_ALL_QUEUES ? &turn : &woken_for);
	} while (count == 0 && group_is_gone(want->group));
	want->keeps_lock = reads_topic(req->topic);
	return count;
}

int
rq_consume(const RqConsumeRequest *req)
{
	RqWant		want = {.topic = req->topic, .queue_id = RQ_ALL_QUEUES,
	.filter = req->filter, .lock = req->lock};
	int			count;

	rq_txn_check_open();
	consumed_in = RQ_MY_LXID;
	count = consume(&want, RQ_ALL_QUEUES, unconstify(RqConsumeRequest *, req));
	if (count == 0 && req->wait_ms > 0)
		count = rq_wait(&want, req->wait_ms, consume,
						unconstify(RqConsumeRequest *, req));
	return count;
}

bool
rq_has_consumed(void)
{
	return consumed_in == RQ_MY_LXID;
}
