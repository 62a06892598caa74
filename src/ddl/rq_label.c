/*
 * rq_label.c
 *	  The settings of a topic, kept as its security label.
 *
 * From its creation on, a topic has a label of provider "rocketq" that lists its
 * settings (format/rq_settings.h): "queues=8" if nothing but its number of queues
 * is set.  Labels are catalog rows: they follow the table and the transaction,
 * they are copied with a database, and pg_dump writes them after CREATE TABLE and
 * before the table's data, so a restored topic has its queues before it gets its
 * messages.  (A table of settings would be restored during or after that, and an
 * access method cannot define storage parameters.)
 *
 * The store has its own copy of the settings, which this file keeps in step:
 * setting the label alters the topic.
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/relation.h"
#include "access/table.h"
#include "catalog/pg_class.h"
#include "commands/seclabel.h"

#include "base/rq_guc.h"
#include "consume/rq_consumed.h"
#include "ddl/rq_label.h"
#include "produce/rq_touched.h"
#include "topic/rq_alter.h"
#include "topic/rq_room.h"
#include "topic/rq_topic.h"
#include "topic/rq_topic_txn.h"
#include "topic/rq_xid.h"
#include "txn/rq_txn.h"
#include "value/rq_relation.h"
#include "value/rq_topic_label.h"

static void
alter(Relation rel, const RqTopicSettings *to)
{
	uint32		topic = rq_relation_topic(rel, RQ_STORAGE_CREATE);
	RqTopicSettings now = rq_topic_settings(topic);
	uint64		xid;

	if (rq_settings_equal(&now, to))
		return;
	rq_txn_check_open();
	xid = rq_xid_announce();
	rq_topic_note_altered(topic);
	rq_touched_check_removal(topic, to->nqueues);
	rq_room_for_queues(topic, to->nqueues);
	rq_topic_alter(topic, to, xid, &rq_consumed_check);
}

/* Check a label before PostgreSQL stores it, and give the topic its settings. */
static void
set_label(const ObjectAddress *object, const char *label)
{
	Relation	rel = NULL;
	RqTopicSettings settings;
	RqTopicSettings now;
	char	   *problem;

	rq_require_preload();
	if (object->classId == RelationRelationId && object->objectSubId == 0)
	{
		rq_relation_lock(object->objectId, AccessExclusiveLock);
		rel = relation_open(object->objectId, NoLock);
	}
	if (rel == NULL || !rq_relation_is_topic(rel))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("only topics can have a label of provider \"%s\"",
						RQ_LABEL_PROVIDER)));
	problem = label == NULL ? "A topic must have a label." :
		rq_settings_parse(label, &settings);
	if (problem != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid label for topic \"%s\"",
						RelationGetRelationName(rel)),
				 errdetail_internal("%s", problem),
				 errhint("Use rocketq.alter_topic() to change the settings of a topic.")));
	now = rq_topic_settings(rq_relation_topic(rel, RQ_STORAGE_CREATE));
	rq_check_settings(&settings, &now);
	alter(rel, &settings);
	relation_close(rel, NoLock);
}

static void
store_label(Oid relid, const RqTopicSettings *settings)
{
	ObjectAddress object = {.classId = RelationRelationId, .objectId = relid};
	StringInfoData label;

	initStringInfo(&label);
	rq_settings_print(&label, settings);
	SetSecurityLabel(&object, RQ_LABEL_PROVIDER, label.data);
}

void
rq_label_alter(Relation rel, const RqTopicSettings *settings)
{
	alter(rel, settings);
	store_label(RelationGetRelid(rel), settings);

	/* The same statement can change the label once more. */
	CommandCounterIncrement();
}

void
rq_label_created(Oid relid, RqKey key)
{
	uint32		topic = rq_topic_find(key);
	RqTopicSettings settings;

	if (topic == RQ_NO_SLOT)
		return;
	settings = rq_topic_settings(topic);
	store_label(relid, &settings);
}

void
rq_label_init(void)
{
	register_label_provider(RQ_LABEL_PROVIDER, set_label);
}
