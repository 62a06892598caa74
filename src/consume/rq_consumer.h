/*
 * rq_consumer.h
 *	  Consumer groups by name: find, create, drop.
 *
 * The caller holds a lock on the topic's relation, until the transaction ends
 * if anything is created, dropped or locked.
 */
#ifndef RQ_CONSUMER_H
#define RQ_CONSUMER_H

#include "format/rq_walrec.h"
#include "shmem/rq_shmem.h"
#include "topic/rq_group.h"

/* For whoever names a group that should be there. */
#define RQ_HINT_LIST_GROUPS \
	"The view rocketq.groups lists the groups of each topic."

/* Where a new group or a reset begins. */
typedef enum RqStartKind
{
	RQ_START_FIRST,
	RQ_START_LAST,
	RQ_START_TIME
} RqStartKind;

typedef struct RqStart
{
	RqStartKind kind;
	TimestampTz when;
} RqStart;

/*
 * Find a group; waits for a transaction that creates or drops it, except on a
 * standby.  When there is none it throws with this hint, or without a hint
 * returns false.
 */
extern bool rq_consumer_find_group(uint32 topic, const char *name, const char *hint,
								   RqGroupRef *group);

/* The hint for whoever consumes: none if consume() would create the group. */
extern const char *rq_consumer_hint(void);

/* Find a group, or create it from the first message on. */
extern RqGroupRef rq_consumer_find_or_create_group(uint32 topic, const char *name);

/* Throws if the name is taken. */
extern void rq_consumer_create_group(uint32 topic, const char *group,
									 const RqStart *start);

/* Drop a group, which the transaction owns until it ends. */
extern void rq_consumer_drop_group(uint32 topic, const char *group);

/*
 * Create a group with a place for each slot of the topic; false if the name
 * is taken.
 */
extern bool rq_consumer_create_group_at(uint32 topic, const char *group,
										const xl_rq_place *places);

/* Where "start" is in a queue. */
extern RqOff rq_consumer_start(RqQueue *q, const RqStart *start);

/* Find a group and own all of it (rq_owner.h). */
extern RqGroupRef rq_consumer_lock_group(uint32 topic, const char *name);

/* Throw because a group was dropped concurrently. */
extern void rq_consumer_report_dropped(const char *name);

#endif							/* RQ_CONSUMER_H */
