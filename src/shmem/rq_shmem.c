/*
 * rq_shmem.c
 *	  Set up shared memory, and the few operations that belong to its layout:
 *	  the topic index and the gate.
 */
#include "postgres.h"

#include "access/twophase.h"
#include "access/xlog.h"
#include "miscadmin.h"
#include "port/pg_bitutils.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proclist.h"
#include "storage/shmem.h"
#include "utils/hsearch.h"
#include "utils/timestamp.h"

#include "base/rq_compat.h"
#include "base/rq_error.h"
#include "base/rq_guc.h"
#include "format/rq_statefmt.h"
#include "shmem/rq_latency.h"
#include "shmem/rq_shmem.h"
#include "shmem/rq_stats.h"

#define GATE_WAIT_MS	10000
#define META_WAIT_MS	10

RqControl  *rq_ctl = NULL;
RqTopic    *rq_topics = NULL;
RqQueue    *rq_queues = NULL;
RqGroup    *rq_groups = NULL;
RqOffset   *rq_offsets = NULL;
RqBackend  *rq_backends = NULL;
RqWaiter   *rq_waiters = NULL;
pg_atomic_uint64 *rq_wanting = NULL;
RqStateGap *rq_gaps = NULL;
LWLock	   *rq_gate_lock = NULL;
LWLock	   *rq_meta_lock = NULL;

static LWLockPadded *offset_locks = NULL;
static LWLockPadded *wait_locks = NULL;
static HTAB *topic_index = NULL;

typedef struct TopicIndexEntry
{
	RqKey		key;
	uint32		slot;
} TopicIndexEntry;

int
rq_max_backends(void)
{
	return MaxBackends + NUM_AUXILIARY_PROCS + max_prepared_xacts;
}

int
rq_wanting_words(void)
{
	return (rq_max_queues + 63) / 64;
}

static uint32
max_gaps(void)
{
	return 4 * rq_max_backends() + 64;
}

LWLock *
rq_offset_lock(uint32 slot)
{
	return &offset_locks[slot % RQ_OFFSET_LOCKS].lock;
}

LWLock *
rq_wait_lock(uint32 topic)
{
	return &wait_locks[topic % RQ_WAIT_LOCKS].lock;
}

void
rq_shmem_request(void)
{
	Size		size = 0;

	size = add_size(size, MAXALIGN(sizeof(RqControl)));
	size = add_size(size, mul_size(rq_max_topics, sizeof(RqTopic)));
	size = add_size(size, mul_size(rq_max_queues, sizeof(RqQueue)));
	size = add_size(size, mul_size(rq_max_groups, sizeof(RqGroup)));
	size = add_size(size, mul_size(rq_max_consumer_slots, sizeof(RqOffset)));
	size = add_size(size, mul_size(rq_max_backends(), sizeof(RqBackend)));
	size = add_size(size, mul_size(rq_max_backends(), sizeof(RqWaiter)));
	size = add_size(size, mul_size(rq_wanting_words(),
								   sizeof(pg_atomic_uint64)));
	size = add_size(size, mul_size(max_gaps(), sizeof(RqStateGap)));
	size = add_size(size, hash_estimate_size(rq_max_topics,
											 sizeof(TopicIndexEntry)));
	size = add_size(size, rq_slots_shmem_size());
	size = add_size(size, rq_stats_shmem_size());
	size = add_size(size, rq_latency_shmem_size());
	size = add_size(size, 15 * PG_CACHE_LINE_SIZE);
	RequestAddinShmemSpace(size);

	RequestNamedLWLockTranche("RocketqGate", 1);
	RequestNamedLWLockTranche("RocketqMeta", 1);
	RequestNamedLWLockTranche("RocketqQueue", 1);
	RequestNamedLWLockTranche("RocketqOffset", RQ_OFFSET_LOCKS);
	RequestNamedLWLockTranche("RocketqWait", RQ_WAIT_LOCKS);
	RequestNamedLWLockTranche("RocketqStats", 1);
}

static void
init_control(void)
{
	memset(rq_ctl, 0, sizeof(*rq_ctl));
	SpinLockInit(&rq_ctl->reserve_lock);
	pg_atomic_init_u64(&rq_ctl->log_end, 0);
	pg_atomic_init_u64(&rq_ctl->log_start, 0);
	pg_atomic_init_u64(&rq_ctl->alloc_end, 0);
	pg_atomic_init_u32(&rq_ctl->alloc_errno, 0);
	pg_atomic_init_u32(&rq_ctl->ndoomed, 0);
	pg_atomic_init_u32(&rq_ctl->groups_abandoned, 0);
	pg_atomic_init_u32(&rq_ctl->leftovers, 0);
	pg_atomic_init_u32(&rq_ctl->nwaiters, 0);
	pg_atomic_init_u64(&rq_ctl->trimming_to, 0);
	pg_atomic_init_u32(&rq_ctl->disk_permille, 0);
	pg_atomic_init_u32(&rq_ctl->disk_warned, 0);
	pg_atomic_init_u32(&rq_ctl->disk_refuse, 0);
	ConditionVariableInit(&rq_ctl->alloc_cv);
	ConditionVariableInit(&rq_ctl->gate_cv);
	for (int i = 0; i < RQ_NWORKERS; i++)
		SpinLockInit(&rq_ctl->worker[i].error_lock);
	rq_ctl->next_group_id = 1;
	rq_ctl->next_incarnation = 1;
	rq_ctl->max_gaps = max_gaps();
	rq_ctl->redo_dirty = RQ_INVALID_POS;
}

static void
init_slots(int queue_tranche)
{
	for (int i = 0; i < rq_max_topics; i++)
	{
		memset(&rq_topics[i], 0, sizeof(RqTopic));
		pg_atomic_init_u64(&rq_topics[i].key, 0);
		pg_atomic_init_u32(&rq_topics[i].nqueues, 0);
		rq_topics[i].first_group = RQ_NO_SLOT;
		pg_atomic_init_u32(&rq_topics[i].nwaiters, 0);
		rq_topics[i].first_waiter = rq_topics[i].last_waiter = RQ_NO_SLOT;
	}
	for (int i = 0; i < rq_max_queues; i++)
	{
		RqQueue    *q = &rq_queues[i];

		memset(q, 0, sizeof(*q));
		LWLockInitialize(&q->lock, queue_tranche);
		q->topic = RQ_NO_SLOT;
		pg_atomic_init_u64(&q->start, 0);
		pg_atomic_init_u64(&q->stable, 0);
		pg_atomic_init_u64(&q->end, 0);
		pg_atomic_init_u32(&q->holders, 0);
		pg_atomic_init_u64(&q->wanted, 0);
		q->redo_dirty = RQ_INVALID_POS;
	}
	for (int i = 0; i < rq_wanting_words(); i++)
		pg_atomic_init_u64(&rq_wanting[i], 0);
	memset(rq_groups, 0, mul_size(rq_max_groups, sizeof(RqGroup)));
	memset(rq_offsets, 0, mul_size(rq_max_consumer_slots, sizeof(RqOffset)));
	for (int i = 0; i < rq_max_consumer_slots; i++)
		rq_offsets[i].group = RQ_NO_SLOT;
	for (int i = 0; i < rq_max_backends(); i++)
	{
		RqBackend  *b = &rq_backends[i];
		RqWaiter   *w = &rq_waiters[i];

		memset(w, 0, sizeof(*w));
		w->topic = RQ_NO_SLOT;
		pg_atomic_init_u32(&w->picked, 0);
		ConditionVariableInit(&w->cv);
		pg_atomic_init_u64(&b->inflight_start, RQ_INVALID_POS);
		pg_atomic_init_u64(&b->inflight_end, RQ_INVALID_POS);
		pg_atomic_init_u64(&b->xact_pos, RQ_INVALID_POS);
		pg_atomic_init_u64(&b->read_pos, RQ_INVALID_POS);
		pg_atomic_init_u32(&b->hold_queue, RQ_NO_SLOT);
		pg_atomic_init_u64(&b->hold_from, 0);
	}
}

static void *
part(const char *name, Size count, Size size)
{
	bool		found;

	return ShmemInitStruct(name, mul_size(count, size), &found);
}

/* Create or attach; runs again after a crash restart. */
void
rq_shmem_startup(void)
{
	bool		found;
	HASHCTL		info = {.keysize = sizeof(RqKey),
	.entrysize = sizeof(TopicIndexEntry)};
	LWLockPadded *queue_tranche;

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);

	rq_ctl = ShmemInitStruct("rocketq control", sizeof(RqControl), &found);
	rq_topics = part("rocketq topics", rq_max_topics, sizeof(RqTopic));
	rq_queues = part("rocketq queues", rq_max_queues, sizeof(RqQueue));
	rq_groups = part("rocketq groups", rq_max_groups, sizeof(RqGroup));
	rq_offsets = part("rocketq offsets", rq_max_consumer_slots, sizeof(RqOffset));
	rq_backends = part("rocketq backends", rq_max_backends(), sizeof(RqBackend));
	rq_waiters = part("rocketq waiters", rq_max_backends(), sizeof(RqWaiter));
	rq_wanting = part("rocketq wanted segments", rq_wanting_words(),
					  sizeof(pg_atomic_uint64));
	rq_gaps = part("rocketq gaps", max_gaps(), sizeof(RqStateGap));
	topic_index = ShmemInitHash("rocketq topic index", rq_max_topics,
								rq_max_topics, &info, HASH_ELEM | HASH_BLOBS);

	rq_slots_shmem_init();
	rq_stats_shmem_init();
	rq_latency_shmem_init();

	rq_gate_lock = &GetNamedLWLockTranche("RocketqGate")->lock;
	rq_meta_lock = &GetNamedLWLockTranche("RocketqMeta")->lock;
	queue_tranche = GetNamedLWLockTranche("RocketqQueue");
	offset_locks = GetNamedLWLockTranche("RocketqOffset");
	wait_locks = GetNamedLWLockTranche("RocketqWait");

	if (!found)
	{
		init_control();
		init_slots(queue_tranche->lock.tranche);
	}
	LWLockRelease(AddinShmemInitLock);
}

bool
rq_holds_meta_lock(LWLockMode mode)
{
	if (!IsUnderPostmaster)
		return true;
	if (mode == LW_EXCLUSIVE)
		return LWLockHeldByMeInMode(rq_meta_lock, LW_EXCLUSIVE);
	return AmStartupProcess() || LWLockHeldByMe(rq_meta_lock);
}

/*
 * LWLocks let those who want a lock shared in beside others who have it so, even
 * when somebody waits to have it alone.  A few processes that take it over and
 * over would keep that one waiting for as long as they go on.  The list of those
 * who wait is read without its lock: it is but a hint, and a wrong one costs a
 * millisecond.
 */
void
rq_meta_lock_again(void)
{
	for (int i = 0; i < META_WAIT_MS; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (proclist_is_empty(&rq_meta_lock->waiters))
			break;
		pg_usleep(1000);
	}
	LWLockAcquire(rq_meta_lock, LW_SHARED);
}

void
rq_set_segment_mb(uint32 segment_mb)
{
	Assert(RQ_SEGMENT_MB_OK(segment_mb));
	rq_ctl->segment_mb = segment_mb;
	rq_ctl->segment_size = (uint64) segment_mb * 1024 * 1024;
	rq_ctl->segment_bits = pg_leftmost_one_pos64(rq_ctl->segment_size);
}

void
rq_require_preload(void)
{
	if (rq_ctl == NULL)
		rq_report_not_preloaded();
}

uint32
rq_topic_index_find(RqKey key)
{
	TopicIndexEntry *e = hash_search(topic_index, &key, HASH_FIND, NULL);

	RQ_ASSERT_META_LOCK(LW_SHARED);
	return e ? e->slot : RQ_NO_SLOT;
}

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

static void
wait_for_gate(void)
{
	TimestampTz give_up = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
													  GATE_WAIT_MS);
	static uint32 wait_event = 0;

	if (wait_event == 0)
		wait_event = rq_wait_event_new("RocketqGate");

	ConditionVariablePrepareToSleep(&rq_ctl->gate_cv);
	while (!rq_ctl->gate_open)
	{
		if (GetCurrentTimestamp() >= give_up)
		{
			ConditionVariableCancelSleep();
			rq_count(RQ_STAT_REFUSED_CLOSED, 1);
			ereport(ERROR,
					(errcode(ERRCODE_CANNOT_CONNECT_NOW),
					 errmsg("the rocketq store is closed"),
					 errdetail("The worker \"rocketq keeper\" is not running: the server is shutting down, or could not start the worker."),
					 errhint("See the server log; max_worker_processes must leave room for %d workers of rocketq.",
							 RQ_NWORKERS)));
		}
		ConditionVariableTimedSleep(&rq_ctl->gate_cv, 1000, wait_event);
	}
	ConditionVariableCancelSleep();
}

void
rq_gate_enter(void)
{
	if (!IsUnderPostmaster)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("rocketq cannot change its store in single-user mode"),
				 errhint("Start the server normally.")));
	if (RecoveryInProgress())
		ereport(ERROR,
				(errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
				 errmsg("cannot change the rocketq store during recovery")));
	for (;;)
	{
		LWLockAcquire(rq_gate_lock, LW_SHARED);
		if (likely(rq_ctl->gate_open))
			return;
		LWLockRelease(rq_gate_lock);
		wait_for_gate();
	}
}

void
rq_gate_enter_again(void)
{
	LWLockAcquire(rq_gate_lock, LW_SHARED);
}

void
rq_gate_leave(void)
{
	LWLockRelease(rq_gate_lock);
}

/* Set the latch of a worker if it runs; a lost wake-up costs one interval. */
void
rq_worker_wake(RqWorkerKind kind)
{
	struct Latch *latch = rq_ctl->worker[kind].latch;

	if (latch != NULL)
		SetLatch(latch);
}
