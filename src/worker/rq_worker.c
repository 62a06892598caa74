/*
 * rq_worker.c
 *	  What the background workers share.
 *
 * The workers belong to no database and never run a transaction.  They are
 * connected all the same, which puts them into pg_stat_activity and the keeper
 * into the process array.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/rq_compat.h"
#include "base/rq_waits.h"
#include "shmem/rq_workers.h"
#include "worker/rq_worker.h"

static const struct
{
	const char *name;
	const char *function;
}			workers[RQ_NWORKERS] = {
	[RQ_KEEPER] = {"rocketq keeper", "rq_keeper_main"},
	[RQ_ALLOCATOR] = {"rocketq allocator", "rq_allocator_main"},
	[RQ_JANITOR] = {"rocketq janitor", "rq_janitor_main"},
};

StaticAssertDecl(RQ_WAIT_ALLOCATOR - RQ_WAIT_KEEPER == RQ_ALLOCATOR - RQ_KEEPER &&
				 RQ_WAIT_JANITOR - RQ_WAIT_KEEPER == RQ_JANITOR - RQ_KEEPER &&
				 RQ_KEEPER == 0 && RQ_NWORKERS == 3,
				 "wait events of workers are not in the order of RqWorkerKind");

static RqWorker *me = NULL;
static bool round_failed = false;

void
rq_workers_register(void)
{
	for (int i = 0; i < RQ_NWORKERS; i++)
	{
		BackgroundWorker w = {
			.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION,
			.bgw_start_time = BgWorkerStart_RecoveryFinished,
			.bgw_restart_time = 1
		};

		strlcpy(w.bgw_name, workers[i].name, BGW_MAXLEN);
		strlcpy(w.bgw_type, workers[i].name, BGW_MAXLEN);
		strlcpy(w.bgw_library_name, "rocketq", BGW_MAXLEN);
		strlcpy(w.bgw_function_name, workers[i].function, BGW_MAXLEN);
		RegisterBackgroundWorker(&w);
	}
}

static void
forget_worker(int code, Datum kind)
{
	rq_workers[DatumGetInt32(kind)].latch = NULL;
	rq_workers[DatumGetInt32(kind)].pid = 0;
}

void
rq_worker_begin(RqWorkerKind kind)
{
	me = &rq_workers[kind];

	/*
	 * A cancelled keeper would let a checkpoint pass, and there is nothing to
	 * cancel in the others.
	 */
	pqsignal(SIGINT, SIG_IGN);
	pqsignal(SIGTERM, SignalHandlerForShutdownRequest);
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnectionByOid(InvalidOid, InvalidOid, 0);

	on_shmem_exit(forget_worker, Int32GetDatum(kind));
	me->started_at = GetCurrentTimestamp();
	me->state = RQ_WORKER_STARTING;
	me->failing = false;
	me->pid = MyProcPid;
	me->latch = MyLatch;
	pgstat_report_activity(STATE_RUNNING, NULL);
	CurrentMemoryContext = AllocSetContextCreate(TopMemoryContext,
												 "rocketq worker",
												 ALLOCSET_DEFAULT_SIZES);
}

void
rq_worker_set_state(RqWorkerState state)
{
	me->state = state;
}

/*
 * Note an error for the view.  A worker's messages are in no database's
 * encoding, so what is not ASCII cannot be shown.  The copy is made before the
 * spinlock is taken, under which nothing may take long or throw.
 */
void
rq_worker_note_error(const char *message)
{
	char		copy[RQ_WORKER_ERROR_MAX];
	TimestampTz now = GetCurrentTimestamp();

	strlcpy(copy, message, sizeof(copy));
	for (char *c = copy; *c != '\0'; c++)
		if (IS_HIGHBIT_SET(*c))
			*c = '?';
	SpinLockAcquire(&me->error_lock);
	me->errors++;
	me->last_error_at = now;
	strlcpy(me->last_error, copy, sizeof(copy));
	SpinLockRelease(&me->error_lock);
	round_failed = true;
}

/*
 * The latch is reset before anything is checked, so whoever sets it after that
 * ends the next wait at once.
 */
bool
rq_worker_wait(int timeout_ms)
{
	int			rc;

	me->ticks++;
	me->last_tick_at = GetCurrentTimestamp();
	me->failing = round_failed;
	me->state = RQ_WORKER_IDLE;
	rc = WaitLatch(MyLatch,
				   WL_LATCH_SET | WL_TIMEOUT | WL_POSTMASTER_DEATH,
				   timeout_ms,
				   rq_wait_events[RQ_WAIT_KEEPER + (me - rq_workers)]);
	ResetLatch(MyLatch);
	me->state = RQ_WORKER_WORKING;
	round_failed = false;
	if (rc & WL_POSTMASTER_DEATH)
		return false;
	CHECK_FOR_INTERRUPTS();
	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
	}
	return !ShutdownRequestPending;
}

/*
 * What a transaction's abort would do in a backend is done here for what
 * rounds can hold: condition variables, LWLocks and memory.  Releasing all
 * LWLocks is right since a round begins without any.
 */
bool
rq_worker_round(RqRound round)
{
	MemoryContext cxt = CurrentMemoryContext;
	volatile bool ok = true;

	PG_TRY();
	{
		round();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(cxt);
		ConditionVariableCancelSleep();
		LWLockReleaseAll();
		pgstat_report_wait_end();
		EmitErrorReport();
		rq_worker_note_error(CopyErrorData()->message);
		FlushErrorState();
		ok = false;
	}
	PG_END_TRY();
	MemoryContextReset(cxt);
	return ok;
}
