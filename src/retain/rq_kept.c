/*
 * rq_kept.c
 *	  What keeps the log, for the views and the server log.
 */
#include "postgres.h"

#include "base/rq_text.h"
#include "retain/rq_kept.h"
#include "shmem/rq_shmem.h"

/* The janitor's, under the meta lock. */
static RqKept *last_kept = NULL;

const RqPart rq_kept_part = {
	.name = "retention",
	.item_size = sizeof(RqKept),
	.table = (void **) &last_kept
};

RqKept
rq_kept_get(void)
{
	RqKept		kept;

	LWLockAcquire(rq_meta_lock, LW_SHARED);
	kept = *last_kept;
	LWLockRelease(rq_meta_lock);
	return kept;
}

/* Written by the janitor alone, so it may compare without the lock. */
void
rq_kept_publish(const RqKept *kept)
{
	if (memcmp(last_kept, kept, sizeof(*kept)) == 0)
		return;
	LWLockAcquire(rq_meta_lock, LW_EXCLUSIVE);
	*last_kept = *kept;
	LWLockRelease(rq_meta_lock);
}

/*
 * Topics by their keys: names are known only in their database, where the
 * janitor is not.
 */
char *
rq_kept_by(const RqKept *kept)
{
	switch (kept->what)
	{
		case RQ_KEEPS_UNKNOWN:
			break;
		case RQ_KEEPS_WRITING:
			return pstrdup("being written");
		case RQ_KEEPS_TIME:
			if (kept->key.rel == 0)
				return pstrdup("retention_time");
			return psprintf("retention_time of topic %u/%u",
							kept->key.db, kept->key.rel);
		case RQ_KEEPS_GROUP:
			return psprintf("group %s of %u/%u",
							rq_text_from(kept->key.db, kept->group),
							kept->key.db, kept->key.rel);
		case RQ_KEEPS_XACT:
			return psprintf("transaction of process %d", kept->pid);
		case RQ_KEEPS_READER:
			return psprintf("reader process %d", kept->pid);
		case RQ_KEEPS_UNRESOLVED:
			return psprintf("unresolved entries of %u/%u",
							kept->key.db, kept->key.rel);
		case RQ_KEEPS_UNREADABLE:
			return psprintf("unreadable queue %u of %u/%u",
							kept->queue_id, kept->key.db, kept->key.rel);
	}
	return pstrdup("not known yet");
}
