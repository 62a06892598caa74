/*
 * rq_txn.h
 *	  What the current transaction has produced, consumed and changed.
 *
 * All of it takes effect at commit and is undone by ROLLBACK and by ROLLBACK
 * TO SAVEPOINT.
 */
#ifndef RQ_TXN_H
#define RQ_TXN_H

#include "format/rq_walrec.h"
#include "queue/rq_group.h"

/*
 * One queue that this transaction reads for a group.  The transaction owns the
 * queue or the group (rq_owner.h) while "reading" or "committing" is set.
 */
typedef struct RqReader
{
	uint32		topic;
	RqGroupRef	group;
	uint32		queue_id;
	bool		reading;		/* "next" is set */
	bool		committing;		/* "commit" is set */
	RqOff		next;			/* where the next consume goes on */
	RqOff		commit;			/* what the group gets at commit */

	/* rq_txn.c's own */
	uint32		index;			/* in its list */
	int			next_action;	/* the last that noted "next"; -1 = none */
	int			commit_action;	/* the same for "commit" */
} RqReader;

/* Register the transaction callbacks; once, from _PG_init. */
extern void rq_txn_init(void);

/* Throw if this point of the transaction is too late for changes. */
extern void rq_txn_check_open(void);

/* Add messages in the log to what the transaction enqueues at commit. */
extern void rq_txn_produce(uint32 topic, uint32 queue_id,
						   const xl_rq_entry *entries, int count);

/* The transaction's reader of this queue, NULL if it has none. */
extern RqReader *rq_txn_find_reader(RqGroupRef group, uint32 queue_id);

/* The same, made if it is new. */
extern RqReader *rq_txn_reader(uint32 topic, RqGroupRef group,
							   uint32 queue_id);

/* The i-th reader, NULL behind the last one. */
extern RqReader *rq_txn_reader_at(int i);

extern void rq_txn_set_next(RqReader *r, RqOff next);
extern void rq_txn_set_commit(RqReader *r, RqOff commit);

extern void rq_txn_topic_created(RqKey key);
extern void rq_txn_topic_dropped(RqKey key);

/*
 * Before the topic gets this number of queues: throws if the transaction has
 * produced into one that would go.
 */
extern void rq_txn_topic_altered(uint32 topic, uint32 nqueues);

/*
 * Before and after a group is created: the first makes room for what the second
 * notes, which then can't fail.
 */
extern void rq_txn_group_creating(void);
extern void rq_txn_group_created(RqGroupRef group);
extern void rq_txn_group_dropped(RqGroupRef group);

#endif							/* RQ_TXN_H */
