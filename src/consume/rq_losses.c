/*
 * rq_losses.c
 *	  What groups lose to retention.
 *
 * The slot of an offset has the number, for the views.  What the server log has
 * not been told yet is kept here, in the memory of the janitor, which is the one
 * who removes messages: a group's losses in a queue are told no more often than
 * once in a while, and together.  If there are too many groups and queues to
 * name, the rest is told as a sum.
 */
#include "postgres.h"

#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/rq_text.h"
#include "consume/rq_losses.h"
#include "topic/rq_topic.h"

/* A group's losses in a queue are told no more often than this. */
#define TELL_INTERVAL	(60 * USECS_PER_SEC)

/* How many lines a round writes. */
#define TELL_ROUND		256

/* How many groups and queues are told apart. */
#define NAMED_MAX		65536

typedef struct LossKey
{
	uint32		group_id;
	uint32		queue_id;
} LossKey;

typedef struct Untold
{
	LossKey		key;
	uint32		group;			/* slot */
	uint64		count;
	RqOff		from;			/* where the group was before the first */
	TimestampTz told_at;
} Untold;

static HTAB *untold = NULL;

/* Those that are not in it. */
static uint64 unnamed = 0;
static TimestampTz unnamed_told_at = 0;

void
rq_losses_expect(RqGroupRef group, uint32 queue_id)
{
	const LossKey key = {.group_id = group.id, .queue_id = queue_id};
	Untold	   *u;
	bool		found;

	if (untold == NULL)
	{
		HASHCTL		info = {.keysize = sizeof(LossKey),
		.entrysize = sizeof(Untold), .hcxt = TopMemoryContext};

		untold = hash_create("rocketq losses", 64, &info,
							 HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	if (hash_get_num_entries(untold) >= NAMED_MAX)
		return;
	u = hash_search(untold, &key, HASH_ENTER, &found);
	if (!found)
	{
		u->group = group.slot;
		u->count = 0;
		u->told_at = 0;
	}
}

void
rq_losses_note(RqGroupRef group, uint32 queue_id, RqOff from, uint64 count)
{
	const LossKey key = {.group_id = group.id, .queue_id = queue_id};
	RqOffset   *o = rq_offset_find(group.slot, queue_id);
	Untold	   *u = hash_search(untold, &key, HASH_FIND, NULL);

	RQ_ASSERT_META_LOCK(LW_SHARED);
	LWLockAcquire(rq_offset_lock(o), LW_EXCLUSIVE);
	o->lost = (uint32) Min(o->lost + count, PG_UINT32_MAX);
	LWLockRelease(rq_offset_lock(o));
	if (u == NULL)
	{
		unnamed += count;
		return;
	}
	if (u->count == 0)
		u->from = from;
	u->count += count;
}

/* False if the group or the queue no longer exists. */
static bool
tell_loss(const Untold *u)
{
	const RqGroup *g = &rq_groups[u->group];
	char		name[RQ_GROUP_NAME_MAX + 1];
	RqKey		key;
	RqOff		to;
	bool		there;

	LWLockAcquire(rq_meta_lock, LW_SHARED);
	there = g->id == u->key.group_id &&
		rq_offset_find(u->group, u->key.queue_id) != NULL;
	if (there)
	{
		key = rq_topic_key(g->topic);
		to = pg_atomic_read_u64(&rq_topic_queue(g->topic, u->key.queue_id)->start);
		strlcpy(name, g->name, sizeof(name));
	}
	LWLockRelease(rq_meta_lock);
	if (there)
		ereport(LOG,
				(errmsg("consumer group \"%s\" of rocketq topic %u/%u lost " UINT64_FORMAT " messages of queue %u to retention",
						rq_text_from(key.db, name), key.db, key.rel, u->count,
						u->key.queue_id),
				 errdetail("It had consumed up to offset " UINT64_FORMAT "; the queue begins at " UINT64_FORMAT ".",
						   u->from, Max(u->from, to))));
	return there;
}

static void
tell_unnamed(TimestampTz now)
{
	if (unnamed == 0 || now - unnamed_told_at < TELL_INTERVAL)
		return;
	ereport(LOG,
			(errmsg("consumer groups of rocketq topics lost " UINT64_FORMAT " more messages to retention",
					unnamed),
			 errdetail("More than %d groups and queues have lost messages, too many to name them all.",
					   NAMED_MAX)));
	unnamed = 0;
	unnamed_told_at = now;
}

/* What has been told is kept for a while, so that it is not told again. */
void
rq_losses_tell(TimestampTz now)
{
	int			left = TELL_ROUND;
	HASH_SEQ_STATUS seq;
	Untold	   *u;

	tell_unnamed(now);
	if (untold == NULL)
		return;
	hash_seq_init(&seq, untold);
	while ((u = hash_seq_search(&seq)) != NULL)
	{
		bool		is_due = now - u->told_at >= TELL_INTERVAL;
		bool		is_told = is_due && u->count > 0 && left > 0;

		if (is_told && tell_loss(u))
		{
			left--;
			u->told_at = now;
			u->count = 0;
		}
		else if (is_told || (is_due && u->count == 0))
			hash_search(untold, &u->key, HASH_REMOVE, NULL);
	}
}
