/*
 * rq_tablestate.c
 *	  Topics, queues, groups and offsets in the state file.
 *
 * How does a copy of slots that change all the time agree with WAL?  Each is
 * copied under the lock that is held over its changes and their WAL records,
 * so the copy has all of a record or nothing of it, and the slot's LSN says
 * which (wal/rq_state.c).  For topics and groups that is the meta lock, which
 * copy_state() holds shared from the first slot to the last.  Queues and
 * offsets have locks of their own, held shared for one slot at a time.
 *
 * What is loaded finds its slots anew: the file names topics by their keys and
 * groups by their ids.
 */
#include "postgres.h"

#include "base/rq_guc.h"
#include "queue/rq_queuesync.h"
#include "queue/rq_tablestate.h"
#include "shmem/rq_shmem.h"
#include "topic/rq_alter.h"
#include "topic/rq_group.h"
#include "topic/rq_group_create.h"
#include "topic/rq_topic.h"

StaticAssertDecl(RQ_PEND_DROP == RQ_STATE_PEND_OP_MAX, "on-disk layout");

/* ---- topics ---- */

/*
 * How far the queue is resolved beyond what is logged is left out: flags
 * there are in no record, and redo of the entries' ENQUEUE would clear them.
 * What is to be synced is noted under the same hold of the lock, so that it
 * reaches to the very end that the copy has.
 */
static void
copy_queue(RqWriter *w, RqQueue *q)
{
	RqStateQueue s;

	LWLockAcquire(&q->lock, LW_SHARED);
	s.start = pg_atomic_read_u64(&q->start);
	s.stable = q->logged_stable;
	s.end = pg_atomic_read_u64(&q->end);
	Assert(s.start <= s.end && s.stable <= s.end);
	s.last_time = q->last_time;
	s.lsn = q->lsn;
	s.born = q->born;
	s.bytes_start = q->bytes_start;
	s.bytes_end = q->bytes_end;
	rq_queue_sync_note(q);
	LWLockRelease(&q->lock);
	rq_writer_add(w, &s, sizeof(s));
}

/*
 * "seen" is left out: it is what the transaction that alters the topic sees,
 * which does not outlive the server.
 */
static void
copy_topic(RqWriter *w, uint32 topic)
{
	RqTopic    *t = &rq_topics[topic];
	RqStateTopic s = {.key = rq_topic_key(topic), .spc = t->spc,
		.nslots = t->queues.n, .committed = t->committed, .staged = t->staged,
		.pend_xid = t->pend_xid, .drop_xid = t->drop_xid, .alter_xid = t->alter_xid,
	.lsn = t->lsn, .alter_lsn = t->alter_lsn};

	RQ_ASSERT_META_LOCK(LW_SHARED);
	rq_writer_add(w, &s, sizeof(s));
	for (uint32 i = 0; i < t->queues.n; i++)
		copy_queue(w, rq_topic_queue(topic, i));
}

static uint64
topics_copy(RqWriter *w, const RqStateHeader *h)
{
	uint64		n = 0;

	for (int t = 0; t < rq_max_topics; t++)
		if (pg_atomic_read_u64(&rq_topics[t].key) != 0)
		{
			copy_topic(w, t);
			n++;
		}
	return n;
}

/*
 * The slot is new, so no lock is needed.  The stable offset begins where
 * RESOLVE has been logged; resolving from there on asks pg_xact, as it did
 * before.
 */
static void
load_queue(RqQueue *q, RqReader *r)
{
	RqStateQueue s;

	rq_state_take(r, &s, sizeof(s));
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

/*
 * A topic that was being altered can have more queues than its committed
 * settings say.  So it is made by the two functions that redo uses: one makes
 * the committed number of queues, the other adds the rest.  Then each queue
 * gets its own values.
 */
static void
load_topic(RqReader *r)
{
	RqStateTopic s;
	xl_rq_topic rec;
	uint32		topic;

	RQ_ASSERT_META_LOCK(LW_EXCLUSIVE);
	rq_state_take(r, &s, sizeof(s));
	if (rq_topic_index_find(s.key) != RQ_NO_SLOT)
		rq_state_damaged("a topic is in it twice");
	topic = rq_topic_apply(s.key, s.spc, &s.committed, s.pend_xid, s.lsn);
	rec.drop_xid = s.drop_xid;
	rec.committed = s.committed;
	rec.staged = s.staged;
	rec.alter_xid = s.alter_xid;
	rec.nslots = s.nslots;
	rq_topic_apply_alter(topic, &rec, s.alter_lsn);
	for (uint32 i = 0; i < s.nslots; i++)
		load_queue(rq_topic_queue(topic, i), r);
}

static void
topics_load(RqReader *r, const RqStateHeader *h, uint64 count)
{
	for (; count > 0; count--)
		load_topic(r);
}

const RqPart rq_topics_state_part = {
	.name = "topics in the state file",
	.state_kind = RQ_STATE_TOPICS,
	.state_copy = topics_copy,
	.state_load = topics_load
};

/* ---- groups ---- */

/* The meta lock keeps the group, the offsets change under their own locks. */
static void
copy_group(RqWriter *w, uint32 group)
{
	RqGroup    *g = &rq_groups[group];
	RqStateGroup s = {.topic = rq_topic_key(g->topic), .id = g->id, .nqueues = g->offsets.n,
		.pend_xid = g->pend_xid, .pend_op = g->pend_op,
	.name_len = strlen(g->name), .created_at = g->created_at};

	RQ_ASSERT_META_LOCK(LW_SHARED);
	memcpy(s.name, g->name, s.name_len);
	rq_writer_add(w, &s, sizeof(s));
	for (uint32 i = 0; i < g->offsets.n; i++)
	{
		RqOffset   *o = rq_group_offset(group, i);
		RqStateOffset so;

		LWLockAcquire(rq_offset_lock((uint32) (o - rq_offsets)), LW_SHARED);
		so.committed = o->committed;
		so.pend_next = o->pend_next;
		so.pend_xid = o->pend_xid;
		so.saved_total = o->saved_total;
		so.saved_left = o->saved_left;
		so.lsn = o->lsn;
		LWLockRelease(rq_offset_lock((uint32) (o - rq_offsets)));
		rq_writer_add(w, &so, sizeof(so));
	}
}

/*
 * By way of their topics, so a group in the file has its topic in the section
 * before.
 */
static uint64
groups_copy(RqWriter *w, const RqStateHeader *h)
{
	uint64		n = 0;

	for (int t = 0; t < rq_max_topics; t++)
	{
		if (pg_atomic_read_u64(&rq_topics[t].key) == 0)
			continue;
		for (uint32 g = rq_topics[t].first_group; g != RQ_NO_SLOT;
			 g = rq_groups[g].next)
		{
			copy_group(w, g);
			n++;
		}
	}
	return n;
}

/* The keeper then logs "committed" once more, whether or not WAL has it. */
static void
load_offset(RqOffset *o, RqReader *r)
{
	RqStateOffset s;

	rq_state_take(r, &s, sizeof(s));
	o->committed = s.committed;
	o->pend_next = s.pend_next;
	o->pend_xid = s.pend_xid;
	o->saved_total = s.saved_total;
	o->saved_left = s.saved_left;
	o->logged = RQ_NOT_LOGGED;
	o->lsn = s.lsn;
}

/*
 * Made as redo makes it, with offsets of zero.  Then it gets what a transaction
 * means to do to it, and each offset its own values.
 */
static void
load_group(RqReader *r)
{
	RqStateGroup s;
	uint32		topic;
	uint32		group;

	RQ_ASSERT_META_LOCK(LW_EXCLUSIVE);
	rq_state_take(r, &s, sizeof(s));
	topic = rq_topic_index_find(s.topic);
	if (topic == RQ_NO_SLOT || s.nqueues != rq_topic_nslots(topic))
		rq_state_damaged("a group does not fit its topic");
	group = rq_group_apply(topic, s.id, s.name, s.name_len, s.nqueues, 0,
						   s.created_at);
	rq_groups[group].pend_op = s.pend_op;
	rq_groups[group].pend_xid = s.pend_xid;
	for (uint32 i = 0; i < s.nqueues; i++)
		load_offset(rq_group_offset(group, i), r);
}

static void
groups_load(RqReader *r, const RqStateHeader *h, uint64 count)
{
	for (; count > 0; count--)
		load_group(r);
}

const RqPart rq_groups_state_part = {
	.name = "groups in the state file",
	.state_kind = RQ_STATE_GROUPS,
	.state_copy = groups_copy,
	.state_load = groups_load
};
