/*
 * rq_keeper.c
 *	  The keeper: no checkpoint completes before what lies below its redo
 *	  pointer is on disk in rocketq's files too.
 *
 * PostgreSQL has no checkpoint hook for extensions, but a checkpoint waits for
 * every virtual transaction that has DELAY_CHKPT_COMPLETE set when its buffers
 * are written.  The keeper always has one.  Each tick it
 *
 *		1. reads the redo pointer; if that has moved, syncs the store;
 *		2. holding ProcArrayLock exclusively, reads it again, and only if it is
 *		   the synced one takes a new virtual transaction id.
 *
 * Every tick takes a new id, not only one after a change: the checkpointer may
 * have collected the id that was new at the change.  And under the lock: the
 * checkpointer collects ids under it too, so none can be collected between the
 * look and the change.
 *
 * An id lasts while the process does, so an exit would let a checkpoint pass.
 * The keeper therefore leaves in order only: it closes the gate, so nothing
 * more is begun, syncs, and goes.  Statements end what they had begun
 * (log/rq_gather.c) without it; nobody can commit that before its successor has
 * synced and opens the gate.  Any other exit brings the server down to a crash
 * restart.  It must never wait for anything that needs the checkpointer.
 */
#include "postgres.h"

#include <signal.h>
#include <unistd.h>

#include "access/xlog.h"
#include "access/xloginsert.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "storage/pmsignal.h"
#include "storage/proc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/rq_compat.h"
#include "base/rq_fault.h"
#include "base/rq_guc.h"
#include "consume/rq_offer.h"
#include "consume/rq_offset.h"
#include "format/rq_segfmt.h"
#include "format/rq_statefmt.h"
#include "format/rq_walrec.h"
#include "log/rq_log.h"
#include "queue/rq_queue.h"
#include "queue/rq_resolve.h"
#include "shmem/rq_stats.h"
#include "shmem/rq_workers.h"
#include "store/rq_durable.h"
#include "topic/rq_alter.h"
#include "topic/rq_group.h"
#include "topic/rq_topic.h"
#include "wal/rq_files.h"
#include "wal/rq_lost.h"
#include "wal/rq_state.h"
#include "wal/rq_tidy.h"
#include "worker/rq_worker.h"

/* Found by its name. */
extern PGDLLEXPORT void rq_keeper_main(Datum arg);

/* How often resolutions and offsets are logged, in milliseconds. */
#define LOG_INTERVAL_MS		1000

/* How many RESOLVE records of queues with little to tell it writes then. */
#define LOG_QUEUES			256
#define LOG_LITTLE			256 /* entries */

/* How often a sync is tried before the store is left as it is. */
#define CLOSE_TRIES			3

static XLogRecPtr synced_redo = InvalidXLogRecPtr;
static bool closed_in_order = false;
static TimestampTz next_logging = 0;

/* ---- the guard ---- */

static void
take_guard(void)
{
	LWLockAcquire(ProcArrayLock, LW_EXCLUSIVE);
	RQ_SET_MY_LXID(GetNextLocalTransactionId());
	MyProc->delayChkptFlags |= DELAY_CHKPT_COMPLETE;
	LWLockRelease(ProcArrayLock);
}

/* Let checkpoints pass whose redo pointer is synced. */
static void
rotate_guard(void)
{
	LocalTransactionId lxid = GetNextLocalTransactionId();

	RQ_FAULT("keeper-rotate");
	LWLockAcquire(ProcArrayLock, LW_EXCLUSIVE);
	if (GetRedoRecPtr() == synced_redo)
		RQ_SET_MY_LXID(lxid);
	LWLockRelease(ProcArrayLock);
}

static void
drop_guard(void)
{
	LWLockAcquire(ProcArrayLock, LW_EXCLUSIVE);
	MyProc->delayChkptFlags &= ~DELAY_CHKPT_COMPLETE;
	RQ_SET_MY_LXID(InvalidLocalTransactionId);
	LWLockRelease(ProcArrayLock);
}

/* ---- sync ---- */

/* A walk over all queues that logs how far they are resolved. */
static struct
{
	uint32		topic;			/* where it goes on behind an error */
	uint32		queue;
	bool		all;			/* every queue has its turn */
	uint32		round;
	uint32		turns;
	uint32		changed;		/* queues that had something to tell */
}			settle;

/*
 * Is it this queue's turn?  When messages are spread over very many queues, a
 * record for each queue every time would be about one for each message.  So
 * those with little to tell take turns.
 */
static bool
is_turn(RqQueue *q)
{
	uint64		untold = pg_atomic_read_u64(&q->stable) - q->logged_stable;

	if (untold == 0)
		return false;
	settle.changed++;
	return settle.all || untold > LOG_LITTLE ||
		(q - rq_queues) % settle.turns == settle.round % settle.turns;
}

/* One queue, a part of it; false if there is more.  The meta lock is held. */
static bool
settle_some(uint32 topic, RqQueue *q, bool *turn)
{
	if (rq_resolve_refresh_some(topic, q))
		return false;
	*turn = *turn || is_turn(q);
	return !*turn || !rq_resolve_log(topic, q);
}

/*
 * Resolve what no backend is left to resolve, and log how far each queue is
 * resolved.  Goes on behind a queue that has thrown.  However much there is in a
 * queue, and however many there are, others get the meta lock in between.
 */
static void
settle_topic(uint32 topic)
{
	while (settle.queue < rq_topic_nslots(topic))
	{
		uint32		i = settle.queue++;
		bool		turn = false;
		bool		done = false;

		while (!done)
		{
			LWLockAcquire(rq_meta_lock, LW_SHARED);
			done = i >= rq_topic_nslots(topic) ||
				settle_some(topic, rq_topic_queue(topic, i), &turn);
			LWLockRelease(rq_meta_lock);
		}
	}
}

static void
settle_queues(void)
{
	for (; settle.topic < (uint32) rq_max_topics; settle.topic++, settle.queue = 0)
		settle_topic(settle.topic);
}

/*
 * Bookkeeping: what of it fails is logged and does not hold up checkpoints,
 * because the state file rests only on what is logged.
 */
static void
log_settled(bool all)
{
	settle.topic = settle.queue = 0;
	settle.all = all;
	settle.round++;
	settle.turns = 1 + settle.changed / LOG_QUEUES;
	settle.changed = 0;
	while (!rq_worker_round(settle_queues))
		;
	rq_worker_round(rq_offset_settle_all);
	rq_worker_round(rq_offer_again);
	next_logging = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
											   LOG_INTERVAL_MS);
}

static void
log_sync(XLogRecPtr redo)
{
	xl_rq_sync	rec = {.kind = RQ_EXT_SYNC, .redo = redo,
		.log_start = pg_atomic_read_u64(&rq_ctl->log_start),
	.log_end = pg_atomic_read_u64(&rq_ctl->log_end)};

	XLogBeginInsert();
	rq_xlog_register(&rec, SizeOfRqSync);
	XLogSetRecordFlags(XLOG_MARK_UNIMPORTANT);
	rq_xlog_insert(XLOG_RQ_EXT);
}

static void
sync_store(void)
{
	XLogRecPtr	redo = GetRedoRecPtr();
	instr_time	start;
	instr_time	end;

	RQ_FAULT("keeper-sync");
	rq_worker_set_state(RQ_WORKER_SYNCING);
	INSTR_TIME_SET_CURRENT(start);
	log_settled(true);
	RQ_FAULT("keeper-settled");
	if (rq_state_sync(InvalidXLogRecPtr))
	{
		log_sync(redo);
		INSTR_TIME_SET_CURRENT(end);
		INSTR_TIME_SUBTRACT(end, start);
		rq_ctl->last_sync_us = INSTR_TIME_GET_MICROSEC(end);
		rq_ctl->last_sync_bytes = rq_state_synced_bytes();
		rq_ctl->last_sync_at = GetCurrentTimestamp();
		rq_ctl->syncs++;
	}
	synced_redo = redo;
	rq_ctl->synced_redo = redo;
}

static void
tick(void)
{
	if (GetRedoRecPtr() != synced_redo)
		sync_store();
	else if (GetCurrentTimestamp() >= next_logging)
		log_settled(false);
	rotate_guard();
	rq_state_sync_early();
}

/* ---- begin ---- */

/*
 * Bring the server down when files are missing; the gate is closed, so nothing
 * has been added to those that are there.
 */
static void
check_files(void)
{
	if (rq_files_check_replayed(LOG))
		return;
	kill(PostmasterPid, SIGQUIT);
	while (rq_worker_wait(1000))
		;
	proc_exit(1);
}

/* Remove what a crash left behind.  Nobody else uses the store yet. */
static void
tidy_up(void)
{
	if (rq_ctl->tidied)
		return;
	rq_files_tidy(true);
	rq_ctl->tidied = true;
}

/* Who needs a file that is lost waits at the gate until it can be made again. */
static bool
make_lost(void)
{
	while (rq_ignore_missing_files && !rq_worker_round(rq_files_make_lost))
		if (!rq_worker_wait(1000))
			return false;
	return true;
}

static void
fill_gaps(void)
{
	while (rq_ctl->ngaps > 0)
	{
		RqStateGap	g = rq_gaps[rq_ctl->ngaps - 1];

		rq_log_fill_gap(Max(g.start, pg_atomic_read_u64(&rq_ctl->log_start)),
						g.end);
		rq_ctl->ngaps--;
	}
}

/* Sync what was written while the gate was closed; false if it is to stay so. */
static bool
catch_up(void)
{
	while (!rq_worker_round(sync_store))
		if (!rq_worker_wait(1000))
			return false;
	return true;
}

static void
open_gate(void)
{
	LWLockAcquire(rq_gate_lock, LW_EXCLUSIVE);
	rq_ctl->gate_open = true;
	LWLockRelease(rq_gate_lock);
	ConditionVariableBroadcast(&rq_ctl->gate_cv);
	rq_worker_wake(RQ_JANITOR);
}

/* ---- end ---- */

/* An exit nobody planned: the server must restart as after a crash. */
static void
at_exit(int code, Datum arg)
{
	if (!closed_in_order)
	{
		write_stderr("rocketq keeper ended unexpectedly; the server restarts to recover\n");
		_exit(2);
	}
}

/* The next start can tell files that are not of the same time as the others. */
static void
note_closed(void)
{
	if (PostmasterIsAlive() && rq_files_tidy_leftovers())
		rq_files_note_closed();
}

/* A sync that keeps failing makes the next start a recovery. */
static void
close_store(void)
{
	LWLockAcquire(rq_gate_lock, LW_EXCLUSIVE);
	rq_ctl->gate_open = false;
	LWLockRelease(rq_gate_lock);

	for (int tries = 1; !rq_worker_round(sync_store); tries++)
	{
		if (tries == CLOSE_TRIES)
			return;
		pg_usleep(1000000L);
	}
	(void) rq_worker_round(note_closed);
	closed_in_order = true;
	drop_guard();
	ereport(LOG, (errmsg("rocketq store closed")));
}

/* After a failed round the checkpoint waits, and so do we for a while. */
static void
run(void)
{
	bool		ok = true;

	open_gate();
	while (rq_worker_wait(ok ? rq_keeper_interval_ms : 1000))
		ok = rq_worker_round(tick);
}

void
rq_keeper_main(Datum arg)
{
	bool		successor = rq_ctl->tidied;

	rq_worker_begin(RQ_KEEPER);
	before_shmem_exit(at_exit, (Datum) 0);

	rq_state_assume_synced();
	synced_redo = rq_ctl->synced_redo = GetRedoRecPtr();
	take_guard();
	check_files();
	rq_files_forget_closed();
	tidy_up();
	if (make_lost())
	{
		fill_gaps();
		rq_topic_alter_recover();
		if (!successor || catch_up())
			run();
	}

	close_store();
	proc_exit(1);
}
