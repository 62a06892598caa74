/*
 * rq_topic_private.h
 *	  Between rq_topic.c and those who create, alter and drop topics.
 */
#ifndef RQ_TOPIC_PRIVATE_H
#define RQ_TOPIC_PRIVATE_H

#include "extent/rq_extlist.h"
#include "topic/rq_topic.h"

/* These are called with the meta lock held exclusively. */

/* The record that says what the topic's slot does. */
extern xl_rq_topic rq_topic_record(uint32 topic);

/* WAL-log such a record; returns where it ends. */
extern XLogRecPtr rq_topic_log(const xl_rq_topic *rec);

/* Throw unless a topic with "have" slots can get "nslots". */
extern void rq_topic_check_room(uint32 have, uint32 nslots);

/* The same for a new topic with this many, which needs a slot of its own. */
extern void rq_topic_check_room_for_new(uint32 nqueues);

/* Give the topic new queues until it has "nslots"; there is room. */
extern void rq_topic_take_queues(uint32 topic, uint32 nslots);

/*
 * Take back all but the first "nslots", and add their extents to "gone", which
 * has room for them.
 */
extern void rq_topic_cut_queues(uint32 topic, uint32 nslots, RqExtChains *gone);

#endif							/* RQ_TOPIC_PRIVATE_H */
