/*
 * rq_round.h
 *	  A round of retention: what it may do, and what it has found so far.
 */
#ifndef RQ_ROUND_H
#define RQ_ROUND_H

#include "datatype/timestamp.h"

#include "retain/rq_kept.h"
#include "retain/rq_trim.h"

/*
 * The floors are the positions below which a reason to keep messages does not
 * count; the numbers are those of rq_needs.c.
 */
typedef struct RqRound
{
	TimestampTz now;
	RqPos		end;			/* of the log when the round began */
	RqPos		start;			/* of the log */
	RqPos		first_end;		/* of its oldest segment */
	RqPos		limit;			/* so far it may be trimmed in this round */
	RqPos		asked;			/* all queues with entries below have been
								 * asked */
	RqPos		young_floor;	/* 3 does not count below */
	const char *young_why;		/* says what */
	RqPos		held_floor;		/* 4 and 5 do not count below */
	RqKept		kept;			/* the lowest that must stay */
	RqPos		wanted;			/* the same without the floors */
	RqPos		given_way;		/* floor of the need that gave way to one */
	RqKeeps		gave_way;
	uint64		excess;			/* bytes to free on a disk that is too full */
	int			blocks;			/* may still be learnt about */
	int64		expire;			/* entries that may still expire */
	ErrorData  *error;			/* of a queue that cannot be read */
} RqRound;

/* Begin a round. */
extern void rq_round_begin(RqRound *r);

/* Is the oldest segment kept, whatever else there is? */
extern bool rq_round_keeps_all(const RqRound *r);

/*
 * Where the segment begins that the log ended in when the round began: nothing
 * that a queue gets from then on lies below, or it is noted (queue/rq_late.h).
 */
extern RqPos rq_round_last_segment(const RqRound *r);

/*
 * Look at the i-th queue of a topic.  One that cannot be read keeps no other
 * from its turn, nor the round from going on: false, and the first error is
 * left in "error", to be thrown when all is done.  Releases all LWLocks then.
 */
typedef void (*RqRoundLook) (RqRound *r, uint32 topic, uint32 i, RqTrim *t);
extern bool rq_round_look(RqRound *r, RqRoundLook look, uint32 topic, uint32 i,
						  RqTrim *t);

#endif							/* RQ_ROUND_H */
