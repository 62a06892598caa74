/*
 * rq_wait.c
 *	  Waiting for messages.
 *
 * How does a backend sleep until there are messages for it, so that none
 * arrives unnoticed, not everybody wakes for each, and nobody's DDL waits for
 * it?
 *
 * A waiter joins its topic's list (rq_wake.c), checks for messages, sleeps
 * until it is picked, and checks again.  In this order: what is published
 * after it has joined picks it or another waiter of its group, and what was
 * published before is there for it to find.  If it leaves picked, or before it
 * has finished checking what it was picked for, it offers that to the next one
 * (rq_offer.c).
 *
 * No waiter sleeps with a lock on the topic's relation that it can do without:
 * DDL would wait for the lock, and all producers for the DDL.  The lock is
 * taken again for each check; whether the topic is still the same is known by
 * its incarnation.  A waiter that has read from a queue, or has used the topic
 * before in the transaction, must keep the lock, and ends its wait when
 * somebody else wants it.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "portability/instr_time.h"
#include "storage/ipc.h"
#include "storage/latch.h"

#include "base/rq_compat.h"
#include "base/rq_fault.h"
#include "base/rq_guc.h"
#include "base/rq_waits.h"
#include "consume/rq_offer.h"
#include "consume/rq_wait.h"
#include "shmem/rq_stats.h"
#include "topic/rq_waiters.h"
#include "topic/rq_wake.h"

#define SLEEP_MAX_MS	(3600 * 1000)

/*
 * How long somebody can wait for a lock that a sleeper has to keep, at most:
 * nothing signals us when that happens, so we check now and then.
 */
#define GIVE_WAY_MS		100

/* The queue we were picked for, while we check it. */
static uint32 looking_at = RQ_ALL_QUEUES;

/*
 * Say what we wait for, then join.  Both under the wait lock, so whoever finds
 * us in the list finds all of it.
 */
static void
begin_wait(const RqWant *want)
{
	RqWaiter   *me = &rq_waiters[RQ_MY_PROC_NUMBER];

	LWLockAcquire(rq_wait_lock(want->topic), LW_EXCLUSIVE);
	me->topic = want->topic;
	me->group_slot = want->group.slot;
	me->group_id = want->group.id;
	me->queue_id = want->queue_id;
	me->from = want->from;
	me->filter = want->filter->id;
	me->tags.n = 0;
	rq_filter_wake_tags(want->filter, &me->tags);
	me->picked_queue = RQ_ALL_QUEUES;
	pg_atomic_write_u32(&me->picked, 0);
	rq_wake_join(want->topic);
	LWLockRelease(rq_wait_lock(want->topic));
}

/*
 * A check begins: from here on others may pick us again.
 *
 * We are free to be picked before we read the queues.  So news that comes
 * while we check picks us or another waiter, and what came before we are about
 * to see.
 */
static void
begin_look(const RqWant *want)
{
	RqWaiter   *me = &rq_waiters[RQ_MY_PROC_NUMBER];

	LWLockAcquire(rq_wait_lock(want->topic), LW_EXCLUSIVE);
	me->group_slot = want->group.slot;
	me->group_id = want->group.id;
	me->from = want->from;
	pg_atomic_write_u32(&me->picked, 0);
	looking_at = me->picked_queue;
	me->picked_queue = RQ_ALL_QUEUES;
	LWLockRelease(rq_wait_lock(want->topic));
}

/*
 * Leave the list, then hand the queue we were picked for, if we did not finish
 * checking it, to another waiter.  In this order: while we were in the list
 * the offer could pick us.  Only that queue: waking someone on every exit
 * would wake everybody in turn.  An error can have come under a lock, even one
 * that is needed here.
 *
 * The group is noted as used while we are still in the list, which shows until
 * then that it is (rq_unused.c).
 */
static void
end_wait(int code, Datum is_error)
{
	RqWaiter   *me = &rq_waiters[RQ_MY_PROC_NUMBER];
	RqGroupRef	group = {.slot = me->group_slot, .id = me->group_id};
	uint32		topic = me->topic;

	if (DatumGetBool(is_error))
		LWLockReleaseAll();
	ConditionVariableCancelSleep();
	if (group.id != 0)
		rq_group_used(group);
	LWLockAcquire(rq_wait_lock(topic), LW_EXCLUSIVE);
	rq_wake_leave(topic);
	me->topic = RQ_NO_SLOT;
	LWLockRelease(rq_wait_lock(topic));
	if (group.id != 0 && looking_at != RQ_ALL_QUEUES)
		rq_offer(topic, group, looking_at);
	if (group.id != 0 && rq_wake_is_picked(me))
		rq_offer(topic, group, me->picked_queue);
	looking_at = RQ_ALL_QUEUES;
}

/* How much of the timeout is left, in milliseconds. */
static int64
time_left(const instr_time *start, int64 timeout_ms)
{
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_SUBTRACT(now, *start);
	return timeout_ms - (int64) INSTR_TIME_GET_MILLISEC(now);
}

/*
 * Sleep until we are picked, the time is over, or the lock that we keep (NULL:
 * none) is in somebody's way.  We prepare to sleep before we check whether we
 * are picked, so that a signal in between is not lost.
 */
static void
sleep_until_picked(const instr_time *start, int64 timeout_ms,
				   const RqWaitLock *kept)
{
	const int64 max = kept ? GIVE_WAY_MS : SLEEP_MAX_MS;
	RqWaiter   *me = &rq_waiters[RQ_MY_PROC_NUMBER];
	int64		left;

	ConditionVariablePrepareToSleep(&me->cv);
	while (!rq_wake_is_picked(me) && (left = time_left(start, timeout_ms)) > 0 &&
		   !(kept && kept->is_in_the_way(kept->arg)))
		ConditionVariableTimedSleep(&me->cv, Min(left, max),
									rq_wait_events[RQ_WAIT_MESSAGES]);
	ConditionVariableCancelSleep();
	if (rq_wake_is_picked(me))
		rq_count(RQ_STAT_WAKEUPS, 1);
}

/* Sleep without the lock if it can be; false if the wait has to end. */
static bool
sleep_out_of_the_way(const RqWant *want, const instr_time *start,
					 int64 timeout_ms)
{
	const RqWaitLock *lock = want->lock;
	bool		released;

	released = lock && !want->keeps_lock && lock->release(lock->arg);
	sleep_until_picked(start, timeout_ms, released ? NULL : lock);
	if (released)
		return lock->acquire(lock->arg);
	return lock == NULL || rq_wake_is_picked(&rq_waiters[RQ_MY_PROC_NUMBER]) ||
		!lock->is_in_the_way(lock->arg);
}

/*
 * Who was disconnected while we slept must not be given messages: with auto_commit they
 * would count as consumed.  The server itself notices only when it sends.
 */
static void
end_if_client_is_gone(void)
{
	if (MyProcPort == NULL || !WaitEventSetCanReportClosed() ||
		pq_check_connection())
		return;
	ClientConnectionLost = true;
	InterruptPending = true;
	CHECK_FOR_INTERRUPTS();
}

/*
 * The first check comes at once, also where the caller has just made one: what
 * arrived before we joined the list has not woken us.
 */
static int
look_until(RqWant *want, int64 timeout_ms, RqLook look, void *arg)
{
	instr_time	start;

	INSTR_TIME_SET_CURRENT(start);
	for (;;)
	{
		uint32		group_id = want->group.id;
		int			count;

		begin_look(want);
		count = look(want, looking_at, arg);
		looking_at = RQ_ALL_QUEUES;
		RQ_FAULT("wait-looked");
		if (count > 0 || time_left(&start, timeout_ms) <= 0)
			return count;

		/*
		 * Messages that arrived before the group existed woke nobody, so
		 * check again before sleeping.
		 */
		if (want->group.id == group_id &&
			!sleep_out_of_the_way(want, &start, timeout_ms))
			return 0;
		end_if_client_is_gone();
	}
}

int
rq_wait(RqWant *want, int64 timeout_ms, RqLook look, void *arg)
{
	int			count;

	rq_count(RQ_STAT_WAITS, 1);
	begin_wait(want);
	PG_ENSURE_ERROR_CLEANUP(end_wait, BoolGetDatum(true));
	{
		count = look_until(want, timeout_ms, look, arg);
	}
	PG_END_ENSURE_ERROR_CLEANUP(end_wait, BoolGetDatum(true));
	end_wait(0, BoolGetDatum(false));
	return count;
}
