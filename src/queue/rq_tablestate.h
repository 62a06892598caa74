/*
 * rq_tablestate.h
 *	  Topics, queues, groups and offsets in the state file.
 */
#ifndef RQ_TABLESTATE_H
#define RQ_TABLESTATE_H

#include "format/rq_stateslots.h"

/*
 * How many slots of a table have ever been used: the first ones.  What is in the
 * others means nothing.  Exact under the meta lock.
 */
extern uint32 rq_table_begun(RqSlotKind kind);

/*
 * Copy a slot as the state file has it, one that has been used before; false if it
 * is free.  The caller holds the meta lock; takes the slot's lock.
 */
extern bool rq_table_copy(RqSlotKind kind, uint32 slot, RqStateSlot *copy);

/*
 * Make what a state file has, in fresh tables.  The slots are others then: the
 * numbers in the file say nothing about the tables any more.  Called by the
 * postmaster, or by a server in single-user mode, with the meta lock held
 * exclusively.  FATAL if it does not fit together.
 */
extern void rq_table_load(const RqStateSlots *s);

#endif							/* RQ_TABLESTATE_H */
