/*
 * rq_args.h
 *	  Arguments of SQL functions: fetch and check.
 */
#ifndef RQ_ARGS_H
#define RQ_ARGS_H

#include "fmgr.h"
#include "nodes/parsenodes.h"
#include "storage/lockdefs.h"

#include "consume/rq_consume.h"
#include "consume/rq_consumer.h"
#include "value/rq_lookup.h"

/* Throw if an argument is null; "name" is that of the argument. */
extern void rq_arg_not_null(FunctionCallInfo fcinfo, int argno, const char *name);

/* Arguments that must not be null, as C values. */
extern char *rq_arg_text(FunctionCallInfo fcinfo, int argno, const char *name);
extern int64 rq_arg_int64(FunctionCallInfo fcinfo, int argno, const char *name);
extern int32 rq_arg_int32(FunctionCallInfo fcinfo, int argno, const char *name);

/*
 * Parse the name of a table as regclass does, except that a name that is too long
 * is refused, not truncated to what may be the name of another table.
 */
extern RangeVar *rq_range_var(const char *name);

/* A number of messages, from 1 to RQ_BATCH_MAX. */
extern int	rq_arg_max_messages(FunctionCallInfo fcinfo, int argno);

/* A tag filter; null means every message. */
extern RqFilter *rq_arg_filter(FunctionCallInfo fcinfo, int argno);

/* How long to wait, in milliseconds; null means not to wait. */
extern int64 rq_arg_wait(FunctionCallInfo fcinfo, int argno, const char *name);

/*
 * Convert a string with the input function of a type; if that throws because the
 * string is invalid, the hint is added to the error.
 */
extern Datum rq_parse_value(PGFunction input, const char *value,
							const char *hint);

/* Where to start: 'first', 'last' or a timestamp as text, or a timestamptz. */
extern RqStart rq_arg_start(FunctionCallInfo fcinfo, int argno);
extern RqStart rq_arg_start_time(FunctionCallInfo fcinfo, int argno);

/*
 * The topic in argument 0, opened and locked until the end of the transaction
 * (see rq_relation_open about "acl", and RqStorageUse).
 */
extern uint32 rq_arg_topic(FunctionCallInfo fcinfo, LOCKMODE lockmode,
						   AclMode acl, RqStorageUse use);

/*
 * Throw if this is a read-only transaction, a parallel worker or a standby, for a
 * function that writes; "function" is its name, for the error.
 */
extern void rq_refuse_read_only(const char *function);

/*
 * The number of a queue; throws unless the topic, which can be RQ_NO_SLOT, has a
 * queue of that number.
 */
extern uint32 rq_arg_queue(FunctionCallInfo fcinfo, int argno, uint32 topic);

#endif							/* RQ_ARGS_H */
