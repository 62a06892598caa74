/*
 * rq_topic.h
 *	  Topics as storage: which exist and which queues they have.
 */
#ifndef RQ_TOPIC_H
#define RQ_TOPIC_H

#include "format/rq_walrec.h"
#include "shmem/rq_shmem.h"

/* The topic's slot, RQ_NO_SLOT if it has no storage.  Takes the meta lock. */
extern uint32 rq_topic_find(RqKey key);

/*
 * Give the topic storage with these settings.  WAL-logged at once.  With an
 * "xid" it is a new relation's: it goes away again unless that transaction
 * commits, and what an earlier holder of the key left is removed first.
 * Without, storage that is there already stays.  Returns the slot.  Throws
 * when a table is full.
 */
extern uint32 rq_topic_ensure(RqKey key, Oid spc,
							  const RqTopicSettings *settings, uint64 xid);

/*
 * Remove the topic's storage, if it is still the one created by the record with
 * this LSN; WAL-logged.  Nobody uses it any more.  False if it is gone.
 */
extern bool rq_topic_drop(RqKey key, XLogRecPtr created);

/*
 * Unless so many slots of queues and of offsets are free, remove what is known
 * to be garbage and waits for the janitor.  Takes the gate and the meta lock.
 */
extern void rq_topic_make_room(uint32 nqueues, uint64 noffsets);

/*
 * Remove the storage of topics that have been dropped and, given a function
 * that looks for a topic's relation, of those that have none; at most that many.
 * Returns how many.
 */
typedef bool (*RqTopicExists) (RqKey key, Oid spc);
extern int	rq_topic_drop_garbage(RqTopicExists exists, int most);

/* The same for all topics of a database. */
extern void rq_topic_drop_database(Oid db);

/* Mark the storage of a dropped topic for the janitor.  Can't throw. */
extern void rq_topic_doom(RqKey key);

/*
 * Settle topics whose creator has ended, or who has dropped or altered them;
 * some in a call.  False if there was none.  Janitor only.
 */
extern bool rq_topic_settle_all(void);

/*
 * Would the topic's storage, or some of its queues, go if the calling
 * transaction, which holds a lock on its relation, were rolled back?
 */
extern bool rq_topic_is_own(uint32 topic);

/* The queue's slot; "queue_id" must be below the topic's number of queues. */
extern RqQueue *rq_topic_queue(uint32 topic, uint32 queue_id);

static inline RqKey
rq_topic_key(uint32 topic)
{
	uint64		packed = pg_atomic_read_u64(&rq_topics[topic].key);
	RqKey		key = {.db = (Oid) (packed >> 32), .rel = (Oid) packed};

	return key;
}

/* How many queues there are to use. */
static inline uint32
rq_topic_nqueues(uint32 topic)
{
	return pg_atomic_read_u32(&rq_topics[topic].nqueues);
}

/* How many there are to look after, those in doubt included. */
static inline uint32
rq_topic_nslots(uint32 topic)
{
	return rq_topics[topic].queues.n;
}

/*
 * Make the slots say so; the caller holds the meta lock exclusively or is the
 * startup process.  "lsn" is the end of the record that creates the topic.
 */
extern uint32 rq_topic_apply(RqKey key, Oid spc,
							 const RqTopicSettings *settings, uint64 xid,
							 XLogRecPtr lsn);

/* The slot a redo record with this LSN is about, RQ_NO_SLOT if it's gone. */
extern uint32 rq_topic_for_redo(RqKey key, XLogRecPtr lsn);

/* These are RqWalRedo. */
extern void rq_topic_redo(const void *data, uint32 len, XLogRecPtr lsn);
extern void rq_topic_redo_drop(const void *data, uint32 len, XLogRecPtr lsn);

#endif							/* RQ_TOPIC_H */
