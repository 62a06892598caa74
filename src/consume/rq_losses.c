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

#include "lib/ilist.h"
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

/* How many of those whose time has come a round looks at. */
#define LOOK_ROUND		4096

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
	dlist_node	node;			/* in one of the lists below */
	uint32		group;			/* slot */
	uint64		count;
	RqOff		from;			/* where the group was before the first */
	TimestampTz told_at;
} Untold;

static HTAB *untold = NULL;

/* Those that were never told, and the others by when they were told last. */
static dlist_head fresh = DLIST_STATIC_INIT(fresh);
static dlist_head told = DLIST_STATIC_INIT(told);

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
		dlist_push_tail(&fresh, &u->node);
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

/*
 * Has its time come?  The clock can have been set back since it was told.
 */
static bool
is_due_to_tell(const Untold *u, TimestampTz now)
{
	return u->told_at > now || now - u->told_at >= TELL_INTERVAL;
}

static void
forget_loss(Untold *u)
{
	dlist_delete(&u->node);
	hash_search(untold, &u->key, HASH_REMOVE, NULL);
}

/* Those of a list whose time has come: they are the first ones. */
static void
tell_list(dlist_head *list, TimestampTz now, int *left)
{
	for (int i = 0; i < LOOK_ROUND && *left > 0 && !dlist_is_empty(list); i++)
	{
		Untold	   *u = dlist_head_element(Untold, node, list);

		if (!is_due_to_tell(u, now))
			return;
		if (u->count == 0 || !tell_loss(u))
		{
			forget_loss(u);
			continue;
		}
		(*left)--;
		u->told_at = now;
		u->count = 0;
		dlist_delete(&u->node);
		dlist_push_tail(&told, &u->node);
	}
}

/* What has been told is kept for a while, so that it is not told again. */
void
rq_losses_tell(TimestampTz now)
{
	int			half = TELL_ROUND / 2;
	int			left;

	tell_unnamed(now);

	/* Neither list keeps the other from being told. */
	tell_list(&told, now, &half);
	left = TELL_ROUND / 2 + half;
	tell_list(&fresh, now, &left);
}
