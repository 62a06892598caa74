/*
 * rq_statewrite.h
 *	  Write what a sync has copied to the state file.
 */
#ifndef RQ_STATEWRITE_H
#define RQ_STATEWRITE_H

#include "format/rq_statefmt.h"

/*
 * The state file as it is to be lengthened, in shared memory.  Zeros: what it
 * has was loaded, and the slots have other numbers by now, so it is replaced.
 */
typedef struct RqStateFile
{
	uint64		id;
	uint64		seq;			/* of the last sync */
	uint64		length;			/* with it */
	uint64		image_length;	/* with the image only */
	bool		has_final;		/* one of its syncs is RQ_STATE_FINAL: it is
								 * to be replaced before it gets others */
	uint32		attempts;		/* syncs that were begun */
} RqStateFile;

/*
 * So many slots at most are copied under one hold of the meta lock; a batch has
 * room for them.
 */
#define RQ_STATE_HOLD_SLOTS	1024

/* A sync that is being written. */
typedef struct RqStateWriter RqStateWriter;

/*
 * Is it time for an image?  The file is new, or has become long, or has a final
 * sync.
 */
extern bool rq_state_file_is_long(const RqStateFile *file);

/* Is there no file that could be lengthened? */
extern bool rq_state_file_is_gone(const RqStateFile *file);

/*
 * Begin a sync; "file" is updated when it is finished.  An image gets what
 * "header" has of the store: the size of segments, its number and flags.
 * rq_state_write_close() must be called whatever happens in between.
 */
extern RqStateWriter *rq_state_write_begin(RqStateFile *file, bool image,
										   const RqStateHeader *header);

/*
 * Make room for this many records, so that adding them writes nothing yet, and
 * so can't throw.  May throw, for lack of disk space.
 */
extern void rq_state_write_room(RqStateWriter *w, uint32 nrecords);

/* Add a record; "slot" is NULL if the slot is free. */
extern void rq_state_write_add(RqStateWriter *w, uint32 kind, uint32 slot,
							   const RqStateSlot *copy);

/* The same for all gaps of a sync; may throw. */
extern void rq_state_write_gaps(RqStateWriter *w, const RqStateGap *gaps, uint32 n);

/* So many records have been added. */
extern uint64 rq_state_write_count(const RqStateWriter *w);

/*
 * Have the kernel begin to write what has been added, or with "wait" have it on
 * disk.  PANIC if fsync fails.
 */
extern void rq_state_write_ahead(RqStateWriter *w, bool wait);

/* What has been added so far is not of the sync that is counted. */
extern void rq_state_write_goes_on(RqStateWriter *w);

/*
 * The sync counts from here on, durably: with these numbers and flags.  Returns
 * how many bytes it has.
 */
extern uint64 rq_state_write_finish(RqStateWriter *w, const RqStateBatch *numbers);
extern void rq_state_write_close(RqStateWriter *w);

#endif							/* RQ_STATEWRITE_H */
