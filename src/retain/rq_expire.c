/*
 * rq_expire.c
 *	  How long topics keep their messages.
 *
 * Which messages of a topic have had their time, and when do those of a topic
 * with a time of its own leave its queues, before their segment can go?
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/timestamp.h"

#include "base/rq_guc.h"
#include "consume/rq_unused.h"
#include "log/rq_log.h"
#include "queue/rq_entry.h"
#include "retain/rq_expire.h"
#include "shmem/rq_workers.h"
#include "topic/rq_topic.h"

/*
 * A topic's expired messages are left for another 1/EXPIRE_SHARE of its time,
 * or until there are EXPIRE_COUNT of them in a queue.
 */
#define EXPIRE_SHARE		16
#define EXPIRE_COUNT		2048

/*
 * The most that goes in one round, in entries of a queue and of all.  The next
 * round comes at once.
 */
#define EXPIRE_QUEUE_MAX	65536
#define EXPIRE_ROUND		(1024 * 1024)

/* And so many queues are looked at. */
#define EXPIRE_LOOKS		16384

int
rq_expire_time(uint32 topic)
{
	int32		s = rq_topic_committed(topic)->retention_s;

	return s == RQ_RETENTION_DEFAULT ? rq_retention_time_s : s;
}

TimestampTz
rq_expire_before(uint32 topic, TimestampTz now)
{
	int			s = rq_expire_time(topic);

	return s < 0 ? DT_NOBEGIN : now - (int64) s * USECS_PER_SEC;
}

/*
 * One hold of the lock, as there is one look at each slot.  The server's own
 * time counts also without a topic that uses it, which asks more queues than
 * needed, but misses none.
 */
TimestampTz
rq_expire_first_before(TimestampTz now)
{
	TimestampTz before = rq_retention_time_s < 0 ? DT_NOBEGIN :
	now - (int64) rq_retention_time_s * USECS_PER_SEC;

	LWLockAcquire(rq_meta_lock, LW_SHARED);
	for (uint32 t = 0; t < rq_topics_begun(); t++)
		if (pg_atomic_read_u64(&rq_topics[t].key) != 0)
			before = Max(before, rq_expire_before(t, now));
	LWLockRelease(rq_meta_lock);
	return before;
}

/* ---- topics with a time of their own ---- */

/*
 * Where the queue begins when all that has expired and is held by no group
 * goes; "start", where it begins now, if that is not worth a record.  Never past what
 * is resolved and logged, as keep_valid() of rq_trim.c demands.
 */
static RqOff
start_unexpired(const RqRound *r, RqQueue *q, RqOff start)
{
	TimestampTz before = rq_expire_before(q->topic, r->now);
	int64		grain = (int64) Max(rq_expire_time(q->topic) / EXPIRE_SHARE, 1) *
	USECS_PER_SEC;
	RqOff		to = Min(rq_queue_offset_at(q, before), q->logged_stable);
	RqExtRun	run = {0};
	RqOff		from;
	RqEntry		e;

	RQ_ASSERT_META_LOCK(LW_SHARED);
	if (rq_group_holding(q, &from) != RQ_NO_SLOT)
		to = Min(to, from);
	if (to <= start || !rq_queue_entry_or_lost(q, start, &run, &e))
		return start;
	to = Min(to, pg_atomic_read_u64(&q->start) + EXPIRE_QUEUE_MAX);
	if (to <= start)
		return start;
	return to - start >= EXPIRE_COUNT || e.enqueued_at < before - grain ?
		to : start;
}

static void
expire_queue(RqRound *r, uint32 topic, uint32 i, RqTrim *t)
{
	t->more = false;
	LWLockAcquire(rq_meta_lock, LW_SHARED);
	if (i < rq_topic_nslots(topic) && rq_topic_committed(topic)->retention_s >= 0)
	{
		RqQueue    *q = rq_topic_queue(topic, i);
		RqOff		start = rq_trim_start(t, q);

		r->expire -= rq_trim_queue(t, q, start_unexpired(r, q, start));
	}
	LWLockRelease(rq_meta_lock);
}

/* One that cannot be read keeps what it has. */
static void
expire_in_parts(RqRound *r, uint32 topic, uint32 i, RqTrim *t)
{
	do
		CHECK_FOR_INTERRUPTS();
	while (rq_round_look(r, expire_queue, topic, i, t) && rq_trim_part(t) &&
		   t->more && r->expire > 0);
}

/*
 * Without the lock, to pass over topics whose queues need not be looked at;
 * expire_queue() checks again.
 */
static bool
has_own_time(uint32 topic)
{
	const RqTopic *t = &rq_topics[topic];

	return t->committed.retention_s >= 0 || t->staged.retention_s >= 0;
}

/*
 * Look at queues, from where the last round has ended, until all of them have
 * been looked at or the round has done its part.  A topic that it begins in the
 * middle of comes again at the end, for the queues before that; no queue comes
 * twice, since what groups lose with it would count twice.
 */
static void
expire_some(RqRound *r, RqTrim *t)
{
	static uint32 topic = 0;
	static uint32 queue = 0;
	uint32		ntopics = rq_topics_begun();
	uint32		first = queue;
	int			looks = EXPIRE_LOOKS;

	for (uint32 n = 0; n <= ntopics; n++)
	{
		uint32		end = n < ntopics ? PG_UINT32_MAX : first;

		if (has_own_time(topic))
			while (queue < Min(end, rq_topic_nslots(topic)))
			{
				if (r->expire <= 0 || looks-- <= 0)
					return;
				expire_in_parts(r, topic, queue++, t);
			}
		topic = (topic + 1) % ntopics;
		queue = 0;
	}
}

/*
 * Messages leave the queues of such a topic when their time is over and no
 * group holds them, although their segment stays.  Not one by one: when there
 * are many, or the oldest is over its time by a share of it.  Readers of the
 * topic go on with the next one.  The log's start stays, so
 * readers need not be asked.
 */
void
rq_expire_topics(RqRound *r)
{
	RqTrim		t;

	r->expire = EXPIRE_ROUND;
	rq_trim_prepare(&t, pg_atomic_read_u64(&rq_log->start), true);
	expire_some(r, &t);
	(void) rq_trim_finish(&t);
	if (r->expire < EXPIRE_ROUND - EXPIRE_COUNT)
		rq_worker_wake(RQ_JANITOR);
}
