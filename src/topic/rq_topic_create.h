/*
 * rq_topic_create.h
 *	  Topics that come, and what becomes of them when a transaction ends.
 */
#ifndef RQ_TOPIC_CREATE_H
#define RQ_TOPIC_CREATE_H

#include "access/xlogdefs.h"

#include "base/rq_base.h"
#include "format/rq_settings.h"
#include "topic/rq_settle.h"

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
 * True if the next call should come at once; see rq_settle_some().  Takes the gate
 * and the meta lock.
 */
extern bool rq_topic_settle_some(RqPass *pass);

/* An RqWalRedo. */
extern void rq_topic_redo(const void *data, uint32 len, XLogRecPtr lsn);

#endif							/* RQ_TOPIC_CREATE_H */
