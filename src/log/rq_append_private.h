/*
 * rq_append_private.h
 *	  The steps of an append, for the two ways to make one.
 */
#ifndef RQ_APPEND_PRIVATE_H
#define RQ_APPEND_PRIVATE_H

#include "log/rq_log.h"

/* Where frames go. */
typedef struct RqPlace
{
	int			take;			/* frames that fit into the segment */
	RqPos		start;			/* of the first frame */
	RqPos		end;
	RqPos		filler;			/* start of the filler before it */
	uint32		filler_len;		/* 0 = none */
	char	   *base;			/* of the segment in memory */
	char	   *filler_base;	/* of the filler's */
} RqPlace;

/*
 * Reserve room for as many of the frames as one segment takes.  Throws before
 * anything is changed; returns inside the gate and in a critical section.  The
 * reservation is in flight until rq_log_published().
 */
extern RqPlace rq_log_reserve(const uint32 *lens, int n);

/* Leave the critical section and the gate that rq_log_reserve() has entered. */
extern void rq_log_leave(const RqPlace *p);

/*
 * Store and log sealed frames, or a filler, at a place that is reserved.  In a
 * critical section, inside the gate.
 */
extern void rq_log_write(char *base, RqPos pos, const char *frames, uint32 len,
						 uint32 nframes);
extern void rq_log_write_filler(char *base, RqPos pos, uint32 len);

/* All that was reserved is logged. */
extern void rq_log_published(void);

/*
 * Take a built frame into the chunk of this statement, and give its position;
 * false if it has to be appended by itself, behind rq_log_gather_write().
 * Throws before anything is changed.
 */
extern bool rq_log_gather(char *frame, uint32 len, RqPos *pos);

#endif							/* RQ_APPEND_PRIVATE_H */
