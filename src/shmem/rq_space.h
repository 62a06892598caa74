/*
 * rq_space.h
 *	  Wait for room that the allocator makes.
 */
#ifndef RQ_SPACE_H
#define RQ_SPACE_H

#include "port/atomics.h"
#include "storage/condition_variable.h"

#include "base/rq_base.h"

/* Zeros, and then rq_space_init(). */
typedef struct RqSpace
{
	pg_atomic_uint32 err;		/* why the allocator can't go on, 0 = fine */
	ConditionVariable cv;		/* there is more, or "err" has changed */
} RqSpace;

extern void rq_space_init(RqSpace *space);

/* What is waited for. */
typedef struct RqSpaceKind
{
	const char *failed;			/* message, marked with gettext_noop(), with
								 * which the wait ends if there is no
								 * allocator */
	void		(*report) (int err);	/* throw, since there is no more */
} RqSpaceKind;

/*
 * Wait until there(want), or throw because the allocator has failed, or does not
 * run.  The caller is outside the gate, which is not held while a worker is
 * waited for.
 */
extern void rq_space_wait(RqSpace *space, const RqSpaceKind *kind,
						  bool (*there) (uint64 want), uint64 want);

/*
 * Publish why there is no more (0 = there is, or will be), and wake those who
 * wait.  True if that is news.  Allocator only, or the startup process.
 */
extern bool rq_space_publish(RqSpace *space, int err);

#endif							/* RQ_SPACE_H */
