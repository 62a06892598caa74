/*
 * rq_topic_drop.h
 *	  Topics whose storage goes.
 */
#ifndef RQ_TOPIC_DROP_H
#define RQ_TOPIC_DROP_H

#include "access/xlogdefs.h"

#include "base/rq_base.h"

/*
 * Remove the topic's storage, if it is still the one created by the record
 * with this LSN; WAL-logged.  Nobody uses it any more.  False if it no longer
 * exists.
 */
extern bool rq_topic_drop(RqKey key, XLogRecPtr created);

/*
 * Remove the storage of topics that have been dropped and, given a function
 * that looks for a topic's relation, of those that have none; of at most
 * "most" topics.  Returns how many.
 */
typedef bool (*RqTopicExists) (RqKey key, Oid spc);
extern int	rq_topic_drop_garbage(RqTopicExists exists, int most);

/* Of all topics that are known to have been dropped. */
extern void rq_topic_drop_doomed(void);

/* The same for all topics of a database. */
extern void rq_topic_drop_database(Oid db);

/* Mark the storage of a dropped topic for the janitor.  Can't throw. */
extern void rq_topic_doom(RqKey key);

/* The same for the topic in this slot; the meta lock is held exclusively. */
extern void rq_topic_doom_locked(uint32 topic);

/* An RqWalRedo. */
extern void rq_topic_redo_drop(const void *data, uint32 len, XLogRecPtr lsn);

#endif							/* RQ_TOPIC_DROP_H */
