/*
 * rq_statecopy.h
 *	  Copy what has changed of the store's state.
 */
#ifndef RQ_STATECOPY_H
#define RQ_STATECOPY_H

#include "wal/rq_statewrite.h"

/* What a sync takes. */
typedef struct RqStateCopy
{
	RqStateWriter *w;			/* copies of slots go there */
	bool		image;			/* which is that of an image */
	uint64	   *taken[RQ_SLOT_KINDS];	/* bits, to be set again if it fails */
	RqStateGap *gaps;
	uint32		ngaps;
	RqStateBatch numbers;		/* of the store; others set the flags */
} RqStateCopy;

/* Take the memory for one, in the current context. */
extern void rq_state_copy_begin(RqStateCopy *c);

/*
 * Copy the state, after the caller has set where to.  "wal_upto" is how far
 * WAL has been replayed, or InvalidXLogRecPtr after recovery.  Takes the meta
 * lock shared, and in it the locks of queues and offsets.  May throw.
 */
extern void rq_state_copy(RqStateCopy *c, XLogRecPtr wal_upto);

/* The copy does not count: what is in it is to be copied again. */
extern void rq_state_copy_undo(const RqStateCopy *c);

#endif							/* RQ_STATECOPY_H */
