/*
 * rq_room.c
 *	  Room in the tables for what is about to be made.
 *
 * What holds slots, although nobody needs it any more?  Topics that have been
 * dropped, or whose creation was rolled back; groups likewise; and queues, with
 * an offset in each group, by which a topic was made smaller.  For some of it,
 * shared memory says so ("doomed", "abandoned"); for the rest, the outcome of a
 * transaction does, as soon as that has ended.
 */
#include "postgres.h"

#include "base/rq_guc.h"
#include "shmem/rq_shmem.h"
#include "shmem/rq_slots.h"
#include "topic/rq_group.h"
#include "topic/rq_group_create.h"
#include "topic/rq_group_drop.h"
#include "topic/rq_room.h"
#include "topic/rq_settle.h"
#include "topic/rq_tables.h"
#include "topic/rq_topic.h"
#include "topic/rq_topic_create.h"
#include "topic/rq_topic_drop.h"

/* How many slots somebody wants, in whole blocks. */
typedef struct Room
{
	uint32		topics;
	uint32		groups;
	uint64		queues;
	uint64		offsets;
} Room;

/* Read without the lock, so this is an estimate. */
static bool
there_is(const Room *room)
{
	return (uint64) rq_tables->ntopics + room->topics <= (uint64) rq_max_topics &&
		(uint64) rq_tables->ngroups + room->groups <= (uint64) rq_max_groups &&
		rq_slots_left(rq_queue_pool) >= room->queues &&
		rq_slots_left(rq_offset_pool) >= room->offsets;
}

/*
 * Until there is room, or all slots have been looked at.  If one makes it fail,
 * the next search begins behind that; and what can be seen to be damaged is left
 * to the janitor, which reports it, since it is no reason to refuse what has
 * room all the same.
 */
static void
settle(const Room *room)
{
	static RqPass groups = {.skip_damaged = true};
	static RqPass topics = {.skip_damaged = true};
	bool		more = true;

	groups.looked = topics.looked = 0;
	while (more && !there_is(room))
		more = rq_group_settle_some(&groups);
	more = true;
	while (more && !there_is(room))
	{
		more = rq_topic_settle_some(&topics);
		rq_topic_drop_doomed();
	}
}

/* What is known to be garbage first, since to settle the rest is a search. */
static void
make(const Room *room)
{
	if (there_is(room))
		return;
	rq_topic_drop_doomed();
	(void) rq_group_drop_abandoned(INT_MAX);
	if (there_is(room))
		return;
	settle(room);
}

void
rq_room_for_topic(uint32 nqueues)
{
	const Room	room = {.topics = 1, .queues = rq_slots_needed(0, nqueues)};

	make(&room);
}

void
rq_room_for_group(uint32 topic)
{
	const Room	room = {.groups = 1,
	.offsets = rq_slots_needed(0, rq_topic_nslots(topic))};

	make(&room);
}

static uint32
groups_now(uint32 topic)
{
	uint32		n;

	LWLockAcquire(rq_meta_lock, LW_SHARED);
	n = rq_group_count(topic);
	LWLockRelease(rq_meta_lock);
	return n;
}

void
rq_room_for_copy(uint32 topic, uint32 nqueues)
{
	Room		room = {.topics = 1, .queues = rq_slots_needed(0, nqueues)};

	room.groups = groups_now(topic);
	room.offsets = (uint64) room.groups * room.queues;
	make(&room);
}

void
rq_room_for_queues(uint32 topic, uint32 nslots)
{
	Room		room = {.queues = rq_slots_needed(rq_topic_nslots(topic), nslots)};

	room.offsets = (uint64) groups_now(topic) * room.queues;
	make(&room);
}
