/*
 * rq_alter.h
 *	  Change the settings of a topic.
 */
#ifndef RQ_ALTER_H
#define RQ_ALTER_H

#include "format/rq_settings.h"
#include "format/rq_walrec.h"
#include "shmem/rq_shmem.h"
#include "topic/rq_tables.h"

/*
 * Throw if a queue holds messages that somebody may still want.  The meta lock
 * is held exclusively.
 */
typedef void (*RqQueueMayGo) (RqQueue *q);

/*
 * Change the settings, from now on for the calling transaction, whose id is
 * "xid", and for everybody if it commits.  The caller holds the topic's
 * relation locked exclusively until then.  Throws when a table is full, or
 * when a queue that would go must stay: "check" is called for each of them,
 * and throws then.
 */
extern void rq_topic_alter(uint32 topic, const RqTopicSettings *to, uint64 xid,
						   RqQueueMayGo check);

/*
 * Back to these settings, which the transaction saw before it called
 * rq_topic_alter() or was about to.  Can't throw.
 */
extern void rq_topic_alter_undo(RqKey key, const RqTopicSettings *to);

/* WAL-log what the calling transaction's changes and undos have come to. */
extern void rq_topic_alter_log(RqKey key);

/* Let the topics' users see the outcome of changes that recovery knows. */
extern void rq_topic_alter_recover(void);

/* The same when the end of a transaction is replayed.  Startup process only. */
extern void rq_topic_alter_replayed(void);

/*
 * The next ones are called with the meta lock held exclusively.  "trash" gets
 * the path of a directory to be removed when the lock is released, if there is
 * any.
 */

/* Settle the change of the topic's settings if its transaction has ended. */
extern void rq_topic_alter_settle(uint32 topic, char *trash);

/*
 * Make the slots of an existing topic say what the record does about settings,
 * and whether they are being changed.  When the state is loaded, the startup
 * process calls it without the lock.
 */
extern void rq_topic_apply_alter(uint32 topic, const xl_rq_topic *rec,
								 XLogRecPtr lsn);

extern void rq_topic_redo_alter(uint32 topic, const xl_rq_topic *rec,
								XLogRecPtr lsn, char *trash);

#endif							/* RQ_ALTER_H */
