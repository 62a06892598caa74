/*
 * rq_topic.h
 *	  Slots of topics: which there are, their queues and settings.
 */
#ifndef RQ_TOPIC_H
#define RQ_TOPIC_H

#include "format/rq_settings.h"
#include "format/rq_walrec.h"
#include "shmem/rq_shmem.h"
#include "topic/rq_tables.h"

/* The topic's slot, RQ_NO_SLOT if it has no storage.  Takes the meta lock. */
extern uint32 rq_topic_find(RqKey key);

/*
 * Have the columns of the topic's relation neither a default nor NOT NULL?  It is
 * noted by who has looked, so that others need not, and taken back by who
 * changes a column.  The caller has a lock on the relation, and whoever says
 * that they are plain none that would let it have changed them: what it sees
 * can still be rolled back.  Not logged; after a start nobody has looked.
 */
extern void rq_topic_note_columns(uint32 topic, bool plain);
extern bool rq_topic_has_plain_columns(uint32 topic);

/*
 * The settings as the calling transaction sees them, which holds a lock on the
 * topic's relation, or the meta lock.
 */
extern RqTopicSettings rq_topic_settings(uint32 topic);

/*
 * The settings as they are committed, whether or not the janitor has settled
 * them.  The caller holds the meta lock as long as it uses the result.  Throws
 * when the commit log of PostgreSQL can't be read.
 */
extern const RqTopicSettings *rq_topic_committed(uint32 topic);

/*
 * Let the topic's users see these settings.  The caller holds the meta lock
 * exclusively.
 */
extern void rq_topic_set_seen(uint32 topic, const RqTopicSettings *settings);

/*
 * Would the topic's storage, or some of its queues, go if the calling
 * transaction, which holds a lock on its relation, were rolled back?
 */
extern bool rq_topic_is_own(uint32 topic);

/* The queue's slot; "queue_id" must be below the topic's number of queues. */
extern RqQueue *rq_topic_queue(uint32 topic, uint32 queue_id);

/* Throw unless the topic has that queue. */
extern void rq_topic_check_queue(uint32 topic, int64 queue_id);

static inline RqKey
rq_topic_key(uint32 topic)
{
	uint64		packed = pg_atomic_read_u64(&rq_topics[topic].key);
	RqKey		key = {.db = (Oid) (packed >> 32), .rel = (Oid) packed};

	return key;
}

/* The key of the topic that a queue belongs to; the caller keeps the queue. */
static inline RqKey
rq_queue_key(const RqQueue *q)
{
	Assert(q->topic != RQ_NO_SLOT);
	return rq_topic_key(q->topic);
}

/* How many queues there are to use. */
static inline uint32
rq_topic_nqueues(uint32 topic)
{
	return pg_atomic_read_u32(&rq_topics[topic].nqueues);
}

/* How many have slots, including those that a transaction adds or removes. */
static inline uint32
rq_topic_nslots(uint32 topic)
{
	return rq_topics[topic].queues.n;
}

/*
 * Make a slot for this topic; if it has one, note in it that "xid" creates it.
 * The caller holds the meta lock exclusively.  "lsn" is the end of the
 * record that creates the topic.  Throws when a table is full.
 */
extern uint32 rq_topic_apply(RqKey key, Oid spc,
							 const RqTopicSettings *settings, uint64 xid,
							 XLogRecPtr lsn);

/*
 * The slot that a record with this LSN is about; RQ_NO_SLOT if the topic no
 * longer exists, or the key is another topic's by now.  The caller holds the
 * meta lock or is the startup process.
 */
extern uint32 rq_topic_for_redo(RqKey key, XLogRecPtr lsn);

#endif							/* RQ_TOPIC_H */
