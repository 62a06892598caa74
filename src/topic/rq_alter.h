/*
 * rq_alter.h
 *	  Change the settings of a topic.
 */
#ifndef RQ_ALTER_H
#define RQ_ALTER_H

#include "extent/rq_extlist.h"
#include "format/rq_settings.h"
#include "format/rq_walrec.h"
#include "shmem/rq_shmem.h"
#include "topic/rq_tables.h"

/*
 * May queues from number "nqueues" on be removed?
 *
 * look() is called with a lock on the topic's relation, but no other, so it
 * can take long.  It throws when one of them holds messages that somebody may
 * still want, and otherwise returns what it has found, palloc'd.
 *
 * still_holds() is called afterwards with the meta lock held exclusively: can
 * it be told from that, which was found under no lock, that they may go?  If
 * not, look() is called again.
 */
typedef struct RqRemovalCheck
{
	void	   *(*look) (uint32 topic, uint32 nqueues);
	bool		(*still_holds) (uint32 topic, uint32 nqueues,
								const void *looked);
} RqRemovalCheck;

/*
 * Change the settings, from now on for the calling transaction, whose id is
 * "xid", and for everybody if it commits.  The caller holds the topic's
 * relation locked exclusively until then, and has made room (rq_room.h).  Throws
 * when a table is full, or when by "check" a queue that would go must stay.
 */
extern void rq_topic_alter(uint32 topic, const RqTopicSettings *to, uint64 xid,
						   const RqRemovalCheck *check);

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
 * The next ones are called with the meta lock held exclusively.  "gone" gets
 * the extents of queues that go, to be given back when the lock is released.
 */

/* Settle the change of the topic's settings if its transaction has ended. */
extern void rq_topic_alter_settle(uint32 topic, RqExtChains *gone);

/*
 * Make the slots of an existing topic say what the record does about settings,
 * and whether they are being changed.  When the state is loaded, the startup
 * process calls it without the lock, and no queue goes ("gone" is NULL).
 */
extern void rq_topic_apply_alter(uint32 topic, const xl_rq_topic *rec,
								 XLogRecPtr lsn, RqExtChains *gone);

extern void rq_topic_redo_alter(uint32 topic, const xl_rq_topic *rec,
								XLogRecPtr lsn, RqExtChains *gone);

#endif							/* RQ_ALTER_H */
