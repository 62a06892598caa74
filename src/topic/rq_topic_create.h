/*
 * rq_topic_create.h
 *	  Topics that come, and what becomes of them when a transaction ends.
 */
#ifndef RQ_TOPIC_CREATE_H
#define RQ_TOPIC_CREATE_H

#include "access/xlogdefs.h"

#include "base/rq_base.h"
#include "format/rq_settings.h"

/*
 * Give the topic storage with these settings.  WAL-logged at once.  With an
 * "xid" it is a new relation's: it goes away again unless that transaction
 * commits, and what an earlier holder of the key left is removed first.
 * Without one, storage that is there already stays.  Returns the slot.  The
 * caller has made room (rq_room.h).  Throws when a table is full.
 */
extern uint32 rq_topic_ensure(RqKey key, Oid spc,
							  const RqTopicSettings *settings, uint64 xid);

/*
 * Settle topics for which the transaction that has created, dropped or altered
 * them has ended, a bounded number of them.
 * The next call goes on after the last one; true if it should come at once, as
 * there may be more.  Janitor only.
 */
extern bool rq_topic_settle_some(void);

/* The same of all of them, in a session.  Can be interrupted. */
extern void rq_topic_settle_all(void);

/* An RqWalRedo. */
extern void rq_topic_redo(const void *data, uint32 len, XLogRecPtr lsn);

#endif							/* RQ_TOPIC_CREATE_H */
