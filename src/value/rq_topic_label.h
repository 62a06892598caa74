/*
 * rq_topic_label.h
 *	  Which settings a topic can have, and which its security label says.
 */
#ifndef RQ_TOPIC_LABEL_H
#define RQ_TOPIC_LABEL_H

#include "format/rq_settings.h"

/* The label provider whose labels these are. */
#define RQ_LABEL_PROVIDER	"rocketq"

/*
 * The settings in a relation's label, or the defaults if it has none.  For a
 * topic without storage: a new one, or one in a copied database that has not
 * been used yet.
 */
extern RqTopicSettings rq_topic_label_settings(Oid relid);

/*
 * Throw unless a topic that has the settings "now", or a new one (NULL), can
 * have these.
 */
extern void rq_check_settings(const RqTopicSettings *to,
							  const RqTopicSettings *now);

#endif							/* RQ_TOPIC_LABEL_H */
