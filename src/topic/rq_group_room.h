/*
 * rq_group_room.h
 *	  Is there room for groups, and the slots of their offsets?
 */
#ifndef RQ_GROUP_ROOM_H
#define RQ_GROUP_ROOM_H

#include "access/xlogdefs.h"

#include "base/rq_base.h"

/*
 * Throw if the topic's groups would take more than its share of consumer slots
 * with this many queues.  The caller holds the meta lock.
 */
extern void rq_group_check_share(uint32 topic, uint32 nqueues);

/*
 * The same for one more group, whose number is bounded, too.  The caller holds
 * the meta lock.
 */
extern void rq_group_check_share_of_new(uint32 topic);

/*
 * Throw unless there is room for one more group with this many offsets.  The
 * caller holds the meta lock exclusively.
 */
extern void rq_group_check_room_for_new(uint32 nqueues);

/*
 * Give a group offsets until it has this many, for which there is room; or
 * leave it no more than this many.  The caller holds the meta lock exclusively.
 */
extern void rq_group_take_offsets(uint32 group, uint32 nqueues);
extern void rq_group_cut_offsets(uint32 group, uint32 nqueues);

/*
 * When the number of the topic's queues changes, under the meta lock held
 * exclusively: give all its groups offsets for "nslots" queues, or throw and
 * change nothing; cut them to this many; note the record that made the new
 * ones.
 */
extern void rq_group_take_slots(uint32 topic, uint32 nslots);
extern void rq_group_cut_slots(uint32 topic, uint32 nslots);
extern void rq_group_stamp_slots(uint32 topic, XLogRecPtr lsn);

#endif							/* RQ_GROUP_ROOM_H */
