/*
 * rq_retain.h
 *	  Remove messages that nobody needs any more.
 */
#ifndef RQ_RETAIN_H
#define RQ_RETAIN_H

#include "shmem/rq_shmem.h"

/* Trim what may go.  Janitor only. */
extern void rq_retain_round(void);

/* What keeps the oldest segment that is kept. */
typedef enum RqKeeps
{
	RQ_KEEPS_UNKNOWN,			/* not checked yet, or not to the end */
	RQ_KEEPS_WRITING,			/* the log is written there */
	RQ_KEEPS_TIME,
	RQ_KEEPS_GROUP,
	RQ_KEEPS_XACT,
	RQ_KEEPS_READER,
	RQ_KEEPS_UNRESOLVED,
	RQ_KEEPS_UNREADABLE			/* a queue of which a file cannot be read */
} RqKeeps;

/* The lowest position that must stay, as the janitor last found. */
typedef struct RqKept
{
	RqKeeps		what;
	RqPos		pos;
	RqKey		key;			/* topic of a group, a queue or entries, or 0 */
	uint32		queue_id;
	int			pid;			/* of a transaction or reader */
	char		group[RQ_GROUP_NAME_MAX + 1];
} RqKept;

extern const RqPart rq_retain_part;

/* What the janitor last found to keep the log.  Takes the meta lock. */
extern RqKept rq_retain_kept(void);

/*
 * How long messages of a topic are kept, in seconds; -1 = forever.  The
 * caller holds the meta lock.
 */
extern int	rq_retain_time(uint32 topic);

/* Who or what keeps the log from being trimmed, for people; palloc'd. */
extern char *rq_retain_kept_by(const RqKept *kept);

#endif							/* RQ_RETAIN_H */
