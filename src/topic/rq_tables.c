/*
 * rq_tables.c
 *	  The slots of topics, queues, groups and offsets in shared memory, and the
 *	  index of topics.
 */
#include "postgres.h"

#include "storage/shmem.h"
#include "utils/hsearch.h"

#include "base/rq_guc.h"
#include "shmem/rq_shmem.h"
#include "topic/rq_tables.h"

RqTables   *rq_tables = NULL;
RqTopic    *rq_topics = NULL;
RqQueue    *rq_queues = NULL;
RqGroup    *rq_groups = NULL;
RqOffset   *rq_offsets = NULL;

static HTAB *topic_index = NULL;

typedef struct TopicIndexEntry
{
	RqKey		key;
	uint32		slot;
} TopicIndexEntry;

/* ---- all of them ---- */

static void
tables_fill(void)
{
	rq_tables->next_group_id = 1;
	rq_tables->next_incarnation = 1;
	pg_atomic_init_u32(&rq_tables->ndoomed, 0);
	pg_atomic_init_u32(&rq_tables->groups_abandoned, 0);
	pg_atomic_init_u32(&rq_tables->nwaiters, 0);
}

const RqPart rq_tables_part = {
	.name = "tables",
	.item_size = sizeof(RqTables),
	.table = (void **) &rq_tables,
	.fill = tables_fill
};

/* ---- topics ---- */

static Size
topic_index_size(void)
{
	return hash_estimate_size(rq_max_topics, sizeof(TopicIndexEntry));
}

/*
 * The index is in shared memory, but without partitions or locks of its own:
 * the meta lock guards it.
 */
static void
topic_index_init(void)
{
	HASHCTL		info = {.keysize = sizeof(RqKey),
	.entrysize = sizeof(TopicIndexEntry)};

	topic_index = ShmemInitHash("rocketq topic index", rq_max_topics,
								rq_max_topics, &info, HASH_ELEM | HASH_BLOBS);
}

static int
topics_count(void)
{
	return rq_max_topics;
}

static void
topics_fill(void)
{
	for (int i = 0; i < rq_max_topics; i++)
	{
		RqTopic    *t = &rq_topics[i];

		pg_atomic_init_u64(&t->key, 0);
		pg_atomic_init_u32(&t->nqueues, 0);
		pg_atomic_init_u32(&t->nwaiters, 0);
		pg_atomic_init_u32(&t->ngrowing, 0);
		t->first_group = RQ_NO_SLOT;
		t->first_waiter = t->last_waiter = RQ_NO_SLOT;
	}
}

const RqPart rq_topics_part = {
	.name = "topics",
	.item_size = sizeof(RqTopic),
	.items = topics_count,
	.table = (void **) &rq_topics,
	.fill = topics_fill,
	.shmem_size = topic_index_size,
	.shmem_init = topic_index_init
};

uint32
rq_topic_index_find(RqKey key)
{
	TopicIndexEntry *e = hash_search(topic_index, &key, HASH_FIND, NULL);

	RQ_ASSERT_META_LOCK(LW_SHARED);
	return e ? e->slot : RQ_NO_SLOT;
}

/* Can't fail: entries for all slots are allocated when the server starts. */
void
rq_topic_index_add(RqKey key, uint32 slot)
{
	TopicIndexEntry *e = hash_search(topic_index, &key, HASH_ENTER, NULL);

	RQ_ASSERT_META_LOCK(LW_EXCLUSIVE);
	e->slot = slot;
}

void
rq_topic_index_remove(RqKey key)
{
	RQ_ASSERT_META_LOCK(LW_EXCLUSIVE);
	hash_search(topic_index, &key, HASH_REMOVE, NULL);
}

/* ---- queues ---- */

static int
queues_count(void)
{
	return rq_max_queues;
}

/* A queue's lock is in its slot; the part has one more, for the tranche. */
void
rq_queues_begin(uint32 from, uint32 to)
{
	int			tranche = rq_part_locks(&rq_queues_part)->lock.tranche;

	RQ_ASSERT_META_LOCK(LW_EXCLUSIVE);
	for (uint32 i = from; i < to; i++)
	{
		RqQueue    *q = &rq_queues[i];

		memset(q, 0, sizeof(*q));
		LWLockInitialize(&q->lock, tranche);
		q->topic = RQ_NO_SLOT;
		q->growth = RQ_NO_SLOT;
		pg_atomic_init_u64(&q->start, 0);
		pg_atomic_init_u64(&q->stable, 0);
		pg_atomic_init_u64(&q->end, 0);
		pg_atomic_init_u32(&q->unflushed, 0);
		pg_atomic_init_u64(&q->wanted, 0);
		q->redo_dirty = RQ_INVALID_POS;
	}
}

const RqPart rq_queues_part = {
	.name = "queues",
	.item_size = sizeof(RqQueue),
	.items = queues_count,
	.table = (void **) &rq_queues,
	.is_begun_later = true,
	.locks_name = "RocketqQueue",
	.nlocks = 1
};

/* ---- groups ---- */

static int
groups_count(void)
{
	return rq_max_groups;
}

/* As of queues. */
static void
groups_fill(void)
{
	int			tranche = rq_part_locks(&rq_groups_part)->lock.tranche;

	for (int i = 0; i < rq_max_groups; i++)
	{
		LWLockInitialize(&rq_groups[i].lock, tranche);
		pg_atomic_init_u64(&rq_groups[i].used_at, 0);
		pg_atomic_init_u32(&rq_groups[i].owner, 0);
	}
}

const RqPart rq_groups_part = {
	.name = "groups",
	.item_size = sizeof(RqGroup),
	.items = groups_count,
	.table = (void **) &rq_groups,
	.fill = groups_fill,
	.locks_name = "RocketqGroup",
	.nlocks = 1
};

/* ---- offsets ---- */

static int
offsets_count(void)
{
	return rq_max_consumer_slots;
}

void
rq_offsets_begin(uint32 from, uint32 to)
{
	RQ_ASSERT_META_LOCK(LW_EXCLUSIVE);
	for (uint32 i = from; i < to; i++)
	{
		memset(&rq_offsets[i], 0, sizeof(RqOffset));
		rq_offsets[i].group = RQ_NO_SLOT;
		pg_atomic_init_u64(&rq_offsets[i].mark, 0);
	}
}

const RqPart rq_offsets_part = {
	.name = "offsets",
	.item_size = sizeof(RqOffset),
	.items = offsets_count,
	.table = (void **) &rq_offsets,
	.is_begun_later = true
};
