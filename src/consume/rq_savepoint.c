/*
 * rq_savepoint.c
 *	  The locks by which a transaction owns queues, and those of its savepoints.
 *
 * Which lock does one wait for who wants a queue that was taken since a
 * savepoint?  Not the transaction's: a rollback to the savepoint gives the queue
 * back before that ends.  So with the first queue since a savepoint that gets a
 * lock, whatever the number of queues.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "base/rq_compat.h"
#include "base/rq_text.h"
#include "consume/rq_mark.h"
#include "consume/rq_savepoint.h"
#include "topic/rq_topic.h"
#include "txn/rq_index.h"
#include "txn/rq_txn.h"

typedef struct Savepoint
{
	uint32		number;
	int			level;			/* of its subtransaction */
	int			first_queue;
	LOCKTAG		lock;
} Savepoint;

/* Savepoints that have a lock, from the outermost to the innermost. */
static Savepoint *savepoints = NULL;
static int	nsavepoints = 0;
static int	max_savepoints = 0;

LockAcquireResult
rq_owner_lock(const LOCKTAG *lock, LOCKMODE mode, bool wait)
{
	ResourceOwner before = rq_txn_own_locks();
	LockAcquireResult result;

	RQ_ASSERT_NO_LOCKS();
	result = wait ? LockAcquire(lock, mode, false, false) :
		rq_lock_try(lock, mode);
	CurrentResourceOwner = before;
	return result;
}

void
rq_owner_unlock(const LOCKTAG *lock, LOCKMODE mode)
{
	ResourceOwner before = rq_txn_own_locks();

	LockRelease(lock, mode, false);
	CurrentResourceOwner = before;
}

void
rq_savepoint_make_room(void)
{
	RQ_GROW(TopMemoryContext, savepoints, nsavepoints, max_savepoints);
}

/*
 * All heavyweight locks are in one table of a fixed size.  So many of them a
 * transaction takes at most for savepoints, if it is not asked for a queue by
 * number.
 */
static void
check_savepoints(void)
{
	int			most = (int) Min((int64) max_locks_per_xact * MaxBackends / 4, INT_MAX);

	if (nsavepoints < most)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
			 errmsg("too many savepoints since which the transaction has consumed"),
			 errdetail("Each of them needs a lock, and %d are a quarter of all locks that there is room for.",
					   most),
			 errhint("Release savepoints, consume outside of them, or raise max_locks_per_transaction and restart the server.")));
}

uint32
rq_savepoint_lock(Oid db, int first_queue, bool wait)
{
	Savepoint	s = {.level = GetCurrentTransactionNestLevel(),
	.first_queue = first_queue};
	RqBackend  *me = RQ_MY_BACKEND;

	if (s.level == 1)
		return 0;
	if (nsavepoints == 0 || savepoints[nsavepoints - 1].level < s.level)
	{
		if (!wait)
			check_savepoints();
		/* Not one that we have had since the last million of them. */
		do
		{
			me->savepoint = me->savepoint % RQ_MARK_SAVEPOINTS + 1;
			s.number = me->savepoint;
			s.lock = rq_mark_savepoint_lock(db, RQ_MY_PROC_NUMBER, s.number);
		} while (rq_lock_held_by_me(&s.lock, ExclusiveLock));
		(void) rq_owner_lock(&s.lock, ExclusiveLock, true);
		savepoints[nsavepoints++] = s;
	}
	return savepoints[nsavepoints - 1].number;
}

/*
 * The queues go to the savepoint before, or to the transaction.  If they go to
 * a savepoint since which none has been taken yet, that gets the lock.
 */
int
rq_savepoint_released(uint32 *number)
{
	int			outside = GetCurrentTransactionNestLevel() - 1;
	Savepoint  *s;
	bool		has_lock;

	/* It has none of its own, or an earlier action has handed it on. */
	if (nsavepoints == 0 || savepoints[nsavepoints - 1].level <= outside)
		return -1;
	s = &savepoints[nsavepoints - 1];
	has_lock = nsavepoints > 1 && s[-1].level == outside;
	if (outside > 1 && !has_lock)
	{
		s->level = outside;
		return -1;
	}
	*number = has_lock ? s[-1].number : 0;
	return s->first_queue;
}

void
rq_savepoint_unlock(void)
{
	rq_owner_unlock(&savepoints[nsavepoints - 1].lock, ExclusiveLock);
	nsavepoints--;
}

void
rq_savepoint_undone(int level)
{
	while (nsavepoints > 0 && savepoints[nsavepoints - 1].level >= level)
		nsavepoints--;
}

void
rq_savepoint_forget(void)
{
	nsavepoints = 0;
}
