/*
 * rq_storage.c
 *	  Storage of topics: create and truncate.
 *
 * PostgreSQL asks for new storage when a table is created, when it is
 * truncated and when it is rewritten.  The first two give a topic; in a
 * rewrite rows would lose their offsets, so it is refused.
 *
 * Crash rule: the relation's file is made before the topic's storage, and the
 * storage carries the transaction's id until that has committed.  So storage
 * without a file, or of a transaction that is gone, is garbage and removed.
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
#include "queue/rq_alter.h"
#include "queue/rq_group.h"
#include "queue/rq_topic.h"
#include "queue/rq_topic_create.h"
#include "queue/rq_topic_txn.h"
#include "value/rq_columns.h"
#include "value/rq_relation.h"
#include "value/rq_topic_label.h"

/* ---- what cannot be a topic ---- */

/*
 * Throw if the new relation is one that is to replace another in a rewrite.
 * It has a name made of that one's OID, and its pg_class row, which would tell
 * for certain, is not there yet.
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
 * A new topic gets its empty file, the proof that it exists, in the tablespace
 * of its database, and no other is recorded for it.  It would be held there, and
 * hold the tablespace, with nothing in it that anybody could want to move.
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
 * From the first message on; if a restore has said how many of the messages
 * to come a group has consumed, behind those.
 */
static void
copy_places(uint32 group, xl_rq_place *places, uint32 nqueues)
{
	for (uint32 i = 0; i < nqueues; i++)
	{
		const RqOffset *o = rq_group_offset(group, i);

		places[i].saved_total = o->saved_total;
		places[i].saved_left = o->saved_left;
	}
}

/*
 * What a copy of the group gets, all of one moment: the janitor can drop a group
 * that nobody uses.  False if it is not there.
 */
static bool
read_group(RqGroupRef group, char *name, xl_rq_place *places, uint32 nqueues)
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
 * Give a topic the groups of another one, which the caller has locked against
 * everybody.  They come and go with the topic, so they need no undo of their
 * own.
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

		if (read_group(groups[i], name, places, rq_topic_nqueues(to)))
			(void) rq_group_create(to, name, places, xid, false, &copy);
	}
	pfree(places);
	pfree(groups);
}

/*
 * The relation's file is empty and stays so, and PostgreSQL need not bring to
 * disk what it never writes to.  But the janitor takes it for the proof that the
 * topic exists: it must not be lost with the power.
 */
static void
create_file(RelFileLocator locator, char persistence)
{
	SMgrRelation file = RelationCreateStorage(locator, persistence, true);

	smgrimmedsync(file, MAIN_FORKNUM);
	smgrclose(file);
}

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
	uint32		topic;
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

	/* Entries carry their transactions: nothing here ever needs freezing. */
	*freezeXid = InvalidTransactionId;
	*minmulti = InvalidMultiXactId;

	if (RQ_KEY_EQ(key, old_key))
	{
		take_out_of_tablespace(rel);
		locator = rq_rel_locator(rel);
	}
	xid = rq_xid_announce();
	rq_topic_note_created(key);
	create_file(locator, persistence);
	topic = rq_topic_ensure(key, RQ_LOCATOR_SPC(locator), &settings, xid);
	if (old != RQ_NO_SLOT)
		copy_groups(old, topic, xid);
	if (!RQ_KEY_EQ(key, old_key))
		rq_topic_note_dropped(old_key);
}

/*
 * TRUNCATE of a table that the same subtransaction created, or truncated
 * before.  What is there then is this transaction's own and waits for commit.
 * New storage leaves it behind, and costs no more here than anywhere else.
 */
void
rq_nontransactional_truncate(Relation rel)
{
	rq_relation_set_new_filenumber(rel, rel->rd_rel->relpersistence);
}
