/*
 * rq_tables.c
 *	  The slots of topics, queues, groups and offsets in shared memory, and the
 *	  index of topics.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "port/pg_bitutils.h"
#include "utils/timestamp.h"

#include "base/rq_guc.h"
#include "shmem/rq_shmem.h"
#include "topic/rq_tables.h"

RqTables   *rq_tables = NULL;
RqTopic    *rq_topics = NULL;
RqQueue    *rq_queues = NULL;
RqGroup    *rq_groups = NULL;
RqOffset   *rq_offsets = NULL;
RqOffsetUse *rq_offset_uses = NULL;

/*
 * Slots of topics by key: chains through "next_in_index", which begin here.  A
 * slot is its number plus 1, so that zeros are empty chains.
 */
static uint32 *topic_index = NULL;

/* ---- all of them ---- */

static void
tables_fill(void)
{
	rq_tables->next_group_id = 1;
	rq_tables->next_incarnation = 1;
	pg_atomic_init_u32(&rq_tables->ndoomed, 0);
	pg_atomic_init_u32(&rq_tables->groups_abandoned, 0);
	pg_atomic_init_u32(&rq_tables->nwaiters, 0);
	SpinLockInit(&rq_tables->uses_mutex);
	pg_atomic_init_u32(&rq_tables->uses_begun, 0);
	pg_atomic_init_u32(&rq_tables->next_use, 0);
	rq_tables->started_at = GetCurrentTimestamp();
}

const RqPart rq_tables_part = {
	.name = "tables",
	.item_size = sizeof(RqTables),
	.table = (void **) &rq_tables,
	.fill = tables_fill
};

/* ---- topics ---- */

/* A power of 2. */
static uint32
index_chains(void)
{
	return pg_nextpower2_32(rq_max_topics);
}

static Size
topic_index_size(void)
{
	return rq_table_size(index_chains(), sizeof(uint32));
}

static void
topic_index_init(void)
{
	rq_table_create("rocketq topic index", index_chains(), sizeof(uint32),
					(void **) &topic_index);
}

static int
topics_count(void)
{
	return rq_max_topics;
}

static void
begin_topic(uint32 topic)
{
	RqTopic    *t = &rq_topics[topic];

	memset(t, 0, sizeof(*t));
	pg_atomic_init_u64(&t->key, 0);
	pg_atomic_init_u32(&t->nqueues, 0);
	pg_atomic_init_u32(&t->nwaiters, 0);
	pg_atomic_init_u32(&t->ngrowing, 0);
	t->first_group = RQ_NO_SLOT;
	t->first_waiter = t->last_waiter = RQ_NO_SLOT;
}

/* There is always one to compare a key with (rq_topic_find()). */
static void
topics_fill(void)
{
	begin_topic(0);
	rq_tables->topics_begun = 1;
}

const RqPart rq_topics_part = {
	.name = "topics",
	.item_size = sizeof(RqTopic),
	.items = topics_count,
	.table = (void **) &rq_topics,
	.fill = topics_fill,
	.is_begun_later = true,
	.shmem_size = topic_index_size,
	.shmem_init = topic_index_init
};

/*
 * The lowest free one, so that walks over topics stay short.  A slot is set up
 * before it can be seen: pairs with rq_topics_begun().
 */
uint32
rq_topic_free_slot(void)
{
	RqTables   *all = rq_tables;

	RQ_ASSERT_META_LOCK(LW_EXCLUSIVE);
	for (; all->topics_free < all->topics_begun; all->topics_free++)
		if (pg_atomic_read_u64(&rq_topics[all->topics_free].key) == 0)
			return all->topics_free;
	if (all->topics_begun == (uint32) rq_max_topics)
		return RQ_NO_SLOT;
	begin_topic(all->topics_begun);
	pg_write_barrier();
	return all->topics_begun++;
}

void
rq_topic_slot_is_free(uint32 topic)
{
	RQ_ASSERT_META_LOCK(LW_EXCLUSIVE);
	rq_tables->topics_free = Min(rq_tables->topics_free, topic);
}

/* The chain that a key is in. */
static uint32 *
chain_of(RqKey key)
{
	uint32		hash = murmurhash32(key.rel ^ murmurhash32(key.db));

	return &topic_index[hash & (index_chains() - 1)];
}

uint32
rq_topic_index_find(RqKey key)
{
	uint32		next = *chain_of(key);

	RQ_ASSERT_META_LOCK(LW_SHARED);
	while (next != 0 &&
		   pg_atomic_read_u64(&rq_topics[next - 1].key) != RQ_KEY_PACK(key))
		next = rq_topics[next - 1].next_in_index;
	return next == 0 ? RQ_NO_SLOT : next - 1;
}

/* The topic's key is in its slot already, or will be before the lock is released. */
void
rq_topic_index_add(RqKey key, uint32 slot)
{
	uint32	   *chain = chain_of(key);

	RQ_ASSERT_META_LOCK(LW_EXCLUSIVE);
	rq_topics[slot].next_in_index = *chain;
	*chain = slot + 1;
}

void
rq_topic_index_remove(RqKey key, uint32 slot)
{
	uint32	   *link = chain_of(key);

	RQ_ASSERT_META_LOCK(LW_EXCLUSIVE);
	while (*link != slot + 1)
		link = &rq_topics[*link - 1].next_in_index;
	*link = rq_topics[slot].next_in_index;
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
		pg_atomic_init_u64(&q->tail, 0);
		pg_atomic_init_u32(&q->unflushed, 0);
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

const RqPart rq_groups_part = {
	.name = "groups",
	.item_size = sizeof(RqGroup),
	.items = groups_count,
	.table = (void **) &rq_groups,
	.is_begun_later = true,
	.locks_name = "RocketqGroup",
	.nlocks = 1
};

/* As rq_topic_free_slot(). */
uint32
rq_group_free_slot(void)
{
	RqTables   *all = rq_tables;
	RqGroup    *g;

	RQ_ASSERT_META_LOCK(LW_EXCLUSIVE);
	for (; all->groups_free < all->groups_begun; all->groups_free++)
		if (rq_groups[all->groups_free].id == 0)
			return all->groups_free;
	if (all->groups_begun == (uint32) rq_max_groups)
		return RQ_NO_SLOT;
	g = &rq_groups[all->groups_begun];
	memset(g, 0, sizeof(*g));
	LWLockInitialize(&g->lock, rq_part_locks(&rq_groups_part)->lock.tranche);
	pg_atomic_init_u64(&g->used_at, 0);
	pg_atomic_init_u32(&g->owner, 0);
	pg_atomic_init_u64(&g->wanted, 0);
	pg_write_barrier();
	return all->groups_begun++;
}

void
rq_group_slot_is_free(uint32 group)
{
	RQ_ASSERT_META_LOCK(LW_EXCLUSIVE);
	rq_tables->groups_free = Min(rq_tables->groups_free, group);
}

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

/* Most offsets of a server are at rest at any time. */
static int
offset_uses_count(void)
{
	return Min(rq_max_consumer_slots, Max(rq_max_consumer_slots / 16, 4096));
}

const RqPart rq_offset_uses_part = {
	.name = "offset uses",
	.item_size = sizeof(RqOffsetUse),
	.items = offset_uses_count,
	.table = (void **) &rq_offset_uses,
	.is_begun_later = true
};

/* That there is none is seen without the spinlock, for those who ask often. */
uint32
rq_offset_use_begin(uint32 slot)
{
	uint32		n = (uint32) offset_uses_count();
	uint32		at = RQ_NO_SLOT;

	if (pg_atomic_read_u32(&rq_tables->uses_begun) >= n)
		return RQ_NO_SLOT;
	SpinLockAcquire(&rq_tables->uses_mutex);
	if (pg_atomic_read_u32(&rq_tables->uses_begun) < n)
	{
		at = pg_atomic_read_u32(&rq_tables->uses_begun);
		pg_atomic_init_u32(&rq_offset_uses[at].offset, slot);
		rq_offset_uses[at].nmoves = 0;
		memset(rq_offset_uses[at].samples, 0, sizeof(rq_offset_uses[at].samples));
		pg_write_barrier();
		pg_atomic_write_u32(&rq_tables->uses_begun, at + 1);
	}
	SpinLockRelease(&rq_tables->uses_mutex);
	return at;
}
