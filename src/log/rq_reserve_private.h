/*
 * rq_reserve_private.h
 *	  Reserve a stretch of the commit log, write to it, end the reservation.
 */
#ifndef RQ_RESERVE_PRIVATE_H
#define RQ_RESERVE_PRIVATE_H

#include "base/rq_compat.h"
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

/* The record of a stretch that stands in the map; "bytes" are its first ones. */
extern void rq_log_insert_append(RqPos pos, RqPos end, const char *bytes,
								 uint32 len, uint32 nframes);

/* Throw because a segment could not be made, or should be there. */
extern void rq_log_report_no_segment(int err);
RQ_NORETURN extern void rq_log_report_missing(uint64 segno);

#endif							/* RQ_RESERVE_PRIVATE_H */
