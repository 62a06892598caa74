/*
 * fuzz_queues.h
 *	  Topics, queues and extents in shared memory, for the targets that need no
 *	  more of a server.  To be included by the target alone.
 */
#ifndef FUZZ_QUEUES_H
#define FUZZ_QUEUES_H

#include "base/rq_guc.h"
#include "fuzz_server.h"
#include "extent/rq_extmem.h"
#include "shmem/rq_shmem.h"
#include "topic/rq_tables.h"
#include "topic/rq_topic.h"

bool		InRecovery = false;

const RqPart *const rq_parts[] = {
	&rq_slots_part,
	&rq_tables_part,
	&rq_topics_part,
	&rq_queues_part,
	&rq_extents_part,
	&rq_chunks_part,
	NULL
};

/* ---- input ---- */

static const uint8 *at;
static const uint8 *end;
static uint64 random_state;

/* What the input says, in the end what follows from it. */
static uint32
number(void)
{
	if (at < end)
		random_state ^= (uint64) *at++ << 24;
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32) (random_state >> 16);
}

/* ---- the server ---- */

bool
rq_holds_meta_lock(LWLockMode mode)
{
	return true;
}

static void
fuzz_start_queues(void)
{
	rq_max_topics = 4;
	rq_max_queues = 16;
	rq_max_consumer_slots = 16;
	fuzz_start_server();
}

/* A topic in this slot, whose queues are not anybody's before they are made. */
static void
fuzz_make_topic(uint32 topic, RqKey key, uint32 nqueues)
{
	uint32		begun = rq_slots_begun(rq_queue_pool);

	pg_atomic_write_u64(&rq_topics[topic].key, RQ_KEY_PACK(key));
	rq_topic_index_add(key, topic);
	rq_slots_take(rq_queue_pool, &rq_topics[topic].queues, nqueues);
	rq_queues_begin(begun, rq_slots_begun(rq_queue_pool));
}

static RqQueue *
fuzz_make_queue(uint32 topic, uint32 id, XLogRecPtr born, RqOff start)
{
	RqQueue    *q = rq_queue_find(topic, id);

	q->topic = topic;
	q->id = id;
	q->born = born;
	pg_atomic_write_u64(&q->start, start);
	pg_atomic_write_u64(&q->end, start);
	pg_atomic_write_u64(&q->tail, 0);
	q->head = RQ_EXT_NONE;
	return q;
}

#endif							/* FUZZ_QUEUES_H */
