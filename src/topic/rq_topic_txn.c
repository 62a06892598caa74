/*
 * rq_topic_txn.c
 *	  Topics that the current transaction creates, drops and alters.
 *
 * A prepared transaction may have created or dropped topics, though its end
 * calls no code of ours: the janitor finds out by their relations' files.  No
 * file tells of settings.
 */
#include "postgres.h"

#include "shmem/rq_shmem.h"
#include "shmem/rq_workers.h"
#include "topic/rq_alter.h"
#include "topic/rq_topic.h"
#include "topic/rq_topic_drop.h"
#include "topic/rq_topic_txn.h"
#include "txn/rq_txn.h"

/* ---- created and dropped; the key is noted ---- */

static void
undo_topic_created(const void *action)
{
	rq_topic_doom(*(const RqKey *) action);
}

static void
finish_topic_created(const void *action, bool committed)
{
	if (!committed)
		rq_topic_doom(*(const RqKey *) action);
}

static const RqActionOps topic_created = {
	.size = sizeof(RqKey),
	.undo = undo_topic_created,
	.finish = finish_topic_created,
};

/*
 * A topic that was dropped by action "at" and created after the savepoint that
 * has "since" is garbage however the transaction ends: doom it.  A loop of
 * TRUNCATEs would hold on to the slots of all its storages else.  The action
 * stays, since messages may have been produced into the topic.
 */
static void
doom_if_dead(const void *action, int at, int since)
{
	const RqKey key = *(const RqKey *) action;
	const RqKey *made;

	while ((made = rq_txn_older(&topic_created, &at, since)) != NULL)
		if (RQ_KEY_EQ(*made, key))
		{
			rq_topic_doom(key);
			return;
		}
}

/*
 * Note before the commit record who drops the topic.  The state file tells it,
 * too: a crash can leave the relation's file behind for ever, if the commit
 * lies below the redo pointer and the file was still to be unlinked.
 */
static void
stage_topic_drop(const void *action, uint64 xid)
{
	uint32		slot;

	LWLockAcquire(rq_meta_lock, LW_EXCLUSIVE);
	slot = rq_topic_index_find(*(const RqKey *) action);
	if (slot != RQ_NO_SLOT)
		rq_topics[slot].drop_xid = xid;
	LWLockRelease(rq_meta_lock);
}

static void
finish_topic_dropped(const void *action, bool committed)
{
	if (committed)
		rq_topic_doom(*(const RqKey *) action);
}

static const RqActionOps topic_dropped = {
	.size = sizeof(RqKey),
	.stage = RQ_STAGE_DROPS,
	.released = doom_if_dead,
	.pre_commit = stage_topic_drop,
	.finish = finish_topic_dropped,
};

void
rq_topic_note_created(RqKey key)
{
	rq_txn_note(&topic_created, &key);
}

void
rq_topic_note_dropped(RqKey key)
{
	int			at = rq_txn_note(&topic_dropped, &key);

	doom_if_dead(&key, at, rq_txn_savepoint());
}

bool
rq_topic_is_dropped(RqKey key)
{
	int			at = INT_MAX;
	const RqKey *gone;

	while ((gone = rq_txn_older(&topic_dropped, &at, 0)) != NULL)
		if (RQ_KEY_EQ(*gone, key))
			return true;
	return false;
}

/* ---- altered ---- */

typedef struct Altered
{
	RqKey		key;
	RqTopicSettings before;
} Altered;

RQ_ACTION_FITS(Altered);

static void
undo_altered(const void *action)
{
	const Altered *a = action;

	rq_topic_alter_undo(a->key, &a->before);
}

/* Undone from the newest to the oldest, so the topic ends up as it was found. */
static void
finish_altered(const void *action, bool committed)
{
	if (!committed)
		undo_altered(action);
	rq_worker_wake(RQ_JANITOR);
}

static void
log_altered_back(const void *action, uint64 xid)
{
	const Altered *a = action;

	rq_topic_alter_log(a->key);
}

/* WAL still tells of settings that were rolled back to a savepoint. */
static const RqActionOps topic_altered_back = {
	.size = sizeof(Altered),
	.stage = RQ_STAGE_SETTINGS_UNDONE,
	.after_undo = &topic_altered_back,
	.pre_commit = log_altered_back,
	.unpreparable = gettext_noop("cannot PREPARE a transaction that has changed the settings of a topic and rolled that back"),
};

static const RqActionOps topic_altered = {
	.size = sizeof(Altered),
	.undo = undo_altered,
	.after_undo = &topic_altered_back,
	.finish = finish_altered,
	.unpreparable = gettext_noop("cannot PREPARE a transaction that has changed the settings of a topic"),
};

void
rq_topic_note_altered(uint32 topic)
{
	const Altered a = {.key = rq_topic_key(topic),
	.before = rq_topic_settings(topic)};

	rq_txn_note(&topic_altered, &a);
}
