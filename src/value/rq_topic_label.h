/*
 * rq_topic_label.h
 *	  The settings of a topic as the text of its security label.
 */
#ifndef RQ_TOPIC_LABEL_H
#define RQ_TOPIC_LABEL_H

#include "base/rq_base.h"

/* The label provider whose labels these are. */
#define RQ_LABEL_PROVIDER	"rocketq"

/* Bytes that a label takes at most, its terminator included. */
#define RQ_LABEL_SIZE	64

/* Write the label of these settings; it has room for RQ_LABEL_SIZE bytes. */
extern void rq_topic_label_build(char *label, const RqTopicSettings *settings);

/*
 * Read a label; false if the text is none.  The number of queues is only a
 * number, for rq_check_nqueues() to judge.
 */
extern bool rq_topic_label_parse(const char *label, int64 *nqueues,
								 RqTopicSettings *settings);

/*
 * The settings that a relation's label holds; without a label, the defaults.
 * For a topic without storage: a new one, or one in a copied database that
 * nobody has used yet.
 */
extern RqTopicSettings rq_topic_label_settings(Oid relid);

/*
 * Throw unless a topic that has "now" queues (0 for a new one) can have
 * "nqueues".
 */
extern void rq_check_nqueues(int64 nqueues, uint32 now);

#endif							/* RQ_TOPIC_LABEL_H */
