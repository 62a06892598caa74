/*
 * rq_produce.c
 *	  Take messages: check them, choose their queues, write them.
 *
 * Given messages for a topic, which queue does each of them go to, and when
 * may consumers have it?
 *
 *		1. check	all messages, before the first one is written
 *		2. log		frames are built into one buffer and go to the log in
 *					runs, so that a batch costs one WAL record per run and
 *					not per message
 *		3. queue	in a transaction the entries are noted, for its commit to
 *					enqueue (rq_touched.c); without one they are enqueued at
 *					once, and held back until their WAL is flushed
 */
#include "postgres.h"

#include <time.h>

#include "access/xact.h"
#include "access/xlog.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "replication/syncrep.h"
#include "utils/timestamp.h"

#include "base/rq_compat.h"
#include "base/rq_fault.h"
#include "base/rq_guc.h"
#include "format/rq_queuefmt.h"
#include "log/rq_log.h"
#include "produce/rq_produce.h"
#include "produce/rq_touched.h"
#include "queue/rq_enqueue.h"
#include "queue/rq_resolve.h"
#include "shmem/rq_latency.h"
#include "shmem/rq_stats.h"
#include "topic/rq_topic.h"
#include "txn/rq_txn.h"

/* A run of frames for one call of rq_log_append(). */
#define RUN_BYTES		(128 * 1024)
#define RUN_MESSAGES	512

/* Up to this much is kept on the stack. */
#define FEW_MESSAGES	16
#define FEW_BYTES		2048

/* This many messages without a sharding key stay on one queue. */
#define STICKY_MESSAGES	256

static void
report_part_too_large(const char *what, uint64 have, uint64 limit)
{
	rq_count(RQ_STAT_REFUSED_TOO_LARGE, 1);
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("%s is too large", what),
			 errdetail("It has " UINT64_FORMAT " bytes, but only " UINT64_FORMAT " are allowed.",
					   have, limit)));
}

/*
 * Everything that can be wrong with a message by itself.  Whether its frame
 * fits into a segment depends on the store: rq_log_append() checks that for
 * each run, so frames of earlier runs can be garbage then.
 */
static void
check_parts(const RqParts *m)
{
	uint64		size = (uint64) m->body_len + m->keys_len + m->properties_len;
	const char *problem;

	if (m->body == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("message body must not be null"),
				 errhint("An empty body is allowed.")));
	if (m->tag_len > RQ_TAG_MAX)
		report_part_too_large("message tag", m->tag_len, RQ_TAG_MAX);
	if (m->tag && (problem = rq_tag_problem(m->tag, m->tag_len)) != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid message tag \"%.*s\"", (int) m->tag_len, m->tag),
				 errdetail_internal("%s", _(problem)),
				 m->tag_len == 0 ?
				 errhint("Use NULL for a message without a tag.") : 0));
	if (m->sharding_len > RQ_SHARDING_KEY_MAX)
		report_part_too_large("sharding key", m->sharding_len, RQ_SHARDING_KEY_MAX);
	if (m->nkeys > RQ_KEYS_MAX)
	{
		rq_count(RQ_STAT_REFUSED_TOO_LARGE, 1);
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("message has too many keys"),
				 errdetail("It has %u keys, but only %d are allowed.",
						   m->nkeys, RQ_KEYS_MAX)));
	}
	if (size > (uint64) rq_max_message_size)
	{
		rq_count(RQ_STAT_REFUSED_TOO_LARGE, 1);
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("message is too large"),
				 errdetail("Body, keys, and properties have " UINT64_FORMAT " bytes, but rocketq.max_message_size is %d.",
						   size, rq_max_message_size),
				 errhint("Raise rocketq.max_message_size, or keep large objects in a table and send a reference.")));
	}
}

/*
 * The next queue in turn: another one in each transaction, and after
 * STICKY_MESSAGES.  Messages that follow each other into one queue share an
 * ENQUEUE record.  Processes begin at different queues.
 *
 * A transaction is told from the next by its start time.  If two have the same,
 * the second one goes on where the first was, which does no harm.
 */
static uint32
sticky_queue(uint32 nqueues)
{
	static uint32 turn = 0;
	static uint32 left = 0;
	static TimestampTz last_xact = 0;
	TimestampTz xact = GetCurrentTransactionStartTimestamp();

	if (last_xact == 0)
		turn = hash_bytes_uint32((uint32) MyProcPid);
	if (left == 0 || xact != last_xact)
	{
		turn++;
		left = STICKY_MESSAGES;
		last_xact = xact;
	}
	left--;
	return turn % nqueues;
}

/*
 * An explicit queue wins over the sharding key, and that over the turn.  The
 * key's hash keeps messages of one key in one queue, and so in their order, as
 * long as the topic has the same number of queues.  That number cannot change
 * between two messages of a call: altering it needs an AccessExclusiveLock on
 * the relation, and our caller holds a lock on that.
 */
static uint32
choose_queue(const RqTarget *target, const RqParts *m, int i)
{
	uint32		nqueues = rq_topic_nqueues(target->topic);
	int64		asked = target->queue_ids ? target->queue_ids[i] :
	target->queue_id;

	if (asked != RQ_ANY_QUEUE)
		return (uint32) asked;
	if (m->sharding_key != NULL)
		return hash_bytes((const unsigned char *) m->sharding_key,
						  (int) m->sharding_len) % nqueues;
	return sticky_queue(nqueues);
}

/*
 * Wait until the record is as durable as synchronous_commit asks, as the
 * commit of a transaction does.  Standbys are waited for until they have
 * flushed it, at most: it is no commit record, whose replay could be waited
 * for.
 *
 * With synchronous_commit off the WAL writer gets to know that there is
 * something to flush, as it does of a commit.  Then a crash can take away a
 * message that has been consumed; that is what was asked for.
 *
 * Interrupts are held off because SyncRepWaitForLSN() demands that, and checks
 * for a cancel itself: it then ends the wait with a warning, not an error, as
 * the message is there and stays.
 */
static void
wait_until_durable(XLogRecPtr lsn)
{
	if (synchronous_commit == SYNCHRONOUS_COMMIT_OFF)
	{
		XLogSetAsyncXactLSN(lsn);
		return;
	}
	XLogFlush(lsn);
	HOLD_INTERRUPTS();
	SyncRepWaitForLSN(lsn, false);
	RESUME_INTERRUPTS();
}

/*
 * Enqueue without a transaction: what is in the queue counts, whatever becomes
 * of the caller.
 *
 *		1. enqueue, noted as unflushed, so that the entries do not count yet
 *		2. flush the record
 *		3. remove the note and resolve the queue
 *
 * Without the note a consumer could act on a message that a crash takes away.
 * The queue's lock is not held over the flush: others enqueue concurrently,
 * and theirs become readable after ours.
 *
 * The last step can find that our entries come after some of a transaction in
 * progress; then they wait for that one, and whoever ends it resolves them.
 */
static void
enqueue_now(RqQueue *q, const xl_rq_entry *entries, int n)
{
	XLogRecPtr	lsn;
	RqOff		end;

	end = rq_queue_enqueue(q, entries, n, 0, &lsn) + n;
	RQ_FAULT("direct-enqueued");
	wait_until_durable(lsn);
	RQ_FAULT("direct-flushed");
	rq_queue_forget_unflushed();
	rq_resolve(q, 0, RQ_XID_IN_PROGRESS);
	if (pg_atomic_read_u64(&q->stable) < end)
		rq_count(RQ_STAT_VISIBLE_LATE, 1);
}

/*
 * Give the messages of a run to their queues, those that follow each other
 * into one queue together.  "queues" may be NULL.
 *
 * Messages of one queue are given to it in the order in which they were
 * produced, also when others go elsewhere in between: whatever has been
 * collected goes to its queue before the first one for another is collected.
 */
static void
enqueue_run(const RqTarget *target, const RqParts *messages, int n,
			const RqPos *ids, const uint32 *lens, uint32 *queues)
{
	xl_rq_entry entries[RUN_MESSAGES];
	uint32		own_queues[RUN_MESSAGES];
	int			first = 0;

	if (queues == NULL)
		queues = own_queues;
	for (int i = 0; i < n; i++)
	{
		uint32		queue_id = choose_queue(target, &messages[i], i);

		queues[i] = queue_id;
		if (i > first && queue_id != queues[first])
		{
			if (target->transactional)
				rq_touched_produce(target->topic, queues[first],
								   entries + first, i - first);
			else
				enqueue_now(rq_topic_queue(target->topic, queues[first]),
							entries + first, i - first);
			first = i;
		}
		entries[i].pos = ids[i];
		entries[i].tag_hash = messages[i].tag == NULL ? 0 :
			rq_tag_hash(messages[i].tag, messages[i].tag_len);
		entries[i].len_flags = RQ_ENTRY_PACK_LEN(lens[i]) |
			(messages[i].is_copy ? RQ_ENTRY_COPY : 0);
	}
	if (target->transactional)
		rq_touched_produce(target->topic, queues[first], entries + first, n - first);
	else
		enqueue_now(rq_topic_queue(target->topic, queues[first]),
					entries + first, n - first);
}

/*
 * The time, up to a few milliseconds late, at a fraction of the usual cost.
 * It goes into the frame, for retention; users see when a message was
 * enqueued.
 */
static TimestampTz
coarse_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME_COARSE, &t);
	return time_t_to_timestamptz(t.tv_sec) + t.tv_nsec / 1000;
}

/*
 * Append as many of the messages as one run takes; returns how many.  Without
 * a transaction their frames must not be gathered (log/rq_gather.c), because
 * entries refer to them at once.
 *
 * While the frames are built no lock is held and nothing is reserved, so a
 * large message holds up nobody.  What follows does: a run is stored and logged
 * in one critical section, and its stretch is in flight all that time, so a run
 * is bounded.  A message that is larger than RUN_BYTES is a run of its own.
 */
static int
append_messages(const RqTarget *target, const RqParts *messages, int n, RqPos *ids,
				uint32 *lens)
{
	RqKey		key = rq_topic_key(target->topic);
	TimestampTz born = GetCurrentStatementStartTimestamp();
	TimestampTz now = coarse_now();
	uint64		total = 0;
	int			count = 0;
	union
	{
		RqFrame		align;
		char		bytes[FEW_BYTES];
	}			few;
	char	   *buf;
	char	   *at;

	while (count < n && count < RUN_MESSAGES)
	{
		uint64		len = rq_frame_size(&messages[count]);

		if (count > 0 && total + len > RUN_BYTES)
			break;
		lens[count++] = len;
		total += len;
	}
	buf = at = total <= FEW_BYTES ? few.bytes : palloc(total);
	for (int i = 0; i < count; i++)
	{
		rq_frame_build(at, &messages[i], key,
					   messages[i].is_copy ? messages[i].born_at : born, now);
		at += lens[i];
	}
	rq_log_append(buf, lens, count, ids, target->transactional);
	if (buf != few.bytes)
		pfree(buf);
	rq_count(RQ_STAT_PRODUCED, count);
	rq_count(RQ_STAT_PRODUCED_BYTES, total);
	return count;
}

/*
 * All messages go to the log before the first one goes to a queue: if the log
 * has no room for all of them, none can be read, even without a transaction.
 * Frames without an entry are only garbage.
 *
 * Without a transaction there is one WAL flush for each stretch of messages of
 * one queue, and an error between two of them leaves the first in the queue;
 * nobody can take them back.
 *
 * The time until messages can be read is taken here only without a
 * transaction.  With one it is taken from pre-commit on (rq_touched.c).
 */
static void
write_messages(const RqTarget *target, const RqParts *messages, int n,
			   RqPos *ids, uint32 *queues)
{
	RqTarget	rest = *target;
	uint32		few[FEW_MESSAGES];
	uint32	   *lens = n <= FEW_MESSAGES ? few : palloc(n * sizeof(uint32));
	instr_time	enqueue_start = {0};	/* zero: not timed here */
	int			count;

	for (int done = 0; done < n; done += count)
		count = append_messages(target, messages + done, n - done,
								ids + done, lens + done);
	if (!target->transactional)
		enqueue_start = rq_latency_begin();
	for (int done = 0; done < n; done += count)
	{
		count = Min(n - done, RUN_MESSAGES);
		enqueue_run(&rest, messages + done, count, ids + done, lens + done,
					queues ? queues + done : NULL);
		if (rest.queue_ids)
			rest.queue_ids += count;
	}
	rq_latency_end(RQ_PHASE_VISIBLE, enqueue_start);
	if (lens != few)
		pfree(lens);
}

/* A message that survives a rollback needs a queue that does. */
static void
check_at_once(uint32 topic)
{
	if (rq_topic_is_own(topic))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot produce without a transaction into a topic that this transaction has created, truncated or given another number of queues"),
				 errdetail("ROLLBACK would remove the message together with its queue."),
				 errhint("Commit first, or leave out transactional => false.")));
}

#ifdef RQ_TESTING
/* The same messages with an extra part each, as rocketq.test_extra says. */
static const RqParts *
with_test_extra(const RqParts *messages, int n)
{
	static const uint16 kinds[] = {0xFF00, 0xFF01, 0xFF02};
	RqParts    *copy = palloc_extended(n * sizeof(RqParts), MCXT_ALLOC_HUGE);
	uint32		size = rq_test_extra;
	char	   *data = memset(palloc(size + 1), 'e', size);
	char	   *items = palloc(size + 3 * RQ_EXTRA_ITEM_SIZE(1));
	uint32		used = 0;
	uint16		len;

	used = rq_extra_add(items, used, kinds[0], "", 0);
	used = rq_extra_add(items, used, kinds[1], data, size);
	used = rq_extra_add(items, used, kinds[2], "!", 1);
	memcpy(copy, messages, n * sizeof(RqParts));
	for (int i = 0; i < n; i++)
	{
		copy[i].extra = items;
		copy[i].extra_len = used;
	}
	if (rq_extra_find(&copy[0], kinds[1], &len) == NULL || len != size ||
		rq_extra_find(&copy[0], kinds[2], &len) == NULL || len != 1 ||
		rq_extra_find(&copy[0], 0xFF03, &len) != NULL)
		elog(PANIC, "items of an extra part cannot be found again");
	return copy;
}
#endif

/*
 * Refuse before anything is written: a call that comes too late in its
 * transaction, then what is wrong with the target, then what is wrong with any
 * of the messages.  What can fail after that, with some of the messages in the
 * log, is the disk, the log's room, and the store being closed.  In a
 * transaction the error undoes what was noted, and the frames are garbage.
 *
 * "queue_ids" need no check here, see RqTarget.
 */
void
rq_produce(const RqTarget *target, const RqParts *messages, int n,
		   RqPos *ids, uint32 *queues)
{
	instr_time	start = rq_latency_begin();

	rq_txn_check_open();
	if (!target->transactional)
		check_at_once(target->topic);
	if (target->queue_id != RQ_ANY_QUEUE)
	{
		rq_topic_check_queue(target->topic, target->queue_id);
		rq_queue_fetch(target->topic, (uint32) target->queue_id);
	}
	for (int i = 0; i < n; i++)
		check_parts(&messages[i]);
	if (n == 0)
		return;
#ifdef RQ_TESTING
	if (rq_test_extra >= 0)
		messages = with_test_extra(messages, n);
#endif
	write_messages(target, messages, n, ids, queues);
	rq_latency_end(RQ_PHASE_PRODUCE, start);
}

/*
 * An error after rq_queue_enqueue() can leave the note in place.  Nothing from
 * there on in the queue could be read, so the note goes with the transaction.
 */
void
rq_produce_init(void)
{
	static const RqParticipant producer = {.forget = rq_queue_forget_unflushed};

	rq_txn_register(&producer);
}
