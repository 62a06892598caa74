/*
 * rq_stateimage.h
 *	  A new image of the state, written while the old file is in use.
 *
 * For the process that syncs the store, between its syncs; see rq_state.h.
 */
#ifndef RQ_STATEIMAGE_H
#define RQ_STATEIMAGE_H

#include "wal/rq_statewrite.h"

/*
 * If an image of the file is due, begin it, or write the next slice of it, which
 * is bounded.  "header" has what is written of the store.  Takes the meta lock shared, and in it the locks of queues and offsets.  May
 * throw; then the image is given up, and tried again some time later.
 */
extern void rq_state_image_go_on(RqStateFile *file, const RqStateHeader *header);

/* Write all that the image lacks, whether it is due or not; the same holds. */
extern void rq_state_image_complete(RqStateFile *file, const RqStateHeader *header);

/* Has none failed lately, and if so, was it for lack of disk space? */
extern bool rq_state_image_may_begin(void);
extern bool rq_state_image_lacks_room(void);

/* Is there an image that has all slots? */
extern bool rq_state_image_is_complete(void);

/* A sync takes these bits of a word of rq_changed for the file that is in use. */
extern void rq_state_image_miss(RqSlotKind kind, uint32 word, uint64 bits);

/*
 * The sync that is begun is that of the image, which is complete.  Sets those
 * bits again, so that the sync copies what the image lacks.  Returns its writer,
 * which rq_state_image_give_up() closes in the end.
 */
extern RqStateWriter *rq_state_image_take(void);

/* Forget the image, if there is one, and remove it unless it is the file now. */
extern void rq_state_image_give_up(void);

#endif							/* RQ_STATEIMAGE_H */
