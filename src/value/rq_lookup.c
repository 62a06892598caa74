/*
 * rq_lookup.c
 *	  Find the topic of a function call, quickly when it was found before.
 *
 * Opening a relation and asking for privileges costs more than producing a
 * small message.  So a process remembers the topics it has found, with the user
 * and the privileges asked for, until PostgreSQL tells that something about the
 * relation, a schema or roles has changed.  Such news is asked for in each call:
 * GRANT and REVOKE take no lock, so holding one does not mean that there is none.
 * The lock is taken once for a subtransaction.
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/inval.h"
#include "utils/syscache.h"

#include "base/rq_compat.h"
#include "queue/rq_topic.h"
#include "value/rq_lookup.h"
#include "value/rq_relation.h"
#include "value/rq_routed.h"

/* Each topic has some places where it can be, so that few are in others' way. */
#define SETS	1024			/* a power of 2 */
#define WAYS	4

typedef struct Known
{
	Oid			relid;			/* InvalidOid = nothing */
	Oid			userid;
	AclMode		acl;
	LOCKMODE	lockmode;
	RqKey		key;
	uint32		topic;			/* where it was */
	LocalTransactionId lxid;	/* who holds the lock */
	SubTransactionId subid;
} Known;

static Known known[SETS][WAYS];

/* How often something has been forgotten. */
static uint64 changes = 0;

/* Where it is, or else where it may be put. */
static Known *
place_of(Oid relid, AclMode acl)
{
	static uint32 turn = 0;
	Known	   *set = known[hash_bytes_uint32(relid ^ (uint32) acl) % SETS];
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
forget(Oid relid, AclMode acl)
{
	Known	   *k = place_of(relid, acl);

	if (k->relid == relid)
		k->relid = InvalidOid;
}

static void
forget_all(void)
{
	changes++;
	for (int i = 0; i < SETS; i++)
		for (int w = 0; w < WAYS; w++)
			known[i][w].relid = InvalidOid;
}

static void
forget_relation(Datum arg, Oid relid)
{
	if (!OidIsValid(relid))
		forget_all();
	else
	{
		changes++;
		forget(relid, ACL_INSERT);
		forget(relid, ACL_SELECT);
	}
}

static void
forget_rights(Datum arg, int cacheid, uint32 hashvalue)
{
	forget_all();
}

static void
listen_for_changes(void)
{
	static bool listening = false;

	if (listening)
		return;
	CacheRegisterRelcacheCallback(forget_relation, (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHOID, forget_rights, (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHMEMROLEMEM, forget_rights, (Datum) 0);
	CacheRegisterSyscacheCallback(DATABASEOID, forget_rights, (Datum) 0);
	CacheRegisterSyscacheCallback(NAMESPACEOID, forget_rights, (Datum) 0);
	listening = true;
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

/* Is it still known once its lock is held and all news is in? */
static bool
lock_known(Known *k, Oid relid, LOCKMODE lockmode, AclMode acl)
{
	if (k->relid != relid || k->acl != acl || k->lockmode != lockmode ||
		k->userid != GetUserId())
		return false;
	if (is_locked(k))
		AcceptInvalidationMessages();
	else
	{
		LockRelationOid(relid, lockmode);
		note_locked(k);
	}
	return k->relid == relid;
}

/*
 * The role that owns a topic changes with the relation, but whether the caller
 * is a member of it is asked too seldom to be worth remembering.  With
 * row-level security the answer rests on settings as well.
 */
static void
remember(Known *k, Relation rel, uint32 topic, LOCKMODE lockmode, AclMode acl)
{
	if (topic == RQ_NO_SLOT || rel->rd_rel->relrowsecurity ||
		(acl != ACL_INSERT && acl != ACL_SELECT))
		return;
	k->relid = RelationGetRelid(rel);
	k->userid = GetUserId();
	k->acl = acl;
	k->lockmode = lockmode;
	k->key = rq_relation_key(rel);
	k->topic = topic;
	note_locked(k);
}

uint32
rq_relation_lookup(Oid relid, LOCKMODE lockmode, AclMode acl, RqStorageUse use)
{
	Known	   *k = place_of(relid, acl);
	uint64		changes_before;
	Relation	rel;
	uint32		topic;

	if (lock_known(k, relid, lockmode, acl) &&
		RQ_KEY_EQ(rq_topic_key(k->topic), k->key))
		return k->topic;
	listen_for_changes();

	/* What changes while we look is not for remembering. */
	changes_before = changes;
	rel = rq_relation_open(relid, lockmode, acl);
	if (k->relid != relid || k->acl != acl)
		rq_refuse_routed(rel, lockmode);
	topic = rq_relation_topic(rel, use);
	if (changes == changes_before)
		remember(k, rel, topic, lockmode, acl);
	table_close(rel, NoLock);
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
unlock(Oid relid)
{
	Known	   *k = place_of(relid, ACL_SELECT);

	if (k->relid == relid)
		k->lxid = InvalidLocalTransactionId;
	UnlockRelationOid(relid, AccessShareLock);
}

bool
rq_relation_release(void *arg)
{
	const RqRelationHold *hold = arg;

	if (hold->is_ours)
		unlock(hold->relid);
	return hold->is_ours;
}

/*
 * Never waits for the lock: whoever has it wants to change the topic, and may
 * need locks that this transaction holds.
 */
bool
rq_relation_acquire(void *arg)
{
	const RqRelationHold *hold = arg;
	uint32		topic = RQ_NO_SLOT;

	if (!ConditionalLockRelationOid(hold->relid, AccessShareLock))
		return false;
	if (SearchSysCacheExists1(RELOID, ObjectIdGetDatum(hold->relid)))
	{
		/* This takes the lock once more. */
		topic = rq_relation_lookup(hold->relid, AccessShareLock, ACL_SELECT,
								   RQ_STORAGE_OPTIONAL);
		UnlockRelationOid(hold->relid, AccessShareLock);
	}
	if (topic != RQ_NO_SLOT && topic == hold->topic &&
		rq_topics[topic].incarnation == hold->incarnation)
		return true;
	unlock(hold->relid);
	return false;
}

/*
 * Whoever waits for our lock waits for AccessExclusiveLock.  The lock manager
 * can't be asked about a lock that it has given on the fast path, so try one
 * that has to stand behind that.
 */
bool
rq_relation_is_in_the_way(void *arg)
{
	const RqRelationHold *hold = arg;
	LOCKTAG		tag = tag_of(hold->relid);

	if (rq_lock_held_by_me(&tag, RowShareLock))
		return false;
	if (rq_lock_try(&tag, RowShareLock) == LOCKACQUIRE_NOT_AVAIL)
		return true;
	LockRelease(&tag, RowShareLock, false);
	return false;
}
