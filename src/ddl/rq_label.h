/*
 * rq_label.h
 *	  The label provider rocketq: a topic's settings, kept as its label.
 */
#ifndef RQ_LABEL_H
#define RQ_LABEL_H

#include "utils/rel.h"

#include "format/rq_settings.h"

/* Register the label provider; called from _PG_init. */
extern void rq_label_init(void);

/* A topic was created, with this storage: store its settings in its label. */
extern void rq_label_created(Oid relid, RqKey key);

/*
 * Change the settings of a topic and of its label.  The caller holds
 * AccessExclusiveLock on the relation until the end of the transaction.  Throws
 * if the topic cannot have these settings.
 */
extern void rq_label_alter(Relation rel, const RqTopicSettings *settings);

#endif							/* RQ_LABEL_H */
