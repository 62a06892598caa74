/*
 * rq_mark.c
 *	  The mark in the slot of an offset: whose transaction has the queue for the
 *	  group.
 *
 * Given a group and a queue, who may have it next, and how does one wait for
 * that in the lock manager, although the owner has no lock on the queue?
 *
 * A mark is one word, which changes as a whole: the owner, how many wait, and
 * what they wait for.  That is the owner's transaction: each transaction holds
 * the lock on its virtual id anyway, and for as long as there is nobody who
 * waits, it takes no place in the lock table.  A queue taken since a savepoint
 * can be given back before that, so then it is a lock of that savepoint.
 *
 * A waiter that wakes takes the queue itself.  Until it has done so nobody gets
 * it who does not wait: a consumer that comes back for the queue after each
 * commit would otherwise always be faster.  Among those who wait the order is
 * that of the lock on (group, queue); see rq_owner.c.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "postmaster/postmaster.h"
#include "storage/lwlock.h"
#include "storage/proc.h"

#include "base/rq_compat.h"
#include "consume/rq_mark.h"

#define ONE_WAITER			(UINT64CONST(1) << RQ_MARK_WAITERS_SHIFT)
#define WAITERS(mark)		((mark) & (ONE_SAVEPOINT - ONE_WAITER))
#define ONE_SAVEPOINT		(UINT64CONST(1) << RQ_MARK_SAVEPOINT_SHIFT)
#define SAVEPOINT(mark)		((uint32) ((mark) >> RQ_MARK_SAVEPOINT_SHIFT))

/* There are fewer processes than twice MAX_BACKENDS, prepared ones included. */
StaticAssertDecl((UINT64CONST(1) << RQ_MARK_WAITERS_SHIFT) > 8 * (uint64) MAX_BACKENDS,
				 "a mark has room for the number of any process");

static uint64
my_mark(uint32 savepoint)
{
	return (RQ_MY_PROC_NUMBER + 1) | savepoint * ONE_SAVEPOINT;
}

static bool
is_mine(uint64 mark)
{
	return RQ_MARK_OWNER(mark) == RQ_MY_PROC_NUMBER;
}

static bool
is_free(uint64 mark)
{
	return RQ_MARK_OWNER(mark) < 0 && WAITERS(mark) == 0;
}

bool
rq_mark_is_mine(RqOffset *o)
{
	return is_mine(pg_atomic_read_u64(&o->mark));
}

bool
rq_mark_is_free(RqOffset *o)
{
	return is_free(pg_atomic_read_u64(&o->mark));
}

bool
rq_mark_take(RqOffset *o, uint32 savepoint)
{
	uint64		mark = 0;

	return pg_atomic_compare_exchange_u64(&o->mark, &mark, my_mark(savepoint));
}

void
rq_mark_want(RqOffset *o)
{
	pg_atomic_fetch_add_u64(&o->mark, ONE_WAITER);
}

void
rq_mark_unwant(RqOffset *o)
{
	uint64		before PG_USED_FOR_ASSERTS_ONLY =
	pg_atomic_fetch_sub_u64(&o->mark, ONE_WAITER);

	Assert(WAITERS(before) != 0);
}

bool
rq_mark_take_wanted(RqOffset *o, uint32 savepoint)
{
	uint64		mark = pg_atomic_read_u64(&o->mark);

	while (RQ_MARK_OWNER(mark) < 0)
	{
		Assert(WAITERS(mark) != 0);
		if (pg_atomic_compare_exchange_u64(&o->mark, &mark,
										   my_mark(savepoint) |
										   (WAITERS(mark) - ONE_WAITER)))
			return true;
	}
	return false;
}

/*
 * The virtual id of the owner's transaction is read between two looks at the
 * mark, in both of which it is the owner.  So if that transaction is not the
 * one that owns the queue, it has ended, and is not waited for.  The id is that
 * by which the lock manager goes: it stays until the locks are released, which
 * is after the mark has been cleared.
 */
static void
wait_for_transaction(RqOffset *o, uint64 mark)
{
	PGPROC	   *owner = &ProcGlobal->allProcs[RQ_MARK_OWNER(mark)];
	VirtualTransactionId vxid;
	uint64		now;

	LWLockAcquire(&owner->fpInfoLock, LW_SHARED);
	RQ_VXID_OF_LOCKS(vxid, owner);
	LWLockRelease(&owner->fpInfoLock);
	now = pg_atomic_read_u64(&o->mark);
	if (RQ_MARK_OWNER(now) == RQ_MARK_OWNER(mark) && SAVEPOINT(now) == 0 &&
		VirtualTransactionIdIsValid(vxid))
		VirtualXactLock(vxid, true);
}

void
rq_mark_wait(RqOffset *o, Oid db)
{
	uint64		mark = pg_atomic_read_u64(&o->mark);
	LOCKTAG		tag;

	CHECK_FOR_INTERRUPTS();
	if (RQ_MARK_OWNER(mark) < 0)
		return;
	if (SAVEPOINT(mark) == 0)
		wait_for_transaction(o, mark);
	else
	{
		tag = rq_mark_savepoint_lock(db, RQ_MARK_OWNER(mark), SAVEPOINT(mark));
		LockAcquire(&tag, ShareLock, false, false);
		LockRelease(&tag, ShareLock, false);
	}
}

void
rq_mark_change(RqOffset *o, uint32 savepoint)
{
	uint64		mark = pg_atomic_read_u64(&o->mark);

	while (is_mine(mark) &&
		   !pg_atomic_compare_exchange_u64(&o->mark, &mark,
										   my_mark(savepoint) | WAITERS(mark)))
		;
}

void
rq_mark_clear(RqOffset *o)
{
	uint64		mark = pg_atomic_read_u64(&o->mark);

	while (is_mine(mark) &&
		   !pg_atomic_compare_exchange_u64(&o->mark, &mark, WAITERS(mark)))
		;
}

LOCKTAG
rq_mark_savepoint_lock(Oid db, uint32 proc, uint32 savepoint)
{
	LOCKTAG		tag;

	SET_LOCKTAG_ADVISORY(tag, db, proc, savepoint, RQ_LOCK_SAVEPOINT);
	return tag;
}
