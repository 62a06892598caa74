/*
 * rq_tablestate.c
 *	  Topics, queues, groups and offsets in the state file.
 *
 * How does a copy of slots that change all the time agree with WAL?  Each is
 * copied under the lock that is held over its changes and their WAL records,
 * so the copy has all of a record or nothing of it, and the slot's LSN says
 * which (wal/rq_statecopy.c).  For topics and groups that is the meta lock.  Queues
 * have locks of their own, and offsets that of their group, held shared for one
 * slot at a time.
 *
 * What is loaded finds its slots anew.
 */
#include "postgres.h"

#include "queue/rq_tablestate.h"
#include "shmem/rq_shmem.h"
#include "topic/rq_alter.h"
#include "topic/rq_group.h"
#include "topic/rq_group_create.h"
#include "topic/rq_topic.h"

StaticAssertDecl(RQ_PEND_DROP == RQ_STATE_PEND_OP_MAX, "on-disk layout");

/* ---- copy ---- */

/*
 * "seen" is left out: it is what the transaction that alters the topic sees,
 * which does not outlive the server.
 */
static bool
copy_topic(uint32 topic, RqStateTopic *s)
{
	RqTopic    *t = &rq_topics[topic];

	if (pg_atomic_read_u64(&t->key) == 0)
		return false;
	*s = (RqStateTopic)
	{
		.key = rq_topic_key(topic), .spc = t->spc, .nslots = t->queues.n,
			.committed = t->committed, .staged = t->staged,
			.pend_xid = t->pend_xid, .drop_xid = t->drop_xid,
			.alter_xid = t->alter_xid, .lsn = t->lsn, .alter_lsn = t->alter_lsn
	};
	return true;
}

/*
 * How far the queue is resolved beyond what is logged is left out if there are
 * aborted entries: their flags are in no record, and redo of the ENQUEUE would
 * clear them.  Without any, redo does no harm, and no RESOLVE is needed before a
 * sync.  But it is needed in the end, so the copy also says how far that is
 * logged: a standby asks for the outcome of transactions until RESOLVE has come,
 * and nobody knows that forever.
 *
 * Area files that the copy relies on are marked before the lock is released
 * under which it changes (rq_area_mark()).
 */
static bool
copy_queue(RqQueue *q, RqStateQueue *s)
{
	if (q->topic == RQ_NO_SLOT)
		return false;
	LWLockAcquire(&q->lock, LW_SHARED);
	s->topic = q->topic;
	s->id = q->id;
	s->start = pg_atomic_read_u64(&q->start);
	s->logged_stable = q->logged_stable;
	s->stable = q->unlogged_aborts > 0 ? q->logged_stable :
		pg_atomic_read_u64(&q->stable);
	s->end = pg_atomic_read_u64(&q->end);
	Assert(s->start <= s->end && s->logged_stable <= s->stable &&
		   s->stable <= s->end);
	Assert(s->logged_stable == s->end ||
		   rq_bits_get(&rq_unsettled[RQ_SLOT_QUEUE], (uint32) (q - rq_queues)));
	s->last_time = q->last_time;
	s->lsn = q->lsn;
	s->born = q->born;
	s->bytes_start = q->bytes_start;
	s->bytes_end = q->bytes_end;
	LWLockRelease(&q->lock);
	return true;
}

static bool
copy_group(uint32 group, RqStateGroup *s)
{
	RqGroup    *g = &rq_groups[group];

	if (g->id == 0)
		return false;
	*s = (RqStateGroup)
	{
		.topic = g->topic, .id = g->id, .nqueues = g->offsets.n,
			.pend_xid = g->pend_xid, .pend_op = g->pend_op,
			.name_len = strlen(g->name), .created_at = g->created_at
	};
	memcpy(s->name, g->name, s->name_len);
	return true;
}

static bool
copy_offset(uint32 slot, RqStateOffset *s)
{
	RqOffset   *o = &rq_offsets[slot];

	if (o->group == RQ_NO_SLOT)
		return false;
	LWLockAcquire(rq_offset_lock(o), LW_SHARED);
	s->group = o->group;
	s->queue_id = o->queue_id;
	s->committed = o->committed;
	s->pend_next = o->state == RQ_OFFSET_PENDING ? o->pend_next : 0;
	s->pend_xid = o->state == RQ_OFFSET_PENDING ? o->pend_xid : 0;
	s->saved_total = o->state == RQ_OFFSET_OPEN ? o->saved_total : 0;
	s->saved_left = o->state == RQ_OFFSET_OPEN ? o->saved_left : 0;
	s->lsn = o->lsn;
	Assert((o->state != RQ_OFFSET_PENDING && o->is_logged) ||
		   rq_bits_get(&rq_unsettled[RQ_SLOT_OFFSET], slot));
	Assert((o->state == RQ_OFFSET_OPEN) == rq_bits_get(&rq_open_offsets, slot));
	LWLockRelease(rq_offset_lock(o));
	return true;
}

uint32
rq_table_begun(RqSlotKind kind)
{
	switch (kind)
	{
		case RQ_SLOT_TOPIC:
			return rq_topics_begun();
		case RQ_SLOT_QUEUE:
			return rq_slots_begun(rq_queue_pool);
		case RQ_SLOT_GROUP:
			return rq_groups_begun();
		case RQ_SLOT_OFFSET:
			return rq_slots_begun(rq_offset_pool);
		case RQ_SLOT_KINDS:
			break;
	}
	pg_unreachable();
}

bool
rq_table_copy(RqSlotKind kind, uint32 slot, RqStateSlot *copy)
{
	RQ_ASSERT_META_LOCK(LW_SHARED);
	Assert(slot < rq_table_begun(kind));
	switch (kind)
	{
		case RQ_SLOT_TOPIC:
			return copy_topic(slot, &copy->topic);
		case RQ_SLOT_QUEUE:
			return copy_queue(&rq_queues[slot], &copy->queue);
		case RQ_SLOT_GROUP:
			return copy_group(slot, &copy->group);
		case RQ_SLOT_OFFSET:
			return copy_offset(slot, &copy->offset);
		case RQ_SLOT_KINDS:
			break;
	}
	pg_unreachable();
}

/* ---- load ---- */

/* Where slots of the file are in the tables; RQ_NO_SLOT if they are free. */
typedef struct Places
{
	uint32		end;
	uint32	   *slots;
	uint32	   *missing;		/* how many queues or offsets of it are yet to
								 * come */
} Places;

static Places
make_places(const RqStateSlots *s, RqSlotKind kind)
{
	Places		p = {.end = rq_state_slots_end(s, kind)};

	p.slots = palloc((p.end + 1) * sizeof(uint32));
	p.missing = palloc0((p.end + 1) * sizeof(uint32));
	for (uint32 i = 0; i < p.end; i++)
		p.slots[i] = RQ_NO_SLOT;
	return p;
}

/*
 * Where the owner of a queue or offset is.  Each belongs to one that is there,
 * and is one of as many as that one has.
 */
static uint32
owner_of(Places *p, uint32 slot)
{
	if (slot >= p->end || p->slots[slot] == RQ_NO_SLOT || p->missing[slot] == 0)
		rq_state_damaged("a queue or offset belongs to nothing");
	p->missing[slot]--;
	return p->slots[slot];
}

static void
check_complete(const Places *p)
{
	for (uint32 i = 0; i < p->end; i++)
		if (p->missing[i] > 0)
			rq_state_damaged("a topic or group lacks queues or offsets");
}

/*
 * A topic that was being altered can have more queues than its committed
 * settings say.  So it is made by the two functions that redo uses: one makes
 * the committed number of queues, the other adds the rest.
 */
static uint32
load_topic(const RqStateTopic *s)
{
	xl_rq_topic rec;
	uint32		topic;

	if (rq_topic_index_find(s->key) != RQ_NO_SLOT)
		rq_state_damaged("a topic is in it twice");
	topic = rq_topic_apply(s->key, s->spc, &s->committed, s->pend_xid, s->lsn);
	rec.drop_xid = s->drop_xid;
	rec.committed = s->committed;
	rec.staged = s->staged;
	rec.alter_xid = s->alter_xid;
	rec.nslots = s->nslots;
	rq_topic_apply_alter(topic, &rec, s->alter_lsn, NULL);
	for (uint32 i = 0; i < s->nslots; i++)
		rq_topic_queue(topic, i)->logged_stable = RQ_NOT_LOGGED;
	return topic;
}

/*
 * The slot is new, so no lock is needed.  Resolving from the stable offset on
 * asks pg_xact, as it did before.  A queue that has not come yet is marked by
 * load_topic().
 */
static void
load_queue(Places *topics, const RqStateQueue *s)
{
	RqQueue    *q = rq_queue_find(owner_of(topics, s->topic), s->id);

	if (q == NULL || q->logged_stable != RQ_NOT_LOGGED)
		rq_state_damaged("a queue does not fit its topic");
	pg_atomic_write_u64(&q->start, s->start);
	pg_atomic_write_u64(&q->stable, Max(s->start, s->stable));
	pg_atomic_write_u64(&q->end, s->end);
	q->logged_stable = Max(s->start, s->logged_stable);
	q->last_time = s->last_time;
	q->lsn = s->lsn;
	q->born = s->born;
	q->bytes_start = s->bytes_start;
	q->bytes_end = s->bytes_end;
	if (q->logged_stable < s->end)
		rq_queue_unsettled(q);
}

/*
 * Made as redo makes it, with offsets of zero.  Then it gets what a transaction
 * means to do to it.
 */
static uint32
load_group(const Places *topics, const RqStateGroup *s)
{
	uint32		topic = s->topic < topics->end ? topics->slots[s->topic] : RQ_NO_SLOT;
	uint32		group;

	if (topic == RQ_NO_SLOT || s->nqueues != rq_topic_nslots(topic))
		rq_state_damaged("a group does not fit its topic");
	if (s->id >= rq_tables->next_group_id)
		rq_state_damaged("a group has an id that was not given yet");
	group = rq_group_apply(topic, s->id, s->name, s->name_len, s->nqueues, 0,
						   s->created_at);
	rq_groups[group].pend_op = s->pend_op;
	rq_groups[group].pend_xid = s->pend_xid;
	return group;
}

/*
 * The keeper then logs "committed" once more, whether or not WAL has it.  Until
 * an offset has come it counts as logged.
 */
static void
load_offset(Places *groups, const RqStateOffset *s)
{
	RqOffset   *o = rq_offset_find(owner_of(groups, s->group), s->queue_id);

	if (o == NULL || !o->is_logged)
		rq_state_damaged("an offset does not fit its group");
	o->committed = s->committed;
	if (s->pend_xid != 0)
	{
		rq_offset_becomes(o, RQ_OFFSET_PENDING);
		o->pend_next = s->pend_next;
		o->pend_xid = s->pend_xid;
	}
	else if (s->saved_total != 0)
	{
		rq_offset_becomes(o, RQ_OFFSET_OPEN);
		o->saved_total = s->saved_total;
		o->saved_left = s->saved_left;
	}
	o->is_logged = false;
	o->lsn = s->lsn;
	rq_offset_unsettled(o);
}

static void
load_slot(RqSlotKind kind, uint32 slot, const RqStateSlot *s, Places *topics,
		  Places *groups)
{
	switch (kind)
	{
		case RQ_SLOT_TOPIC:
			topics->slots[slot] = load_topic(&s->topic);
			topics->missing[slot] = s->topic.nslots;
			break;
		case RQ_SLOT_QUEUE:
			load_queue(topics, &s->queue);
			break;
		case RQ_SLOT_GROUP:
			groups->slots[slot] = load_group(topics, &s->group);
			groups->missing[slot] = s->group.nqueues;
			break;
		case RQ_SLOT_OFFSET:
			load_offset(groups, &s->offset);
			break;
		case RQ_SLOT_KINDS:
			break;
	}
}

/* Kind by kind, so that what a slot refers to is there. */
void
rq_table_load(const RqStateSlots *s)
{
	Places		topics = make_places(s, RQ_SLOT_TOPIC);
	Places		groups = make_places(s, RQ_SLOT_GROUP);

	RQ_ASSERT_META_LOCK(LW_EXCLUSIVE);
	for (RqSlotKind kind = 0; kind < RQ_SLOT_KINDS; kind++)
		for (uint32 i = 0; i < rq_state_slots_end(s, kind); i++)
		{
			const RqStateSlot *slot = rq_state_slot(s, kind, i);

			if (slot != NULL)
				load_slot(kind, i, slot, &topics, &groups);
		}
	check_complete(&topics);
	check_complete(&groups);
}
