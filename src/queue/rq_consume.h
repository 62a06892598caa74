/*
 * rq_consume.h
 *	  Read messages of a queue, for a consumer group or for anyone, and move a
 *	  group's offsets.
 */
#ifndef RQ_CONSUME_H
#define RQ_CONSUME_H

#include "format/rq_walrec.h"
#include "queue/rq_filter.h"
#include "queue/rq_group.h"
#include "queue/rq_wait.h"
#include "shmem/rq_shmem.h"

/* A message that was read; the parts point into the log. */
typedef struct RqMessage
{
	uint32		queue_id;
	RqOff		offset;
	RqEntry		entry;
	RqFrame		frame;
	RqParts		parts;
} RqMessage;

/* Gets one message after the other; must copy what it keeps. */
typedef void (*RqSink) (void *arg, const RqMessage *m);

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

typedef struct RqConsumeRequest
{
	uint32		topic;
	const char *group;
	int			max;
	const RqFilter *filter;
	bool		auto_commit;
	int64		wait_ms;		/* how long to wait if there is nothing */
	const RqWaitLock *lock;		/* the caller's lock on the topic's relation */
	RqSink		sink;
	void	   *sink_arg;
} RqConsumeRequest;

typedef struct RqPullRequest
{
	uint32		topic;
	uint32		queue_id;
	RqOff		from;
	int			max;
	const RqFilter *filter;
	int64		wait_ms;
	const RqWaitLock *lock;
	RqSink		sink;
	void	   *sink_arg;
} RqPullRequest;

/*
 * All these own (rq_owner.h) what they move until the transaction ends, and the
 * caller holds a lock on the topic's relation as long.  What waits may have given
 * that back (see RqWaitLock) when the count is 0: the topic may not be there any
 * more.
 */

/* Consume for a group, which is created if it is new; returns the count. */
extern int	rq_consume(const RqConsumeRequest *req);

/*
 * Read from an offset on, for nobody in particular; returns the count.  Throws
 * RQ_ERRCODE_OFFSET_ILLEGAL if that is before the first offset that is kept or
 * behind the end, where the next message will be.  A standby may not have come
 * that far yet; there the offset has to be reached.
 */
extern int	rq_pull(const RqPullRequest *req);

/* How waiting without taking anything has ended. */
typedef enum RqIdleEnd
{
	RQ_IDLE_TIMEOUT = 0,
	RQ_IDLE_MESSAGES,
	RQ_IDLE_TOPIC_GONE			/* dropped, or truncated */
} RqIdleEnd;

/*
 * Wait until there is something for a group in any queue that nobody owns, or
 * until the topic's storage goes.  Takes nothing, and holds no lock while it
 * waits; the caller holds none on the topic either.
 */
extern RqIdleEnd rq_wait_for_messages(uint32 topic, uint64 incarnation,
									  RqGroupRef group, const RqFilter *filter,
									  int64 timeout_ms);

/* Commit all that this transaction consumed; returns how many queues. */
extern int	rq_commit_consumed(uint32 topic, const char *group);

/* Has this transaction tried to consume, for any group? */
extern bool rq_has_consumed(void);

/* Commit an offset; throws when it is behind the current one or past the end. */
extern void rq_commit_offset(uint32 topic, const char *group, uint32 queue_id,
							 int64 next);

/* Move a group's offset anywhere between the queue's first and last. */
extern void rq_reset_offset(uint32 topic, const char *group, uint32 queue_id,
							int64 offset);
extern void rq_reset_group(uint32 topic, const char *group,
						   const RqStart *start);

/*
 * Find a group; waits for a transaction that creates or drops it, except on a
 * standby.  When there is none it throws with this hint, or without a hint
 * returns false.
 */
extern bool rq_consumer_find_group(uint32 topic, const char *name, const char *hint,
								   RqGroupRef *group);

/* The hint for whoever consumes: none if consume() would create the group. */
extern const char *rq_hint_to_consume(void);

/*
 * The offset the group goes on from: the committed one, or the queue's start if
 * retention has passed it.  Throws when there is no such group.
 */
extern RqOff rq_consumer_offset(uint32 topic, const char *group,
								uint32 queue_id);

extern void rq_consumer_create_group(uint32 topic, const char *group,
									 const RqStart *start);
extern void rq_consumer_drop_group(uint32 topic, const char *group);

/*
 * Create a group with a place for each slot of the topic; false if the name
 * is taken.
 */
extern bool rq_consumer_create_group_at(uint32 topic, const char *group,
										const xl_rq_place *places);

/* Where "start" is in a queue. */
extern RqOff rq_start_offset(uint32 topic, uint32 queue_id,
							 const RqStart *start);

/* The same place in all queues; palloc'd, for each slot of the topic. */
extern xl_rq_place *rq_start_places(uint32 topic, const RqStart *start);

#endif							/* RQ_CONSUME_H */
