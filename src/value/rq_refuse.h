/*
 * rq_refuse.h
 *	  What statements cannot do to messages, with one wording for each refusal.
 */
#ifndef RQ_REFUSE_H
#define RQ_REFUSE_H

#include "base/rq_compat.h"

/* Throw ERRCODE_FEATURE_NOT_SUPPORTED with a literal message and hint. */
#define RQ_REFUSE(message, hint) \
	ereport(ERROR, \
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED), \
			 errmsg(message), errhint(hint)))

/* DELETE of messages. */
RQ_NORETURN extern void rq_refuse_delete(void);

/* UPDATE of messages. */
RQ_NORETURN extern void rq_refuse_update(void);

/* SELECT ... FOR UPDATE and its like. */
RQ_NORETURN extern void rq_refuse_lock(void);

/* A foreign key whose referencing table is a topic. */
RQ_NORETURN extern void rq_refuse_foreign_key(void);

#endif							/* RQ_REFUSE_H */
