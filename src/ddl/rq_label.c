/*
 * rq_label.c
 *	  The settings of a topic, kept as its security label.
 *
 * A topic carries the label "queues=N" of the provider "rocketq" from its
 * creation on; with a retention time of its own "queues=N, retention_time=Ss",
 * in seconds, or "-1" for ever.  Labels are rows of a catalog: they come and go with the table
 * and the transaction, they are copied with a database, and pg_dump writes
 * them behind CREATE TABLE and before the table's data, so that a restored
 * topic has its queues before it gets its messages.  (A table of settings
 * would be restored in between or after them, and own storage parameters are
 * not open to access methods.)
 *
 * The store goes by settings of its own, which this file keeps in step: whoever
 * sets the label alters the topic.
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/table.h"
#include "catalog/pg_class.h"
#include "commands/seclabel.h"

#include "base/rq_guc.h"
#include "ddl/rq_label.h"
#include "queue/rq_topic.h"
#include "queue/rq_txn.h"
#include "value/rq_relation.h"
#include "value/rq_topic_label.h"

static void
alter(Relation rel, const RqTopicSettings *to)
{
	uint32		topic = rq_relation_topic(rel, RQ_STORAGE_CREATE);
	RqTopicSettings now = rq_topic_settings(topic);
	uint64		xid;

	if (now.nqueues == to->nqueues && now.retention_s == to->retention_s)
		return;
	rq_txn_check_open();
	xid = rq_xid_announce();
	rq_txn_topic_altered(topic, to->nqueues);
	rq_topic_alter(topic, to, xid);
}

/* SECURITY LABEL FOR rocketq ON ... IS label. */
static void
set_label(const ObjectAddress *object, const char *label)
{
	Relation	rel = NULL;
	RqTopicSettings settings;
	int64		nqueues;

	rq_require_preload();
	if (object->classId == RelationRelationId && object->objectSubId == 0)
		rel = relation_open(object->objectId, AccessExclusiveLock);
	if (rel == NULL || !rq_relation_is_topic(rel))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("only topics can have a label of provider \"%s\"",
						RQ_LABEL_PROVIDER)));
	if (label == NULL || !rq_topic_label_parse(label, &nqueues, &settings))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the label of a topic must be \"queues=\" and a number, and may go on with \", retention_time=\" and seconds"),
				 errhint("rocketq.alter_topic() sets it.")));
	rq_check_nqueues(nqueues,
					 rq_topic_nqueues(rq_relation_topic(rel, RQ_STORAGE_CREATE)));
	alter(rel, &settings);
	relation_close(rel, NoLock);
}

static void
store_label(Oid relid, const RqTopicSettings *settings)
{
	ObjectAddress object = {.classId = RelationRelationId, .objectId = relid};
	char		label[RQ_LABEL_SIZE];

	rq_topic_label_build(label, settings);
	SetSecurityLabel(&object, RQ_LABEL_PROVIDER, label);
}

void
rq_label_alter(Relation rel, const RqTopicSettings *settings)
{
	alter(rel, settings);
	store_label(RelationGetRelid(rel), settings);
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
