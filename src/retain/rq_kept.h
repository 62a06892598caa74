/*
 * rq_kept.h
 *	  What keeps the log, for the views and the server log.
 */
#ifndef RQ_KEPT_H
#define RQ_KEPT_H

#include "base/rq_base.h"
#include "shmem/rq_parts.h"

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

extern const RqPart rq_kept_part;

/* What the janitor last found to keep the log.  Takes the meta lock. */
extern RqKept rq_kept_get(void);

/* It has found this.  Janitor only; takes the meta lock if that is new. */
extern void rq_kept_publish(const RqKept *kept);

/* Who or what keeps the log from being trimmed, for people; palloc'd. */
extern char *rq_kept_by(const RqKept *kept);

#endif							/* RQ_KEPT_H */
