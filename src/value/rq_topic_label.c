/*
 * rq_topic_label.c
 *	  Which settings a topic can have, and which its security label says.
 *
 * The settings of a topic without storage are in its label only.  That a label
 * and the storage agree is up to the label provider (ddl/rq_label.c).
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "commands/seclabel.h"

#include "base/rq_error.h"
#include "base/rq_guc.h"
#include "value/rq_topic_label.h"

void
rq_check_settings(const RqTopicSettings *to, const RqTopicSettings *now)
{
	const RqSetting *wrong = rq_settings_find_wrong(to);

	if (wrong != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("setting \"%s\" of a topic must be %s",
						wrong->name, rq_setting_range(wrong))));
	if (to->nqueues > rq_max_queues_per_topic &&
		(now == NULL || to->nqueues > now->nqueues))
		rq_report_share_used_up(gettext_noop("too many queues for one topic"), "rocketq.max_queues_per_topic",
								rq_max_queues_per_topic,
								gettext_noop("Use fewer queues, or let a superuser raise rocketq.max_queues_per_topic."));
}

/*
 * A label that cannot be read, which only an update of pg_seclabel by hand can
 * leave, counts as none.
 */
RqTopicSettings
rq_topic_label_settings(Oid relid)
{
	ObjectAddress object = {.classId = RelationRelationId, .objectId = relid};
	char	   *label = GetSecurityLabel(&object, RQ_LABEL_PROVIDER);
	RqTopicSettings settings;

	if (label == NULL || rq_settings_parse(label, &settings) != NULL)
	{
		rq_settings_init(&settings);
		settings.nqueues = rq_default_queues;
	}
	return settings;
}
