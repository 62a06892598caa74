/*
 * rq_args.h
 *	  Arguments of SQL functions: fetch and check.
 */
#ifndef RQ_ARGS_H
#define RQ_ARGS_H

#include "fmgr.h"
#include "nodes/parsenodes.h"
#include "storage/lockdefs.h"

#include "queue/rq_consume.h"
#include "queue/rq_consumer.h"
#include "value/rq_lookup.h"

/* Throw with the argument's name if it is NULL. */
extern void rq_arg_not_null(FunctionCallInfo fcinfo, int argno, const char *name);

extern char *rq_arg_text(FunctionCallInfo fcinfo, int argno, const char *name);
extern int64 rq_arg_int64(FunctionCallInfo fcinfo, int argno, const char *name);
extern int32 rq_arg_int32(FunctionCallInfo fcinfo, int argno, const char *name);

/*
 * The name of a table, as regclass would read it.  But a name that is too long
 * is refused, not cut to that of another table.
 */
extern RangeVar *rq_range_var(const char *name);

/* A count of messages, 1 to RQ_BATCH_MAX. */
extern int	rq_arg_max_messages(FunctionCallInfo fcinfo, int argno);

/* A tag filter; NULL means every message. */
extern RqFilter *rq_arg_filter(FunctionCallInfo fcinfo, int argno);

/* How long to wait, in milliseconds; NULL means not at all. */
extern int64 rq_arg_wait(FunctionCallInfo fcinfo, int argno, const char *name);

/*
 * What the input function of a type makes of the value; the error of one that
 * it refuses gets the hint.
 */
extern Datum rq_parse_value(PGFunction input, const char *value,
							const char *hint);

/* 'first', 'last' or a timestamp, as text or as a timestamptz. */
extern RqStart rq_arg_start(FunctionCallInfo fcinfo, int argno);
extern RqStart rq_arg_start_time(FunctionCallInfo fcinfo, int argno);

/*
 * The topic in argument 0, opened and locked until the end of the transaction
 * (see rq_relation_open about "acl", and RqStorageUse).
 */
extern uint32 rq_arg_topic(FunctionCallInfo fcinfo, LOCKMODE lockmode,
						   AclMode acl, RqStorageUse use);

/* Refuse a function that writes, in a read-only transaction or on a standby. */
extern void rq_refuse_read_only(const char *function);

/* A queue number that the topic has; the topic may be RQ_NO_SLOT. */
extern uint32 rq_arg_queue(FunctionCallInfo fcinfo, int argno, uint32 topic);

#endif							/* RQ_ARGS_H */
