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

#include "am/rq_am_private.h"
#include "am/rq_label.h"
#include "am/rq_relation.h"
#include "base/rq_error.h"
#include "base/rq_guc.h"
#include "queue/rq_topic.h"
#include "queue/rq_txn.h"

#define PROVIDER	"rocketq"

#define LABEL_SIZE	64

static void
build_label(char *label, int64 nqueues, int64 retention_s)
{
	int			len = snprintf(label, LABEL_SIZE, "queues=" INT64_FORMAT, nqueues);

	if (retention_s == RQ_RETENTION_FOREVER)
		snprintf(label + len, LABEL_SIZE - len, ", retention_time=-1");
	else if (retention_s != RQ_RETENTION_DEFAULT)
		snprintf(label + len, LABEL_SIZE - len,
				 ", retention_time=" INT64_FORMAT "s", retention_s);
}

/* What a label says; false if it is not one. */
static bool
parse_label(const char *label, int64 *nqueues, RqTopicSettings *settings)
{
	char		again[LABEL_SIZE];
	long		queues;
	long		seconds;
	int			n = sscanf(label, "queues=%ld, retention_time=%ld",
						   &queues, &seconds);

	if (n < 1)
		return false;
	if (n < 2)
		seconds = RQ_RETENTION_DEFAULT;
	if (seconds < RQ_RETENTION_DEFAULT || seconds > INT_MAX)
		return false;
	build_label(again, queues, seconds);
	*nqueues = queues;
	settings->nqueues = (uint32) queues;
	settings->retention_s = (int32) seconds;
	return strcmp(label, again) == 0;
}

void
rq_check_nqueues(int64 nqueues, uint32 now)
{
	if (nqueues < 1 || nqueues > RQ_QUEUES_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a topic must have between 1 and %d queues",
						RQ_QUEUES_MAX)));
	if (nqueues > now && nqueues > rq_max_queues_per_topic)
		rq_report_share_used_up("queues", "rocketq.max_queues_per_topic",
								rq_max_queues_per_topic,
								"Use fewer queues");
}

static void
alter(Relation rel, const RqTopicSettings *to)
{
	uint32		topic = rq_relation_topic(rel, true);
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
						PROVIDER)));
	if (label == NULL || !parse_label(label, &nqueues, &settings))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the label of a topic must be \"queues=\" and a number, and may go on with \", retention_time=\" and seconds"),
				 errhint("rocketq.alter_topic() sets it.")));
	rq_check_nqueues(nqueues,
					 rq_topic_nqueues(rq_relation_topic(rel, true)));
	alter(rel, &settings);
	relation_close(rel, NoLock);
}

static void
store_label(Oid relid, const RqTopicSettings *settings)
{
	ObjectAddress object = {.classId = RelationRelationId, .objectId = relid};
	char		label[LABEL_SIZE];

	build_label(label, settings->nqueues, settings->retention_s);
	SetSecurityLabel(&object, PROVIDER, label);
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

RqTopicSettings
rq_label_settings(Oid relid)
{
	ObjectAddress object = {.classId = RelationRelationId, .objectId = relid};
	char	   *label = GetSecurityLabel(&object, PROVIDER);
	RqTopicSettings settings;
	int64		n;

	if (label == NULL || !parse_label(label, &n, &settings) ||
		n < 1 || n > RQ_QUEUES_MAX)
	{
		settings.nqueues = rq_default_queues;
		settings.retention_s = RQ_RETENTION_DEFAULT;
	}
	return settings;
}

void
rq_label_init(void)
{
	register_label_provider(PROVIDER, set_label);
}
