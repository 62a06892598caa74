/*
 * rq_label.c
 *	  The settings of a topic, kept as its security label.
 *
 * A topic carries the label "queues=N" of the provider "rocketq" from its
 * creation on.  Labels are rows of a catalog: they come and go with the table
 * and the transaction, they are copied with a database, and pg_dump writes
 * them behind CREATE TABLE and before the table's data, so that a restored
 * topic has its queues before it gets its messages.  (A table of settings
 * would be restored in between or after them, and own storage parameters are
 * not open to access methods.)
 *
 * The store goes by its own number of queues, which this file keeps in step:
 * whoever sets the label resizes the topic.
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/table.h"
#include "catalog/pg_class.h"
#include "commands/seclabel.h"

#include "am/rq_am_private.h"
#include "am/rq_label.h"
#include "am/rq_relation.h"
#include "queue/rq_topic.h"
#include "queue/rq_txn.h"

#define PROVIDER	"rocketq"

/* The number of queues in a label; false if it is not one. */
static bool
parse_label(const char *label, int64 *nqueues)
{
	char		again[32];
	long		n;

	if (sscanf(label, "queues=%ld", &n) != 1)
		return false;
	snprintf(again, sizeof(again), "queues=%ld", n);
	*nqueues = n;
	return strcmp(label, again) == 0;
}

void
rq_check_nqueues(int64 nqueues)
{
	if (nqueues < 1 || nqueues > RQ_QUEUES_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a topic must have between 1 and %d queues",
						RQ_QUEUES_MAX)));
}

static void
resize(Relation rel, uint32 nqueues)
{
	uint32		topic = rq_relation_topic(rel, true);
	uint64		xid;

	if (rq_topic_nqueues(topic) == nqueues)
		return;
	rq_txn_check_open();
	xid = rq_xid_announce();
	rq_txn_topic_resized(topic, nqueues);
	rq_topic_resize(topic, nqueues, xid);
}

/* SECURITY LABEL FOR rocketq ON ... IS label. */
static void
set_label(const ObjectAddress *object, const char *label)
{
	Relation	rel = NULL;
	int64		nqueues;

	rq_require_preload();
	if (object->classId == RelationRelationId && object->objectSubId == 0)
		rel = relation_open(object->objectId, AccessExclusiveLock);
	if (rel == NULL || !rq_relation_is_topic(rel))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("only topics can have a label of provider \"%s\"",
						PROVIDER)));
	if (label == NULL || !parse_label(label, &nqueues))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the label of a topic must be \"queues=\" and a number"),
				 errhint("rocketq.alter_topic() sets it.")));
	rq_check_nqueues(nqueues);
	resize(rel, (uint32) nqueues);
	relation_close(rel, NoLock);
}

static void
store_label(Oid relid, uint32 nqueues)
{
	ObjectAddress object = {.classId = RelationRelationId, .objectId = relid};
	char		label[32];

	snprintf(label, sizeof(label), "queues=%u", nqueues);
	SetSecurityLabel(&object, PROVIDER, label);
}

void
rq_label_resize(Relation rel, uint32 nqueues)
{
	resize(rel, nqueues);
	store_label(RelationGetRelid(rel), nqueues);
}

void
rq_label_created(Oid relid, RqKey key)
{
	uint32		topic = rq_topic_find(key);

	if (topic != RQ_NO_SLOT)
		store_label(relid, rq_topic_nqueues(topic));
}

bool
rq_label_read(Oid relid, uint32 *nqueues)
{
	ObjectAddress object = {.classId = RelationRelationId, .objectId = relid};
	char	   *label = GetSecurityLabel(&object, PROVIDER);
	int64		n;

	if (label == NULL || !parse_label(label, &n) ||
		n < 1 || n > RQ_QUEUES_MAX)
		return false;
	*nqueues = (uint32) n;
	return true;
}

void
rq_label_init(void)
{
	register_label_provider(PROVIDER, set_label);
}
