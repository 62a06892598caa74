/*
 * rq_stateslots.h
 *	  What a state file says last about each slot.
 */
#ifndef RQ_STATESLOTS_H
#define RQ_STATESLOTS_H

#include "format/rq_statefmt.h"

typedef struct RqStateSlots RqStateSlots;

/*
 * Read a file that has been checked; NULL if it can't be read again.  In memory
 * of the current context.
 */
extern RqStateSlots *rq_state_slots(const RqStateSource *s, const RqStateFound *found);

/* One past the highest slot of a kind that the file names. */
extern uint32 rq_state_slots_end(const RqStateSlots *s, RqSlotKind kind);

/* A slot below that; NULL if it is free. */
extern const RqStateSlot *rq_state_slot(const RqStateSlots *s, RqSlotKind kind,
										uint32 slot);

/* The gaps of the last sync. */
extern const RqStateGap *rq_state_gaps(const RqStateSlots *s, uint32 *n);

#endif							/* RQ_STATESLOTS_H */
