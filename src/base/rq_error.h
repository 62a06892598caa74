/*
 * rq_error.h
 *	  Errors that are raised from more than one place.
 */
#ifndef RQ_ERROR_H
#define RQ_ERROR_H

#include "base/rq_base.h"
#include "base/rq_compat.h"

/*
 * There is no such offset (RocketMQ's OFFSET_ILLEGAL).  A code that nothing else
 * in a consumer's loop is likely to raise, and that PL/pgSQL has a name for.
 */
#define RQ_ERRCODE_OFFSET_ILLEGAL	ERRCODE_INVALID_ROW_COUNT_IN_RESULT_OFFSET_CLAUSE

/* Who counts what rq_report_corruption() reports; NULL = nobody. */
extern void (*rq_corruption_counter) (void);

/*
 * Bytes on disk that cannot be what rocketq wrote.  "what" says which object,
 * "problem" what is wrong with it.
 */
RQ_NORETURN extern void rq_report_corruption(const char *what, const char *problem);

/*
 * A fixed table has no room for "needed" more entries: only "left" of the
 * "allowed" ones, the value of "setting", are free.  "message" is the whole error
 * message, and "drop" the SQL function that makes room.
 */
RQ_NORETURN extern void rq_report_table_full(const char *message, const char *setting,
											 int allowed, uint32 needed,
											 uint32 left, const char *drop);

/*
 * The same for a table whose entries are given out in blocks: "needed" and "left"
 * are whole blocks' worth of entries.
 */
RQ_NORETURN extern void rq_report_blocks_full(const char *message, const char *setting,
											  int allowed, uint64 needed,
											  uint32 left, int block,
											  const char *drop);

/*
 * One topic has used up its share of a table, the value of "setting".  "message"
 * and "hint" are whole messages.
 */
RQ_NORETURN extern void rq_report_share_used_up(const char *message, const char *setting,
												int value, const char *hint);

/* The running server has no rocketq in shared_preload_libraries. */
RQ_NORETURN extern void rq_report_not_preloaded(void);

#endif							/* RQ_ERROR_H */
