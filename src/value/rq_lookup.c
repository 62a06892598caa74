/*
 * rq_lookup.c
 *	  Find the topic of a function call, quickly when it was found before.
 *
 * Opening a relation and checking privileges costs more than producing a small
 * message.  So each process caches the topics it has found, with the user and
 * the privileges checked, until an invalidation message says that the relation,
 * a schema or roles have changed.  Every call accepts pending messages, even if
 * the lock is already held, because GRANT and REVOKE do not conflict with it.
 * The lock itself is taken once per subtransaction.
 *
 * A topic that the process meets for the first time is not opened, either, if
 * pg_class and what others have seen of its columns say that nothing would be
 * refused (rq_relation_plain_topic()).
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "optimizer/planner.h"
#include "storage/lmgr.h"
#include "utils/inval.h"
#include "utils/syscache.h"

#include "base/rq_compat.h"
#include "topic/rq_topic.h"
#include "value/rq_lookup.h"
#include "value/rq_relation.h"
#include "value/rq_routed.h"

/*
 * A set-associative cache, so that few topics evict each other.  What is in a
 * set's first way, mostly the only one, is in one line.
 */
#define SETS	1024			/* a power of 2 */
#define WAYS	4

typedef struct Known
{
	Oid			relid;			/* InvalidOid = unused */
	Oid			userid;
	AclMode		acl;
	LOCKMODE	lockmode;
	RqKey		key;
	uint32		topic;			/* its slot when it was found */
	LocalTransactionId lxid;	/* the transaction that holds the lock */
	SubTransactionId subid;
} Known;

typedef struct KnownSet
{
	pg_attribute_aligned(RQ_SLOT_ALIGN) Known ways[WAYS];
} KnownSet;

static KnownSet known[SETS];

/* Counts invalidations, to detect one that arrives during a lookup. */
static uint64 invalidations = 0;

/* The cache entry of the topic; if there is none, one to use for it. */
static Known *
entry_for(Oid relid, AclMode acl)
{
	static uint32 turn = 0;
	Known	   *set = known[hash_bytes_uint32(relid ^ (uint32) acl) % SETS].ways;
	Known	   *unused = NULL;

	for (int i = 0; i < WAYS; i++)
	{
		if (set[i].relid == relid && set[i].acl == acl)
			return &set[i];
		if (set[i].relid == InvalidOid && unused == NULL)
			unused = &set[i];
	}
	return unused ? unused : &set[turn++ % WAYS];
}

static void
forget_topic(Oid relid, AclMode acl)
{
	Known	   *k = entry_for(relid, acl);

	if (k->relid == relid)
		k->relid = InvalidOid;
}

static void
forget_all_topics(void)
{
	invalidations++;
	for (int i = 0; i < SETS; i++)
		for (int w = 0; w < WAYS; w++)
			known[i].ways[w].relid = InvalidOid;
}

static void
forget_relation(Datum arg, Oid relid)
{
	if (!OidIsValid(relid))
		forget_all_topics();
	else
	{
		invalidations++;
		forget_topic(relid, ACL_INSERT);
		forget_topic(relid, ACL_SELECT);
	}
}

static void
forget_rights(Datum arg, int cacheid, uint32 hashvalue)
{
	forget_all_topics();
}

static void
register_invalidation_callbacks(void)
{
	static bool registered = false;

	if (registered)
		return;
	CacheRegisterRelcacheCallback(forget_relation, (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHOID, forget_rights, (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHMEMROLEMEM, forget_rights, (Datum) 0);
	CacheRegisterSyscacheCallback(DATABASEOID, forget_rights, (Datum) 0);
	CacheRegisterSyscacheCallback(NAMESPACEOID, forget_rights, (Datum) 0);
	registered = true;
}

static bool
is_locked(const Known *k)
{
	return k->lxid == RQ_MY_LXID && k->subid == GetCurrentSubTransactionId();
}

static void
note_locked(Known *k)
{
	k->lxid = RQ_MY_LXID;
	k->subid = GetCurrentSubTransactionId();
}

/*
 * Is the cached topic still valid once its lock is held and pending invalidation
 * messages are in?  rq_relation_lock() accepts them only if nothing of this
 * transaction, such as a subtransaction around us, has the lock.
 */
static bool
lock_known(Known *k, Oid relid, LOCKMODE lockmode, AclMode acl)
{
	if (k->relid != relid || k->acl != acl || k->lockmode != lockmode ||
		k->userid != GetUserId())
		return false;
	rq_prefetch(&rq_topics[k->topic]);
	if (!is_locked(k))
	{
		rq_relation_lock(relid, lockmode);
		note_locked(k);
	}
	AcceptInvalidationMessages();
	return k->relid == relid;
}

/*
 * Ownership is not cached: it is checked too seldom to be worth it.  Nor is a
 * topic with row-level security, where the result depends on settings as well.
 */
static void
cache_topic(Known *k, Oid relid, uint32 topic, LOCKMODE lockmode, AclMode acl)
{
	if (acl != ACL_INSERT && acl != ACL_SELECT)
		return;
	k->relid = relid;
	k->userid = GetUserId();
	k->acl = acl;
	k->lockmode = lockmode;
	k->key = rq_topic_key(topic);
	k->topic = topic;
	note_locked(k);
}

/* Sets "may_cache" if the result holds until an invalidation message comes. */
static uint32
look_up(Oid relid, LOCKMODE lockmode, AclMode acl, RqStorageUse use, bool was_checked,
		bool *may_cache)
{
	Relation	rel = rq_relation_open_locked(relid, acl);
	uint32		topic;

	if (!was_checked)
		rq_refuse_routed(rel, lockmode);
	topic = rq_relation_topic(rel, use);
	*may_cache = topic != RQ_NO_SLOT && !rel->rd_rel->relrowsecurity;
	table_close(rel, NoLock);
	return topic;
}

uint32
rq_relation_lookup(Oid relid, LOCKMODE lockmode, AclMode acl, RqStorageUse use)
{
	Known	   *k = entry_for(relid, acl);
	uint64		before;
	uint32		topic;
	bool		may_cache = true;

	if (lock_known(k, relid, lockmode, acl) &&
		RQ_KEY_EQ(rq_topic_key(k->topic), k->key))
		return k->topic;
	register_invalidation_callbacks();

	/* If something changes while we look it up, do not cache the result. */
	before = invalidations;
	rq_relation_lock_as(relid, lockmode, acl);
	topic = planner_hook == NULL ? rq_relation_plain_topic(relid) : RQ_NO_SLOT;

	/*
	 * An entry that is still there has passed the check for routed rows since
	 * the last change.
	 */
	if (topic == RQ_NO_SLOT)
		topic = look_up(relid, lockmode, acl, use,
						k->relid == relid && k->acl == acl, &may_cache);
	if (may_cache && invalidations == before)
		cache_topic(k, relid, topic, lockmode, acl);
	return topic;
}

/* ---- waiting without the lock ---- */

static LOCKTAG
tag_of(Oid relid)
{
	LOCKTAG		tag;

	SET_LOCKTAG_RELATION(tag, MyDatabaseId, relid);
	return tag;
}

RqRelationHold
rq_relation_hold(Oid relid)
{
	RqRelationHold hold = {.relid = relid, .is_ours = true};
	LOCKTAG		tag = tag_of(relid);

	for (LOCKMODE mode = AccessShareLock; mode <= AccessExclusiveLock; mode++)
		if (rq_lock_held_by_me(&tag, mode))
			hold.is_ours = false;
	return hold;
}

void
rq_relation_held(RqRelationHold *hold, uint32 topic)
{
	hold->topic = topic;
	if (topic == RQ_NO_SLOT)
		hold->is_ours = false;
	else
		hold->incarnation = rq_topics[topic].incarnation;
}

static void
unlock_relation(Oid relid)
{
	Known	   *k = entry_for(relid, ACL_SELECT);

	if (k->relid == relid)
		k->lxid = InvalidLocalTransactionId;
	rq_relation_unlock(relid, AccessShareLock);
}

bool
rq_relation_release(void *arg)
{
	const RqRelationHold *hold = arg;

	if (hold->is_ours)
		unlock_relation(hold->relid);
	return hold->is_ours;
}

/*
 * Does not wait for the lock: whoever holds a conflicting one wants to change the
 * topic, and may in turn need locks that this transaction holds.
 *
 * While the lock was released the topic may have been dropped, or truncated,
 * which leaves the relation but gives it a different slot or incarnation.
 */
bool
rq_relation_acquire(void *arg)
{
	const RqRelationHold *hold = arg;
	uint32		topic = RQ_NO_SLOT;

	if (!rq_relation_try_lock(hold->relid, AccessShareLock))
		return false;
	if (SearchSysCacheExists1(RELOID, ObjectIdGetDatum(hold->relid)))
	{
		/* This takes the lock a second time; give the first one back. */
		topic = rq_relation_lookup(hold->relid, AccessShareLock, ACL_SELECT,
								   RQ_STORAGE_OPTIONAL);
		rq_relation_unlock(hold->relid, AccessShareLock);
	}
	if (topic != RQ_NO_SLOT && topic == hold->topic &&
		rq_topics[topic].incarnation == hold->incarnation)
		return true;
	unlock_relation(hold->relid);
	return false;
}

/*
 * Does somebody wait for the lock in a mode that conflicts with ours?  That is
 * AccessExclusiveLock only.
 *
 * LockHasWaiters() cannot be used, because ours may have been taken on the fast
 * path.  Nor does it help to try for a lock that would queue up behind the one
 * who waits: since version 17 that succeeds, as we would have to go first.
 *
 * Who waits has an entry in the lock table, which nobody has who has come by the
 * fast path, so that there is nothing more to do most of the time.  The lock's
 * partition is locked, so nobody begins or ends to wait for it; others come and
 * go, but an entry in the lock table stays in memory, whatever it is for.
 */
bool
rq_relation_is_in_the_way(void *arg)
{
	const RqRelationHold *hold = arg;
	LOCKTAG		tag = tag_of(hold->relid);
	LWLock	   *partition = LockHashPartitionLock(LockTagHashCode(&tag));
	bool		is_wanted = false;

	if (LockWaiterCount(&tag) == 0)
		return false;
	LWLockAcquire(partition, LW_SHARED);
	for (uint32 i = 0; i < ProcGlobal->allProcCount && !is_wanted; i++)
	{
		const volatile PGPROC *proc = &ProcGlobal->allProcs[i];
		LOCK	   *lock = proc->waitLock;

		is_wanted = lock != NULL && memcmp(&lock->tag, &tag, sizeof(tag)) == 0 &&
			proc->waitLockMode == AccessExclusiveLock;
	}
	LWLockRelease(partition);
	return is_wanted;
}
