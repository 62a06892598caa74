/*
 * rq_txn.c
 *	  What the current transaction has produced, consumed and changed.
 *
 * Three lists: messages to enqueue (rq_touched.c), queues being read
 * (readers), and actions, a journal of everything else that a rollback to a
 * savepoint must undo.  A savepoint is a pair of list lengths; undoing it cuts
 * the lists back, newest action first.
 *
 * Order of events at the end of a transaction:
 *
 *		pre-commit	entries are written and WAL-logged with the transaction's
 *					id (ENQUEUE), offsets staged (OFFSET), group drops staged.
 *					Everything that can fail is here.
 *		commit		the transaction's own commit record, flushed as
 *					synchronous_commit asks
 *		callback	stable offsets are raised, staged offsets take effect.
 *					Only shared memory and mapped files; nothing may fail, and
 *					what an error leaves undone the keeper and readers do.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "base/rq_compat.h"
#include "base/rq_fault.h"
#include "log/rq_log.h"
#include "queue/rq_alter.h"
#include "queue/rq_group.h"
#include "queue/rq_owner.h"
#include "queue/rq_queue.h"
#include "queue/rq_topic.h"
#include "queue/rq_touched.h"
#include "queue/rq_txn.h"
#include "shmem/rq_latency.h"
#include "shmem/rq_stats.h"
#include "txn/rq_index.h"

typedef enum ActionKind
{
	ACT_NEXT,					/* a reader's "next" changed */
	ACT_COMMIT,					/* a reader's "commit" changed */
	ACT_TOPIC_CREATED,
	ACT_TOPIC_DROPPED,
	ACT_TOPIC_ALTERED,			/* settings changed */
	ACT_TOPIC_ALTER_UNDONE,		/* the same, in what was rolled back */
	ACT_GROUP_CREATED,
	ACT_GROUP_DROPPED,			/* claimed by us, staged at pre-commit */
	ACT_GROUP_DOOMED,			/* created and dropped by us */
	ACT_GROUP_GONE				/* created by us in what was rolled back */
} ActionKind;

typedef struct Action
{
	ActionKind	kind;
	uint32		index;			/* of the reader */
	bool		had_old;
	RqOff		old;			/* offset */
	RqTopicSettings old_settings;
	RqKey		key;			/* of the topic */
	RqGroupRef	group;
} Action;

/* List lengths when a subtransaction began. */
typedef struct Mark
{
	int			level;
	uint64		npending;
	int			nactions;
} Mark;

typedef struct Txn
{
	MemoryContext cxt;
	uint64		xid;			/* set by pre-commit */
	instr_time	pre_commit_start;	/* zero if nothing was produced */
	RqTouched  *touched;		/* NULL if nothing was produced */
	RqReader  **readers;
	int			nreaders;
	int			max_readers;
	HTAB	   *reader_index;	/* once there are many */
	Action	   *actions;
	int			nactions;
	int			max_actions;
	Mark	   *marks;
	int			nmarks;
	int			max_marks;
} Txn;

static Txn *txn = NULL;

/* Too late for changes; also true for a transaction that has made none. */
static bool pre_commit_done = false;

/* ---- lists ---- */

static Txn *
get_txn(void)
{
	if (txn == NULL)
	{
		MemoryContext cxt = AllocSetContextCreate(TopTransactionContext,
												  "rocketq transaction",
												  ALLOCSET_SMALL_SIZES);

		txn = MemoryContextAllocZero(cxt, sizeof(Txn));
		txn->cxt = cxt;
	}
	return txn;
}

/* Messages so far, without what was rolled back to a savepoint. */
static uint64
produced(void)
{
	return txn->touched == NULL ? 0 : rq_touched_count(txn->touched);
}

void
rq_txn_check_open(void)
{
	if (pre_commit_done)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TRANSACTION_STATE),
				 errmsg("cannot use rocketq while the transaction is being committed")));
}

/*
 * Remember the list lengths at the start of the subtransactions we are in.
 * Called before every change; a level that is not there yet has seen none.
 */
static void
set_marks(void)
{
	int			level = GetCurrentTransactionNestLevel();
	int			have = txn->nmarks > 0 ? txn->marks[txn->nmarks - 1].level : 1;

	while (have < level)
	{
		have++;
		RQ_GROW(txn->cxt, txn->marks, txn->nmarks, txn->max_marks);
		txn->marks[txn->nmarks].level = have;
		txn->marks[txn->nmarks].npending =
			produced();
		txn->marks[txn->nmarks].nactions = txn->nactions;
		txn->nmarks++;
	}
}

static void
make_room_for_action(void)
{
	get_txn();
	rq_txn_check_open();
	set_marks();
	RQ_FAULT("action-room");
	RQ_GROW(txn->cxt, txn->actions, txn->nactions, txn->max_actions);
}

/* A new action; the caller fills it in before anything can fail. */
static Action *
add_action(ActionKind kind)
{
	Action	   *a;

	make_room_for_action();
	a = &txn->actions[txn->nactions++];
	memset(a, 0, sizeof(*a));
	a->kind = kind;
	return a;
}

/* ---- produce ---- */

void
rq_txn_produce(uint32 topic, uint32 queue_id, const xl_rq_entry *entries,
			   int count)
{
	get_txn();
	rq_txn_check_open();
	RQ_FAULT("pending-add");
	if (txn->touched == NULL)
		txn->touched = rq_touched_create(txn->cxt);
	set_marks();
	rq_touched_add(txn->touched, topic, queue_id, entries, count);
}

/* ---- readers ---- */

RqReader *
rq_txn_reader_at(int i)
{
	return txn != NULL && i < txn->nreaders ? txn->readers[i] : NULL;
}

RqReader *
rq_txn_find_reader(RqGroupRef group, uint32 queue_id)
{
	RqReader   *r;
	int			at;

	if (txn != NULL && txn->reader_index != NULL)
	{
		at = rq_index_find(txn->reader_index, group.id, queue_id);
		return at < 0 ? NULL : txn->readers[at];
	}
	for (int i = 0; (r = rq_txn_reader_at(i)) != NULL; i++)
		if (r->group.id == group.id && r->queue_id == queue_id)
			return r;
	return NULL;
}

/* Make room for one more reader, also in the index. */
static void
make_room_for_reader(void)
{
	HTAB	   *index;

	RQ_GROW(txn->cxt, txn->readers, txn->nreaders, txn->max_readers);
	if (txn->nreaders < RQ_INDEX_FROM || txn->reader_index != NULL)
		return;
	index = rq_index_create(txn->cxt, "rocketq readers");
	for (int i = 0; i < txn->nreaders; i++)
		rq_index_add(index, txn->readers[i]->group.id,
					 txn->readers[i]->queue_id, i);
	txn->reader_index = index;
}

RqReader *
rq_txn_reader(uint32 topic, RqGroupRef group, uint32 queue_id)
{
	RqReader   *r = rq_txn_find_reader(group, queue_id);

	if (r != NULL)
		return r;
	get_txn();
	rq_txn_check_open();
	make_room_for_reader();
	r = MemoryContextAllocZero(txn->cxt, sizeof(RqReader));
	r->topic = topic;
	r->group = group;
	r->queue_id = queue_id;
	r->index = txn->nreaders;
	r->next_action = r->commit_action = -1;
	if (txn->reader_index != NULL)
		rq_index_add(txn->reader_index, group.id, queue_id, txn->nreaders);
	txn->readers[txn->nreaders++] = r;
	return r;
}

/*
 * Does the action at "at" already tell what this reader had before the current
 * subtransaction?  Then a further change needs no action of its own.
 */
static bool
is_noted(ActionKind kind, const RqReader *r, int at)
{
	int			level = GetCurrentTransactionNestLevel();
	int			first = 0;

	if (level > 1)
	{
		const Mark *m = txn->nmarks > 0 ? &txn->marks[txn->nmarks - 1] : NULL;

		if (m == NULL || m->level != level)
			return false;
		first = m->nactions;
	}
	return at >= first && at < txn->nactions &&
		txn->actions[at].kind == kind && txn->actions[at].index == r->index;
}

void
rq_txn_set_next(RqReader *r, RqOff next)
{
	rq_txn_check_open();
	if (!is_noted(ACT_NEXT, r, r->next_action))
	{
		Action	   *a = add_action(ACT_NEXT);

		a->index = r->index;
		a->had_old = r->reading;
		a->old = r->next;
		r->next_action = txn->nactions - 1;
	}
	r->reading = true;
	r->next = next;
}

void
rq_txn_set_commit(RqReader *r, RqOff commit)
{
	rq_txn_check_open();
	if (!is_noted(ACT_COMMIT, r, r->commit_action))
	{
		Action	   *a = add_action(ACT_COMMIT);

		a->index = r->index;
		a->had_old = r->committing;
		a->old = r->commit;
		r->commit_action = txn->nactions - 1;
	}
	r->committing = true;
	r->commit = commit;
}

/* ---- topics and groups ---- */

void
rq_txn_topic_created(RqKey key)
{
	add_action(ACT_TOPIC_CREATED)->key = key;
}

/*
 * Doom topics dropped by actions from "first" on that were created since the
 * innermost savepoint: they are garbage however the transaction ends.  A loop of
 * TRUNCATEs would hold on to the slots of all its storages else.  Their actions
 * stay, since messages may have been produced into them.  Can't throw.
 */
static void
doom_dead_topics(int first)
{
	int			since = txn->nmarks > 0 ? txn->marks[txn->nmarks - 1].nactions : 0;

	for (int i = first; i < txn->nactions; i++)
	{
		if (txn->actions[i].kind != ACT_TOPIC_DROPPED)
			continue;
		for (int k = i - 1; k >= since; k--)
			if (txn->actions[k].kind == ACT_TOPIC_CREATED &&
				RQ_KEY_EQ(txn->actions[k].key, txn->actions[i].key))
			{
				rq_topic_doom(txn->actions[i].key);
				break;
			}
	}
}

void
rq_txn_topic_dropped(RqKey key)
{
	add_action(ACT_TOPIC_DROPPED)->key = key;
	doom_dead_topics(txn->nactions - 1);
}

void
rq_txn_topic_altered(uint32 topic, uint32 nqueues)
{
	Action	   *a = add_action(ACT_TOPIC_ALTERED);
	uint32		queue_id;

	a->key = rq_topic_key(topic);
	a->old_settings = rq_topic_settings(topic);
	if (txn->touched != NULL &&
		rq_touched_has(txn->touched, a->key, nqueues, &queue_id))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("cannot remove queue %u, into which this transaction has produced",
						queue_id)));
}

void
rq_txn_group_creating(void)
{
	make_room_for_action();
}

void
rq_txn_group_created(RqGroupRef group)
{
	add_action(ACT_GROUP_CREATED)->group = group;
}

void
rq_txn_group_dropped(RqGroupRef group)
{
	if (rq_group_is_own(group))
	{
		add_action(ACT_GROUP_DOOMED)->group = group;
		rq_group_doom(group, true);
	}
	else
	{
		uint64		xid = U64FromFullTransactionId(GetTopFullTransactionId());

		add_action(ACT_GROUP_DROPPED)->group = group;
		rq_group_claim(group, xid);
	}
}

/* Take back the newest action; can't throw. */
static void
undo(const Action *a)
{
	switch (a->kind)
	{
		case ACT_NEXT:
			txn->readers[a->index]->reading = a->had_old;
			txn->readers[a->index]->next = a->old;
			break;
		case ACT_COMMIT:
			txn->readers[a->index]->committing = a->had_old;
			txn->readers[a->index]->commit = a->old;
			break;
		case ACT_TOPIC_CREATED:
			rq_topic_doom(a->key);
			break;
		case ACT_TOPIC_DROPPED:
			break;
		case ACT_TOPIC_ALTERED:
			rq_topic_alter_undo(a->key, &a->old_settings);
			break;
		case ACT_TOPIC_ALTER_UNDONE:
			break;
		case ACT_GROUP_CREATED:
			rq_group_abandon(a->group);
			break;
		case ACT_GROUP_DROPPED:
			rq_group_claim(a->group, 0);
			break;
		case ACT_GROUP_DOOMED:
			rq_group_doom(a->group, false);
			break;
		case ACT_GROUP_GONE:
			break;
	}
}

static bool
is_dropped(RqKey key)
{
	for (int i = 0; i < txn->nactions; i++)
		if (txn->actions[i].kind == ACT_TOPIC_DROPPED &&
			RQ_KEY_EQ(txn->actions[i].key, key))
			return true;
	return false;
}

/* ---- pre-commit ---- */

static void
drop_doomed_groups(void)
{
	for (int i = 0; i < txn->nactions; i++)
	{
		const Action *a = &txn->actions[i];

		if (a->kind == ACT_GROUP_DOOMED || a->kind == ACT_GROUP_GONE)
			rq_group_drop_doomed(a->group);
	}
}

static void
log_alters(void)
{
	for (int i = 0; i < txn->nactions; i++)
		if (txn->actions[i].kind == ACT_TOPIC_ALTER_UNDONE)
			rq_topic_alter_log(txn->actions[i].key);
}

static void
stage_drops(void)
{
	for (int i = 0; i < txn->nactions; i++)
	{
		const Action *a = &txn->actions[i];

		if (a->kind == ACT_GROUP_DROPPED)
			rq_group_stage_drop(a->group, txn->xid);
		else if (a->kind == ACT_TOPIC_DROPPED)
			rq_topic_stage_drop(a->key, txn->xid);
	}
}

static void
stage_offsets(void)
{
	for (int i = 0; i < txn->nreaders; i++)
	{
		RqReader   *r = txn->readers[i];

		if (r->committing && r->group.id == rq_groups[r->group.slot].id &&
			!is_dropped(rq_topic_key(r->topic)))
			rq_offset_stage(rq_group_offset(r->group.slot, r->queue_id),
							r->commit, txn->xid);
	}
}

static bool
writes_anything(void)
{
	if (produced() > 0)
		return true;
	for (int i = 0; i < txn->nreaders; i++)
		if (txn->readers[i]->committing)
			return true;
	for (int i = 0; i < txn->nactions; i++)
		if (txn->actions[i].kind == ACT_GROUP_DROPPED ||
			txn->actions[i].kind == ACT_TOPIC_DROPPED)
			return true;
	return false;
}

static void
pre_commit(void)
{
	if (produced() > 0)
		txn->pre_commit_start = rq_latency_begin();
	rq_log_gather_write();
	drop_doomed_groups();
	log_alters();
	if (writes_anything())
	{
		txn->xid = U64FromFullTransactionId(GetTopFullTransactionId());
		if (txn->touched != NULL)
			rq_touched_enqueue(txn->touched, txn->xid, is_dropped);
		stage_offsets();
		stage_drops();
	}
	if (txn->touched != NULL)
		rq_touched_close(txn->touched);
	RQ_FAULT("precommit-done");
}

/* ---- end of transaction ---- */

static void
finish_offsets(bool committed)
{
	for (int i = 0; i < txn->nreaders; i++)
	{
		RqReader   *r = txn->readers[i];

		if (!r->committing)
			continue;

		/* Groups that an aborted transaction has made go at any moment. */
		if (!committed)
			LWLockAcquire(rq_meta_lock, LW_SHARED);
		if (r->group.id == rq_groups[r->group.slot].id)
			rq_offset_finish(rq_group_offset(r->group.slot, r->queue_id),
							 txn->xid, committed);
		if (!committed)
			LWLockRelease(rq_meta_lock);
	}
}

static void
finish_object(const Action *a, bool committed)
{
	switch (a->kind)
	{
		case ACT_TOPIC_CREATED:
		case ACT_TOPIC_DROPPED:
			if (committed == (a->kind == ACT_TOPIC_DROPPED))
				rq_topic_doom(a->key);
			break;
		case ACT_TOPIC_ALTERED:
			if (!committed)
				rq_topic_alter_undo(a->key, &a->old_settings);
			rq_worker_wake(RQ_JANITOR);
			break;
		case ACT_GROUP_DROPPED:
			rq_group_claim(a->group, 0);
			rq_worker_wake(RQ_JANITOR);
			break;
		default:
			break;
	}
}

/*
 * Storage and groups; what is left of them is the janitor's.  The newest comes
 * first, so that settings end up as this transaction found them.
 */
static void
finish_objects(bool committed)
{
	for (int i = txn->nactions - 1; i >= 0; i--)
		finish_object(&txn->actions[i], committed);
}

/*
 * An ERROR here, after the commit record, would bring the server down.  What
 * it leaves undone readers and the keeper do, or meet again where it can be
 * reported: say, an unreadable pg_xact or queue file.
 */
static void
finish(bool committed)
{
	uint32		holdoff = InterruptHoldoffCount;
	MemoryContext old = CurrentMemoryContext;

	RQ_FAULT("commit-callback");
	finish_objects(committed);
	if (txn->xid == 0)
		return;
	PG_TRY();
	{
		finish_offsets(committed);
		if (txn->touched != NULL &&
			!rq_touched_resolve(txn->touched, txn->xid, committed) && committed)
			rq_count(RQ_STAT_VISIBLE_LATE, 1);
		if (committed)
			rq_latency_end(RQ_PHASE_VISIBLE, txn->pre_commit_start);
	}
	PG_CATCH();
	{
		ErrorData  *e;

		LWLockReleaseAll();
		InterruptHoldoffCount = holdoff;
		MemoryContextSwitchTo(old);
		e = CopyErrorData();
		FlushErrorState();
		/* Not for the client, whose transaction has gone well. */
		ereport(LOG,
				(errmsg("rocketq left a transaction's entries to the keeper: %s",
						e->message)));
	}
	PG_END_TRY();
}

/* A temporary file that is still open is closed with the transaction. */
static void
forget_transaction(void)
{
	txn = NULL;
	pre_commit_done = false;
	rq_queue_unhold();
	if (pg_atomic_read_u64(&RQ_MY_BACKEND->xact_pos) != RQ_INVALID_POS)
		pg_atomic_write_u64(&RQ_MY_BACKEND->xact_pos, RQ_INVALID_POS);
}

/*
 * What a prepared transaction could not do later, since its commit calls no code
 * of ours.  Topics that come or go need none: the janitor looks at their files.
 */
static const char *const unpreparable[] = {
	[ACT_TOPIC_ALTERED] = gettext_noop("cannot PREPARE a transaction that has changed the settings of a topic"),
	[ACT_TOPIC_ALTER_UNDONE] = gettext_noop("cannot PREPARE a transaction that has changed the settings of a topic and rolled that back"),
	[ACT_GROUP_CREATED] = gettext_noop("cannot PREPARE a transaction that has created a consumer group"),
	[ACT_GROUP_DROPPED] = gettext_noop("cannot PREPARE a transaction that has dropped a consumer group"),
	[ACT_GROUP_GONE] = gettext_noop("cannot PREPARE a transaction that has created a consumer group and rolled that back"),
};

/* The reason why it cannot be prepared, NULL if it can. */
static const char *
find_unpreparable(void)
{
	if (produced() > 0)
		return gettext_noop("cannot PREPARE a transaction that has produced rocketq messages");
	for (int i = 0; i < txn->nactions; i++)
		if (txn->actions[i].kind < lengthof(unpreparable) &&
			unpreparable[txn->actions[i].kind] != NULL)
			return unpreparable[txn->actions[i].kind];
	for (int i = 0; i < txn->nreaders; i++)
		if (txn->readers[i]->reading)
			return gettext_noop("cannot PREPARE a transaction that has consumed rocketq messages");
	for (int i = 0; i < txn->nreaders; i++)
		if (txn->readers[i]->committing)
			return gettext_noop("cannot PREPARE a transaction that has moved the offset of a consumer group");
	return NULL;
}

static void
refuse_prepare(void)
{
	const char *reason = txn != NULL ? find_unpreparable() : NULL;

	if (reason == NULL && rq_owner_any())
		reason = gettext_noop("cannot PREPARE a transaction that has locked a queue for a consumer group");
	if (reason != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg_internal("%s", _(reason)),
				 errhint("End the transaction with COMMIT.")));
}

static void
xact_callback(XactEvent event, void *arg)
{
	if (rq_ctl == NULL || MyProc == NULL)
		return;
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
			pre_commit_done = true;
			if (txn != NULL)
				pre_commit();
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_ABORT:
			rq_log_gather_write();
			if (txn != NULL)
				finish(event == XACT_EVENT_COMMIT);
			forget_transaction();
			break;
		case XACT_EVENT_PRE_PREPARE:
			refuse_prepare();
			break;
		case XACT_EVENT_PREPARE:
			forget_transaction();
			break;
		default:
			break;
	}
}

/*
 * What stays as an action of something that was rolled back, because the end
 * of the transaction has to log it.  False if nothing does.
 */
static bool
remains_of(ActionKind kind, ActionKind *remains)
{
	switch (kind)
	{
		case ACT_GROUP_CREATED:
		case ACT_GROUP_GONE:
			*remains = ACT_GROUP_GONE;
			return true;
		case ACT_TOPIC_ALTERED:
		case ACT_TOPIC_ALTER_UNDONE:
			*remains = ACT_TOPIC_ALTER_UNDONE;
			return true;
		default:
			return false;
	}
}

/* Undo what a subtransaction did, and all that committed into it. */
static void
rollback_to(const Mark *m)
{
	int			kept = m->nactions;

	for (int i = txn->nactions - 1; i >= m->nactions; i--)
		undo(&txn->actions[i]);
	for (int i = m->nactions; i < txn->nactions; i++)
	{
		ActionKind	remains;

		if (!remains_of(txn->actions[i].kind, &remains))
			continue;
		txn->actions[kept] = txn->actions[i];
		txn->actions[kept].kind = remains;
		kept++;
	}
	txn->nactions = kept;
	if (txn->touched != NULL)
		rq_touched_truncate(txn->touched, m->npending);
}

static void
subxact_callback(SubXactEvent event, SubTransactionId subid,
				 SubTransactionId parent, void *arg)
{
	int			level;
	int			first;

	if (event == SUBXACT_EVENT_ABORT_SUB)
		rq_log_gather_write();
	if (txn == NULL || txn->nmarks == 0 ||
		(event != SUBXACT_EVENT_COMMIT_SUB && event != SUBXACT_EVENT_ABORT_SUB))
		return;
	level = GetCurrentTransactionNestLevel();
	first = txn->nactions;
	while (txn->nmarks > 0 && txn->marks[txn->nmarks - 1].level >= level)
	{
		const Mark *m = &txn->marks[--txn->nmarks];

		if (event == SUBXACT_EVENT_ABORT_SUB)
			rollback_to(m);
		first = m->nactions;
	}
	if (event == SUBXACT_EVENT_COMMIT_SUB)
		doom_dead_topics(first);
}

void
rq_txn_init(void)
{
	RegisterXactCallback(xact_callback, NULL);
	RegisterSubXactCallback(subxact_callback, NULL);
}
