/*
 * rq_waiters.c
 *	  The slots of those who wait for messages, in shared memory.
 *
 * A process has one slot, by its number, and waits for one topic at a time.
 * The lists of waiters hang on the topics' slots, and are guarded by a fixed
 * number of locks.  A lock belongs to a topic's slot and not to the topic that
 * has it now, so a waiter can leave the list after its topic was dropped.
 */
#include "postgres.h"

#include "shmem/rq_shmem.h"
#include "shmem/rq_slots.h"
#include "topic/rq_waiters.h"

RqWaiter   *rq_waiters = NULL;

static LWLockPadded *wait_locks = NULL;

static void
waiters_init(void)
{
	wait_locks = rq_part_locks(&rq_waiters_part);
}

static void
waiters_fill(void)
{
	for (int i = 0; i < rq_max_backends(); i++)
	{
		rq_waiters[i].topic = RQ_NO_SLOT;
		pg_atomic_init_u32(&rq_waiters[i].picked, 0);
		ConditionVariableInit(&rq_waiters[i].cv);
	}
}

const RqPart rq_waiters_part = {
	.name = "waiters",
	.item_size = sizeof(RqWaiter),
	.items = rq_max_backends,
	.table = (void **) &rq_waiters,
	.fill = waiters_fill,
	.shmem_init = waiters_init,
	.locks_name = "RocketqWait",
	.nlocks = RQ_WAIT_LOCKS
};

LWLock *
rq_wait_lock(uint32 topic)
{
	return &wait_locks[topic % RQ_WAIT_LOCKS].lock;
}

/* The halves of a hash are as good as two hashes. */
static void
set_bits(RqWakeTags *t, uint32 hash)
{
	uint32		one = hash % RQ_WAIT_BITS;
	uint32		other = (hash >> 16) % RQ_WAIT_BITS;

	t->bits[one / 64] |= UINT64CONST(1) << (one % 64);
	t->bits[other / 64] |= UINT64CONST(1) << (other % 64);
}

static bool
has_bit(const RqWakeTags *t, uint32 bit)
{
	return (t->bits[bit / 64] & (UINT64CONST(1) << (bit % 64))) != 0;
}

void
rq_wake_tags_add(RqWakeTags *t, uint32 hash)
{
	if (t->n < RQ_WAIT_TAGS)
	{
		t->hashes[t->n++] = hash;
		return;
	}
	if (t->n == RQ_WAIT_TAGS)
	{
		memset(t->bits, 0, sizeof(t->bits));
		for (int i = 0; i < RQ_WAIT_TAGS; i++)
			set_bits(t, t->hashes[i]);
	}
	set_bits(t, hash);
	t->n++;
}

bool
rq_wake_tags_match(const RqWakeTags *t, uint32 hash)
{
	if (t->n == 0)
		return true;
	if (t->n > RQ_WAIT_TAGS)
		return has_bit(t, hash % RQ_WAIT_BITS) &&
			has_bit(t, (hash >> 16) % RQ_WAIT_BITS);
	for (uint32 i = 0; i < t->n; i++)
		if (t->hashes[i] == hash)
			return true;
	return false;
}
