/*
 * rq_shmem.c
 *	  What all of rocketq shares, and the gate.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "access/xloginsert.h"
#include "executor/instrument.h"
#include "miscadmin.h"
#include "storage/proclist.h"
#include "utils/timestamp.h"

#include "base/rq_compat.h"
#include "base/rq_error.h"
#include "base/rq_fault.h"
#include "base/rq_guc.h"
#include "base/rq_waits.h"
#include "format/rq_walrec.h"
#include "shmem/rq_shmem.h"
#include "shmem/rq_slots.h"
#include "shmem/rq_stats.h"
#include "shmem/rq_workers.h"

/* How long a closed gate is waited for: a keeper restarts within seconds. */
#define GATE_WAIT_MS	10000

/* How long others who wait for the meta lock are let go first. */
#define META_WAIT_MS	10

RqControl  *rq_ctl = NULL;
RqBackend  *rq_backends = NULL;
LWLock	   *rq_gate_lock = NULL;
LWLock	   *rq_meta_lock = NULL;

/* ---- parts ---- */

static void
control_init(void)
{
	rq_gate_lock = &rq_part_locks(&rq_control_part)->lock;
}

static void
control_fill(void)
{
	pg_atomic_init_u32(&rq_ctl->leftovers, 0);
	ConditionVariableInit(&rq_ctl->gate_cv);
}

const RqPart rq_control_part = {
	.name = "control",
	.item_size = sizeof(RqControl),
	.table = (void **) &rq_ctl,
	.fill = control_fill,
	.shmem_init = control_init,
	.locks_name = "RocketqGate",
	.nlocks = 1
};

static void
meta_lock_init(void)
{
	rq_meta_lock = &rq_part_locks(&rq_meta_lock_part)->lock;
}

const RqPart rq_meta_lock_part = {
	.name = "meta lock",
	.shmem_init = meta_lock_init,
	.locks_name = "RocketqMeta",
	.nlocks = 1
};

/*
 * RQ_INVALID_POS is the highest position there can be.  So those who look for
 * the lowest one in all slots (rq_log_written_end(), retain/rq_needs.c) need no
 * case for a backend that has nothing to announce, or does not exist.
 */
static void
backends_fill(void)
{
	for (int i = 0; i < rq_max_backends(); i++)
	{
		RqBackend  *b = &rq_backends[i];

		pg_atomic_init_u64(&b->inflight_start, RQ_INVALID_POS);
		pg_atomic_init_u64(&b->inflight_end, RQ_INVALID_POS);
		pg_atomic_init_u64(&b->xact_pos, RQ_INVALID_POS);
		pg_atomic_init_u64(&b->read_pos, RQ_INVALID_POS);
		pg_atomic_init_u32(&b->unflushed_queue, RQ_NO_SLOT);
		pg_atomic_init_u64(&b->unflushed_from, 0);
		for (int class = 0; class < RQ_EXT_CLASSES; class++)
			pg_atomic_init_u32(&b->wants[class], 0);
	}
}

const RqPart rq_backends_part = {
	.name = "backends",
	.item_size = sizeof(RqBackend),
	.items = rq_max_backends,
	.table = (void **) &rq_backends,
	.fill = backends_fill
};

/* ---- the locks of the store ---- */

/*
 * Outside the postmaster's children there is one process only: the postmaster
 * when it loads the state, or a server in single-user mode.
 */
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
 * An LWLock held shared is granted shared to others too, even if somebody
 * waits for it exclusively.  A few processes that take it again and again
 * would keep that one waiting for as long as they go on.  So they sleep before
 * they take it if there is a waiter, but not forever.  The list of waiters is
 * read without its lock: it is only a hint, and a wrong one costs a
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
		rq_wait_start(RQ_WAIT_GIVE_WAY);
		pg_usleep(1000);
		rq_wait_end();
	}
	LWLockAcquire(rq_meta_lock, LW_SHARED);
}

/*
 * A count and not a flag: rq_files_tidy_leftovers() clears it only if nobody
 * has counted while it was looking.
 */
void
rq_leftovers_note(void)
{
	pg_atomic_fetch_add_u32(&rq_ctl->leftovers, 1);
}

void
rq_require_preload(void)
{
	if (rq_ctl == NULL)
		rq_report_not_preloaded();
}

/*
 * Wait until the gate seems to be open, at most GATE_WAIT_MS.  gate_open is
 * read without the gate lock: the caller checks it again under the lock.  No
 * lock is held here, so that a wait can be cancelled and a keeper that closes
 * or opens the gate is not held up.
 *
 * A round ends with a broadcast of open_gate() (worker/rq_keeper.c), or after a
 * second, so that the time is checked.
 */
static void
wait_for_gate(void)
{
	TimestampTz give_up = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
													  GATE_WAIT_MS);

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
					 errdetail("Background worker \"rocketq keeper\" is not running: the server is shutting down, or could not start the worker."),
					 errhint("See the server log; max_worker_processes must allow for %d workers of rocketq.",
							 RQ_NWORKERS)));
		}
		ConditionVariableTimedSleep(&rq_ctl->gate_cv, 1000,
									rq_wait_events[RQ_WAIT_STORE_OPEN]);
	}
	ConditionVariableCancelSleep();
}

/*
 * The lock held shared is what the gate is: the keeper takes it exclusively to
 * close the gate, so when it has the lock, everybody who entered has left, and
 * what they stored and logged is published (worker/rq_keeper.c).
 *
 * The wait is outside the lock, so the gate may have been closed again, by a
 * keeper that was told to exit, before the lock is had; hence the loop.
 */
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
	RQ_ASSERT_NO_LOCKS();
	for (;;)
	{
		LWLockAcquire(rq_gate_lock, LW_SHARED);
		if (likely(rq_ctl->gate_open))
			return;
		LWLockRelease(rq_gate_lock);
		wait_for_gate();
	}
}

/*
 * Does not check gate_open.  The caller has had a reservation in the log since
 * it entered the first time, and the keeper that closed the gate has recorded
 * that as a gap.  Its successor syncs what has been written by then before it
 * opens the gate, and its guard covers what is written later.
 */
void
rq_gate_enter_again(void)
{
	RQ_ASSERT_NO_LOCKS();
	LWLockAcquire(rq_gate_lock, LW_SHARED);
}

void
rq_gate_leave(void)
{
	LWLockRelease(rq_gate_lock);
}

bool
rq_is_in_gate(void)
{
	return LWLockHeldByMe(rq_gate_lock) ||
		rq_workers[RQ_KEEPER].pid == MyProcPid;
}

/*
 * Every record of ours comes through here, so the rule of the gate is checked
 * here for all: once the keeper has closed it, its last sync must not miss
 * anything that is logged.
 *
 * Only XLogInsert() knows how long a record becomes; it adds that to what
 * EXPLAIN (WAL) shows, so the difference is its length.
 */
XLogRecPtr
rq_xlog_insert(uint8 info)
{
	uint64		bytes = pgWalUsage.wal_bytes;
	uint8		version = RQ_WAL_VERSION;
	XLogRecPtr	lsn;

	RQ_ASSERT_IN_GATE();
	if (RQ_FAULT_FAILS("wal-newer"))
		version++;
	if (RQ_FAULT_FAILS("wal-older"))
		version--;
	rq_xlog_register(&version, sizeof(version));
	lsn = XLogInsert(rq_rmgr_id, info);
	rq_count(RQ_STAT_WAL_RECORDS, 1);
	rq_count(RQ_STAT_WAL_BYTES, pgWalUsage.wal_bytes - bytes);
	return lsn;
}
