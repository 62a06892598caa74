/*
 * rq_topic_label.c
 *	  The settings of a topic as the text of its security label.
 *
 * Whoever has no storage of a topic to ask asks its label; that a label
 * and the storage agree is up to the provider (rq_label.c).
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "commands/seclabel.h"

#include "base/rq_error.h"
#include "base/rq_guc.h"
#include "value/rq_topic_label.h"

static void
build(char *label, int64 nqueues, int64 retention_s)
{
	int			len = snprintf(label, RQ_LABEL_SIZE, "queues=" INT64_FORMAT, nqueues);

	if (retention_s == RQ_RETENTION_FOREVER)
		snprintf(label + len, RQ_LABEL_SIZE - len, ", retention_time=-1");
	else if (retention_s != RQ_RETENTION_DEFAULT)
		snprintf(label + len, RQ_LABEL_SIZE - len,
				 ", retention_time=" INT64_FORMAT "s", retention_s);
}

void
rq_topic_label_build(char *label, const RqTopicSettings *settings)
{
	build(label, settings->nqueues, settings->retention_s);
}

bool
rq_topic_label_parse(const char *label, int64 *nqueues, RqTopicSettings *settings)
{
	char		again[RQ_LABEL_SIZE];
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
	build(again, queues, seconds);
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

RqTopicSettings
rq_topic_label_settings(Oid relid)
{
	ObjectAddress object = {.classId = RelationRelationId, .objectId = relid};
	char	   *label = GetSecurityLabel(&object, RQ_LABEL_PROVIDER);
	RqTopicSettings settings;
	int64		n;

	if (label == NULL || !rq_topic_label_parse(label, &n, &settings) ||
		n < 1 || n > RQ_QUEUES_MAX)
	{
		settings.nqueues = rq_default_queues;
		settings.retention_s = RQ_RETENTION_DEFAULT;
	}
	return settings;
}
