/*
 * rq_readers.h
 *	  The queues that the current transaction reads or moves for groups.
 */
#ifndef RQ_READERS_H
#define RQ_READERS_H

#include "consume/rq_cursor.h"

/*
 * One queue that this transaction reads for a group.  The transaction owns the
 * queue or the group (rq_owner.h) while "reading" or "committing" is set.  Both
 * end with the transaction, or the part of it that is rolled back.
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

	/* rq_readers.c's own: the last action that noted them; -1 = none */
	int			next_noted;
	int			commit_noted;
} RqReader;

/* Take part in transactions; once, from _PG_init. */
extern void rq_readers_init(void);

/* The transaction's reader of this queue, NULL if it has none. */
extern RqReader *rq_readers_find(const RqCursor *c);

/* The same, made if it is new; throws if it is too late or memory is short. */
extern RqReader *rq_readers_get(const RqCursor *c);

/* The i-th reader, NULL after the last one. */
extern RqReader *rq_readers_at(int i);

/* Where the reader of a queue goes on, for which the transaction owns it. */
extern RqOff rq_reader_position(const RqReader *r, const RqCursor *c);

/* They throw if it is too late or memory is short, with nothing changed. */
extern void rq_reader_set_next(RqReader *r, RqOff next);
extern void rq_reader_set_commit(RqReader *r, RqOff commit);

/* Commit what the reader has read, unless it commits more already. */
extern void rq_reader_commit_read(RqReader *r);

#endif							/* RQ_READERS_H */
