/*
 * rq_label.h
 *	  The label provider rocketq: a topic's settings, kept as its label.
 */
#ifndef RQ_LABEL_H
#define RQ_LABEL_H

#include "utils/rel.h"

#include "format/rq_settings.h"

/* Register the provider; from _PG_init. */
extern void rq_label_init(void);

/* A topic was created, with this storage: keep its settings. */
extern void rq_label_created(Oid relid, RqKey key);

/*
 * Give the topic these settings and keep them in its label.  The caller holds
 * the relation exclusively until the end of the transaction.
 */
extern void rq_label_alter(Relation rel, const RqTopicSettings *settings);

#endif							/* RQ_LABEL_H */
