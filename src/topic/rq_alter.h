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
 * Throw if a queue holds messages that somebody may still want.  The meta lock is
 * held exclusively.
 */
typedef void (*RqQueueMayGo) (uint32 topic, RqQueue *q);

/*
 * Change the settings, from now on for the calling transaction, whose
 * id is "xid", and for all if it commits.  The caller holds the topic's
 * relation exclusively until then.  Throws when a table is full, or when a
 * queue that would go may not: "check" is asked for each of them, and throws.
 */
extern void rq_topic_alter(uint32 topic, const RqTopicSettings *to, uint64 xid,
						   RqQueueMayGo check);

/*
 * Back to these settings, which the transaction has seen before it called
 * rq_topic_alter() or meant to.  Can't throw.
 */
extern void rq_topic_alter_undo(RqKey key, const RqTopicSettings *to);

/* WAL-log what the calling transaction's changes and undos have come to. */
extern void rq_topic_alter_log(RqKey key);

/* Make "seen" tell the outcome of changes that a crash has ended. */
extern void rq_topic_alter_recover(void);

/* The same when the end of a transaction is replayed.  Startup process only. */
extern void rq_topic_alter_replayed(void);

/*
 * The next ones are called with the meta lock held exclusively.  "trash" gets the
 * path of a directory to be removed when the lock is released, if there is any.
 */

/* Settle the change of the topic's settings if its transaction has ended. */
extern void rq_topic_alter_settle(uint32 topic, char *trash);

/*
 * Make the slots of an existing topic say what the record does about settings,
 * and whether they are being changed.  Or the caller is the startup process, when
 * it loads the state.
 */
extern void rq_topic_apply_alter(uint32 topic, const xl_rq_topic *rec,
								 XLogRecPtr lsn);

extern void rq_topic_redo_alter(uint32 topic, const xl_rq_topic *rec,
								XLogRecPtr lsn, char *trash);

#endif							/* RQ_ALTER_H */
