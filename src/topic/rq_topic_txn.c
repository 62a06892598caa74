/*
 * rq_topic_txn.c
 *	  Topics that the current transaction creates, drops and alters.
 *
 * What must happen to a topic's slot if the transaction, or the part of it
 * since a savepoint, is rolled back, and what if it commits?
 *
 *		created		rollback dooms the slot; nothing to do at commit
 *		dropped		commit dooms it; before that, it is noted in the slot who
 *					drops it
 *		altered		rollback makes the old settings seen again; the rest is
 *					settled by the janitor
 *
 * A prepared transaction may have created or dropped topics, though its end
 * calls no code of ours: the slot names the transaction, and after a crash there
 * are the relations' files.  No file says what became of settings, so after
 * changing these it can't be prepared.
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
 * A topic that was dropped by action "at" and created by an action from
 * "since" on, that is, under the same savepoint, is garbage however the
 * transaction ends: doom it.  Otherwise a loop of TRUNCATEs would hold on to
 * the slots of all storage that it has made.  The action stays, since messages
 * may have been produced into the topic, and rq_topic_is_dropped() must still
 * say so.
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
 * Before the commit record, note in the slot who drops the topic.  The slot is
 * copied to the state file with it, since a crash can leave the relation's
 * file forever: if the commit lies below the redo pointer and the file was not
 * yet unlinked.  No record and no gate: if the commit is redone, so is the
 * removal of the file, by which the janitor finds the topic.
 */
static void
stage_topic_drop(const void *action, uint64 xid)
{
	uint32		slot;

	LWLockAcquire(rq_meta_lock, LW_EXCLUSIVE);
	slot = rq_topic_index_find(*(const RqKey *) action);
	if (slot != RQ_NO_SLOT)
	{
		rq_topics[slot].drop_xid = xid;
		rq_topic_changed(slot);
	}
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

/*
 * Called from the newest to the oldest, so the topic ends up as it was found.
 * After a commit, "seen" is right already.  Either way the janitor has to
 * settle what is staged.
 */
static void
finish_altered(const void *action, bool committed)
{
	if (!committed)
		undo_altered(action);
	rq_worker_wake(RQ_JANITOR);
}

/*
 * Of several actions about a topic the first logs what they have come to, and
 * the others find nothing left to log.
 */
static void
log_altered_back(const void *action, uint64 xid)
{
	const Altered *a = action;

	rq_topic_alter_log(a->key);
}

/*
 * Settings that were rolled back to a savepoint are still the staged ones in
 * WAL.  If the transaction commits, they would hold; so before that, those
 * that are seen are logged.
 */
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
