/*
 * rq_consume.h
 *	  Read messages of a queue, for a consumer group or for anyone.
 */
#ifndef RQ_CONSUME_H
#define RQ_CONSUME_H

#include "consume/rq_filter.h"
#include "consume/rq_wait.h"
#include "format/rq_queuefmt.h"
#include "format/rq_framefmt.h"

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
 * The caller of these two holds a lock on the topic's relation.  If they wait
 * they may have given it back (see RqWaitLock) when the count is 0: the topic
 * may not be there any more.
 */

/*
 * Consume for a group, which is created if it is new; returns the count.  The
 * transaction owns (rq_owner.h) what it has read until it ends, and the lock
 * on the relation is held as long.
 */
extern int	rq_consume(const RqConsumeRequest *req);

/*
 * Read from an offset on, for nobody in particular; returns the count.  Throws
 * RQ_ERRCODE_OFFSET_ILLEGAL if that is before the first offset that is kept or
 * past the end, where the next message will be.  A standby may not have come
 * that far yet, so there an offset past the end has nothing to read so far.
 */
extern int	rq_pull(const RqPullRequest *req);

/* Has this transaction tried to consume, for any group? */
extern bool rq_has_consumed(void);

#endif							/* RQ_CONSUME_H */
