/*
 * rq_topic_txn.h
 *	  Topics that the current transaction creates, drops and alters.
 */
#ifndef RQ_TOPIC_TXN_H
#define RQ_TOPIC_TXN_H

#include "base/rq_base.h"

/*
 * Note, to be undone with the transaction or a part of it: that storage with
 * this key is about to be made; that it is no longer its relation's; that the
 * topic's settings are about to change.  They throw if the transaction is past
 * pre-commit or memory is short.
 */
extern void rq_topic_note_created(RqKey key);
extern void rq_topic_note_dropped(RqKey key);
extern void rq_topic_note_altered(uint32 topic);

/* Has the transaction dropped the storage with this key?  Can't throw. */
extern bool rq_topic_is_dropped(RqKey key);

#endif							/* RQ_TOPIC_TXN_H */
