/*
 * rq_missing_private.h
 *	  Between rq_missing.c and rq_files.c.
 */
#ifndef RQ_MISSING_PRIVATE_H
#define RQ_MISSING_PRIVATE_H

#include "base/rq_base.h"

/* A segment of the log. */
typedef struct RqMissing
{
	uint64		segno;
	bool		there;			/* it was when the state was loaded, but too
								 * short or perhaps not whole */
} RqMissing;

/*
 * Note on disk that these are missing, in place of what was noted before; call
 * "visit" for each that is noted; forget the note, if there is one.  They throw.
 */
extern void rq_missing_write(const RqMissing *files, uint64 n);
extern void rq_missing_read(void (*visit) (uint64 segno));
extern void rq_missing_forget(void);

#endif							/* RQ_MISSING_PRIVATE_H */
