/*
 * rq_storage.c
 *	  Storage of topics: create and truncate.
 *
 * PostgreSQL asks for new storage when a table is created, truncated or
 * rewritten.  A rewrite would give messages new offsets, so it is refused.
 *
 * Crash rule: the relation's file is created before the topic's storage, and the
 * storage carries the transaction's ID until that has committed.  So storage
 * without a file, or whose transaction did not commit, is garbage and is
 * removed.
 */
#include "postgres.h"

#include "access/multixact.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/storage.h"
#include "miscadmin.h"
#include "storage/lwlock.h"
#include "storage/smgr.h"
#include "utils/lsyscache.h"

#include "am/rq_storage.h"
#include "base/rq_guc.h"
#include "topic/rq_alter.h"
#include "topic/rq_group.h"
#include "topic/rq_group_create.h"
#include "topic/rq_room.h"
#include "topic/rq_topic.h"
#include "topic/rq_topic_create.h"
#include "topic/rq_topic_txn.h"
#include "value/rq_columns.h"
#include "value/rq_relation.h"
#include "value/rq_topic_label.h"

/* ---- what cannot be a topic ---- */

/*
 * Throw if the new relation is meant to replace another one in a rewrite.  Its
 * pg_class row, which would say so, does not exist yet, but its name is made from
 * the other one's OID (make_new_heap).
 */
static void
refuse_rewrite(Relation rel)
{
	Oid			old;
	char		name[NAMEDATALEN];

	if (sscanf(RelationGetRelationName(rel), "pg_temp_%u", &old) != 1)
		return;
	snprintf(name, sizeof(name), "pg_temp_%u", old);
	if (strcmp(name, RelationGetRelationName(rel)) != 0 ||
		get_rel_namespace(old) != RelationGetNamespace(rel))
		return;
	if (rq_oid_is_topic(old))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("topic \"%s\" cannot be rewritten", get_rel_name(old)),
				 errdetail("VACUUM FULL, CLUSTER, and forms of ALTER TABLE that rewrite a table do not work on topics."),
				 errhint("A topic never needs VACUUM.  To copy its messages, use INSERT INTO another_topic SELECT * FROM topic.")));
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("table \"%s\" cannot be turned into a topic",
					get_rel_name(old)),
			 errhint("Create a topic with rocketq.create_topic() and insert the rows into it.")));
}

static void
refuse_other_kinds(Relation rel, char persistence)
{
	const char *name = RelationGetRelationName(rel);

	if (rel->rd_rel->relkind != RELKIND_RELATION)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("\"%s\" cannot use access method \"rocketq\"", name),
				 errhint("Only tables can be topics.  Specify USING heap.")));
	if (persistence == RELPERSISTENCE_TEMP)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("topic \"%s\" cannot be temporary", name),
				 errhint("Omit TEMPORARY, or specify USING heap.")));
	if (persistence == RELPERSISTENCE_UNLOGGED)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("topic \"%s\" cannot be unlogged", name),
				 errhint("Omit UNLOGGED, or specify USING heap.  With synchronous_commit = off, producers do not wait for WAL.")));
}

/* ---- storage ---- */

void
rq_report_no_tablespace(const char *topic)
{
	ereport(NOTICE,
			(errmsg("tablespace of topic \"%s\" is ignored", topic),
			 errdetail("All topics are stored in directory \"pg_rocketq\" of the data directory.")));
}

/*
 * The empty file of a new topic, which proves that the topic exists, goes into
 * the default tablespace of the database.  In another one it would only keep that
 * tablespace from being dropped, while the messages are elsewhere.
 */
static void
take_out_of_tablespace(Relation rel)
{
	if (RQ_LOCATOR_SPC(rq_rel_locator(rel)) == MyDatabaseTableSpace)
		return;
	rq_report_no_tablespace(RelationGetRelationName(rel));
	rel->rd_rel->reltablespace = InvalidOid;
	RQ_LOCATOR_SPC(rq_rel_locator(rel)) = MyDatabaseTableSpace;
}

/*
 * The copy of a group starts at the first message, or, if a restore has said how
 * many of the messages to come it has consumed, after those.
 */
static void
copy_places(uint32 group, xl_rq_place *places, uint32 nqueues)
{
	for (uint32 i = 0; i < nqueues; i++)
	{
		const RqOffset *o = rq_group_offset(group, i);

		if (o->state != RQ_OFFSET_OPEN)
			continue;
		places[i].saved_total = o->saved_total;
		places[i].saved_left = o->saved_left;
	}
}

/*
 * Read what a copy of the group needs, under one hold of the lock, since the
 * janitor may drop an unused group at any time.  False if it no longer exists.
 */
static bool
read_group_to_copy(RqGroupRef group, char *name, xl_rq_place *places, uint32 nqueues)
{
	uint64		other;
	bool		present;

	LWLockAcquire(rq_meta_lock, LW_SHARED);
	present = rq_groups[group.slot].id == group.id &&
		rq_group_state_locked(group.slot, &other) == RQ_GROUP_PRESENT;
	if (present)
	{
		strlcpy(name, rq_groups[group.slot].name, RQ_GROUP_NAME_MAX + 1);
		copy_places(group.slot, places, nqueues);
	}
	LWLockRelease(rq_meta_lock);
	return present;
}

/*
 * Copy the groups of a topic, on whose relation the caller holds
 * AccessExclusiveLock, to another one.  They disappear with the new topic if the
 * transaction aborts, so they need no undo of their own.
 */
static void
copy_groups(uint32 from, uint32 to, uint64 xid)
{
	int			n;
	RqGroupRef *groups = rq_group_list(from, &n);
	xl_rq_place *places = palloc0(rq_topic_nslots(to) * sizeof(xl_rq_place));

	for (int i = 0; i < n; i++)
	{
		char		name[RQ_GROUP_NAME_MAX + 1];
		RqGroupRef	copy;

		if (read_group_to_copy(groups[i], name, places, rq_topic_nqueues(to)))
			(void) rq_group_create(to, name, places, xid, false, &copy);
	}
	pfree(places);
	pfree(groups);
}

/* An error context callback: why is something new needed to empty a topic? */
static void
explain_copy(void *arg)
{
	if (geterrcode() == ERRCODE_CONFIGURATION_LIMIT_EXCEEDED)
		errhint("Until it commits, TRUNCATE needs as many queues again as the topic has, and as many consumer slots as its groups have.  Drop other topics or groups, or raise the setting and restart the server; or instead of TRUNCATE, drop the topic, and create it in another transaction.");
}

/*
 * A topic like "old", which a rollback brings back with all that it had.  So
 * nothing of that can be used for the new one.
 */
static void
create_copy(uint32 old, RqKey key, Oid spc, const RqTopicSettings *settings, uint64 xid)
{
	ErrorContextCallback explain = {
		.previous = error_context_stack,
		.callback = explain_copy,
	};

	error_context_stack = &explain;
	copy_groups(old, rq_topic_ensure(key, spc, settings, xid), xid);
	error_context_stack = explain.previous;
}

/*
 * The relation's file is and stays empty, so PostgreSQL would not sync it.  But
 * the janitor takes the file as proof that the topic exists, so it has to survive
 * a power failure.
 */
static void
create_file(RelFileLocator locator, char persistence)
{
	SMgrRelation file = RelationCreateStorage(locator, persistence, true);

	smgrimmedsync(file, MAIN_FORKNUM);
	smgrclose(file);
}

/*
 * Everything that can be refused is refused first.  The undo of the topic is noted
 * before its file and its storage are created, in that order (see above).
 */
void
rq_set_new_filelocator(Relation rel, const RelFileLocator *newrlocator,
					   char persistence, TransactionId *freezeXid,
					   MultiXactId *minmulti)
{
	RqKey		key = {.db = RQ_LOCATOR_DB(*newrlocator),
	.rel = RQ_LOCATOR_REL(*newrlocator)};
	RqKey		old_key = rq_relation_key(rel);
	RelFileLocator locator = *newrlocator;
	RqTopicSettings settings;
	uint32		old = RQ_NO_SLOT;
	uint64		xid;

	rq_require_preload();
	refuse_rewrite(rel);
	refuse_other_kinds(rel, persistence);
	rq_check_columns(rel);
	if (!RQ_KEY_EQ(key, old_key))
		old = rq_topic_find(old_key);
	settings = old != RQ_NO_SLOT ? rq_topic_settings(old) :
		rq_topic_label_settings(RelationGetRelid(rel));
	if (RQ_KEY_EQ(key, old_key))
		rq_check_settings(&settings, NULL);

	/* Entries carry 64-bit transaction IDs, so nothing ever needs freezing. */
	*freezeXid = InvalidTransactionId;
	*minmulti = InvalidMultiXactId;

	if (RQ_KEY_EQ(key, old_key))
	{
		take_out_of_tablespace(rel);
		locator = rq_rel_locator(rel);
	}
	if (old != RQ_NO_SLOT)
		rq_room_for_copy(old, settings.nqueues);
	else
		rq_room_for_topic(settings.nqueues);
	xid = rq_xid_announce();
	rq_topic_note_created(key);
	create_file(locator, persistence);
	if (old != RQ_NO_SLOT)
		create_copy(old, key, RQ_LOCATOR_SPC(locator), &settings, xid);
	else
		rq_topic_ensure(key, RQ_LOCATOR_SPC(locator), &settings, xid);
	if (!RQ_KEY_EQ(key, old_key))
		rq_topic_note_dropped(old_key);
}

/*
 * The messages in the storage are this subtransaction's own, and not in their
 * queues yet.  New storage leaves them behind, and is no more expensive here than
 * in an ordinary TRUNCATE.
 */
void
rq_nontransactional_truncate(Relation rel)
{
	rq_relation_set_new_filenumber(rel, rel->rd_rel->relpersistence);
}
