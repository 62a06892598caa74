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

static Size
waiters_size(void)
{
	return rq_table_size(rq_max_backends(), sizeof(RqWaiter));
}

static void
waiters_init(void)
{
	wait_locks = rq_part_locks(&rq_waiters_part);
	if (!rq_table_create("rocketq waiters", rq_max_backends(), sizeof(RqWaiter),
						 (void **) &rq_waiters))
		return;
	for (int i = 0; i < rq_max_backends(); i++)
	{
		rq_waiters[i].topic = RQ_NO_SLOT;
		pg_atomic_init_u32(&rq_waiters[i].picked, 0);
		ConditionVariableInit(&rq_waiters[i].cv);
	}
}

const RqPart rq_waiters_part = {
	.name = "waiters",
	.shmem_size = waiters_size,
	.shmem_init = waiters_init,
	.locks_name = "RocketqWait",
	.nlocks = RQ_WAIT_LOCKS
};

LWLock *
rq_wait_lock(uint32 topic)
{
	return &wait_locks[topic % RQ_WAIT_LOCKS].lock;
}
