/*
 * rq_keeper.c
 *	  The keeper: no checkpoint completes before what lies below its redo
 *	  pointer is on disk in rocketq's files too.
 *
 * How can an extension take part in a checkpoint?  PostgreSQL has no hook for
 * that, but when a checkpoint has written its buffers, it waits for every
 * virtual transaction that has DELAY_CHKPT_COMPLETE set at that moment.  The
 * keeper always has one, the guard.  Each tick it
 *
 *		1. reads the redo pointer; if that has moved, syncs the store;
 *		2. holding ProcArrayLock exclusively, reads it again, and only if it is
 *		   the synced one takes a new virtual transaction id.
 *
 * Every tick takes a new id, not only one after a change: the checkpointer may
 * have collected the id that was new at the change.  And under the lock: the
 * checkpointer collects ids under it too, so none can be collected between the
 * check and the change.
 *
 * The guard ends with the process, so an exit would let a checkpoint pass.
 * The keeper therefore exits only after it has closed the gate, so that
 * nothing more is begun, and synced the store.  Statements end what they had
 * begun (log/rq_gather.c) without it; nobody can commit that before its
 * successor has synced and opened the gate.  Any other exit brings the server
 * down to a crash restart.  The keeper must never wait for anything that needs
 * the checkpointer, which may be waiting for the guard.
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
#include "extent/rq_extlist.h"
#include "format/rq_segfmt.h"
#include "format/rq_walrec.h"
#include "log/rq_log.h"
#include "queue/rq_resolve.h"
#include "shmem/rq_shmem.h"
#include "shmem/rq_workers.h"
#include "store/rq_durable.h"
#include "topic/rq_alter.h"
#include "topic/rq_group.h"
#include "topic/rq_topic.h"
#include "wal/rq_files.h"
#include "wal/rq_lost.h"
#include "wal/rq_state.h"
#include "wal/rq_stateimage.h"
#include "wal/rq_tidy.h"
#include "worker/rq_worker.h"

/* Found by its name. */
extern PGDLLEXPORT void rq_keeper_main(Datum arg);

/* How often resolutions and offsets are logged, in milliseconds. */
#define LOG_INTERVAL_MS		1000

/* About how many queues with little to log get their turn then. */
#define LOG_QUEUES			256
#define LOG_LITTLE			256 /* up to this many entries are little */

/* How often closing tries to sync before it leaves that to a recovery. */
#define CLOSE_TRIES			3

static XLogRecPtr synced_redo = InvalidXLogRecPtr;
static bool closed_in_order = false;
static TimestampTz next_logging = 0;
static bool image_first = false;	/* a sync waits for it */

/* ---- the guard ---- */

/*
 * Id and flag are set under ProcArrayLock, so that a checkpointer that
 * collects ids sees both or neither.  GetVirtualXIDsDelayingChkpt() takes the
 * lock shared, hence exclusive here.
 */
static void
take_guard(void)
{
	LWLockAcquire(ProcArrayLock, LW_EXCLUSIVE);
	RQ_SET_MY_LXID(GetNextLocalTransactionId());
	MyProc->delayChkptFlags |= DELAY_CHKPT_COMPLETE;
	LWLockRelease(ProcArrayLock);
}

/*
 * Let checkpoints pass whose redo pointer is synced.
 *
 * A checkpoint moves the redo pointer first and collects ids much later.  If
 * one has collected the old id before we get the lock, its redo pointer had
 * moved by then, and is the synced one if we find that.  If it collects
 * afterwards, it gets the new id and waits until that is replaced in its turn.
 */
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

/* After the last sync, with the gate closed: from here on checkpoints pass. */
static void
drop_guard(void)
{
	LWLockAcquire(ProcArrayLock, LW_EXCLUSIVE);
	MyProc->delayChkptFlags &= ~DELAY_CHKPT_COMPLETE;
	RQ_SET_MY_LXID(InvalidLocalTransactionId);
	LWLockRelease(ProcArrayLock);
}

/* ---- sync ---- */

/* A walk over unsettled queues that logs how far they are resolved. */
static struct
{
	uint32		next;			/* slot; where it goes on after an error */
	bool		for_sync;		/* only of those with aborted entries */
	uint32		round;
	uint32		turns;
	uint32		changed;		/* queues with something to log */
}			walk;

/*
 * Is it this queue's turn?  When messages are spread over very many queues, a
 * record for each queue every time would be about one for each message.  So
 * queues with few newly resolved entries take turns.  If nothing is left to be
 * logged, the queue is only to be noted as settled.  Offsets are read without
 * the queue's lock; rq_resolve_log() checks again under it.
 */
static bool
is_turn(RqQueue *q)
{
	uint64		stable = pg_atomic_read_u64(&q->stable);
	uint64		untold = stable - q->logged_stable;

	if (untold == 0)
		return stable == pg_atomic_read_u64(&q->end);
	if (walk.for_sync)
		return true;
	walk.changed++;
	return untold > LOG_LITTLE ||
		(q - rq_queues) % walk.turns == walk.round % walk.turns;
}

/*
 * A bounded part of one queue; false if there is more.  The meta lock is held
 * shared, so the queue stays.
 */
static bool
resolve_part(RqQueue *q, bool *turn)
{
	if (rq_resolve_refresh_some(q))
		return false;
	*turn = *turn || is_turn(q);
	return !*turn || !rq_resolve_log(q);
}

/*
 * The meta lock is given up after each part, so others get it however much
 * there is in a queue and however many queues there are.  Meanwhile the slot
 * can be freed and taken by another queue; then that has its turn.
 */
static void
resolve_slot(uint32 slot)
{
	RqQueue    *q = &rq_queues[slot];
	bool		turn = false;
	bool		done = false;

	RQ_FAULT("keeper-look");
	while (!done)
	{
		LWLockAcquire(rq_meta_lock, LW_SHARED);
		done = q->topic == RQ_NO_SLOT || resolve_part(q, &turn);
		LWLockRelease(rq_meta_lock);
	}
}

/*
 * Resolve what no backend is left to resolve, and log how far queues are
 * resolved.  The slot's number advances before anything can throw, so the next
 * call goes on after a queue that has thrown.
 *
 * What a sync needs is seen without a lock: what is missed is aborted just now,
 * and then it is left out of the copy (queue/rq_tablestate.c).
 */
static void
resolve_queues(void)
{
	for (uint32 slot = walk.next; rq_bits_next(&rq_unsettled[RQ_SLOT_QUEUE], &slot);
		 slot++)
	{
		walk.next = slot + 1;
		if (!walk.for_sync || rq_queues[slot].unlogged_aborts > 0)
			resolve_slot(slot);
	}
}

/*
 * Log how far queues are resolved, those whose turn it is or those of which a
 * sync needs that, and what groups have consumed, and offer again what those
 * who were woken have left.
 *
 * None of this has to succeed for a sync: the state file holds only what does not
 * depend on it.  So an error is logged and does not hold up checkpoints.
 */
static void
log_progress(bool for_sync)
{
	walk.next = 0;
	walk.for_sync = for_sync;
	if (!for_sync)
	{
		walk.round++;
		walk.turns = 1 + walk.changed / LOG_QUEUES;
		walk.changed = 0;
		next_logging = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
												   LOG_INTERVAL_MS);
	}

	/* Each failure gets past one queue, so this ends. */
	while (!rq_worker_round(resolve_queues))
		;
	rq_worker_round(rq_offset_settle_all);
	rq_worker_round(rq_offer_again);
}

/*
 * For information only.  Marked unimportant, since it must not be the reason
 * for the next timed checkpoint.
 */
static void
log_sync(XLogRecPtr redo)
{
	xl_rq_sync	rec = {.kind = RQ_EXT_SYNC, .redo = redo,
		.log_start = pg_atomic_read_u64(&rq_log->start),
	.log_end = pg_atomic_read_u64(&rq_log->end)};

	XLogBeginInsert();
	rq_xlog_register(&rec, SizeOfRqSync);
	XLogSetRecordFlags(XLOG_MARK_UNIMPORTANT);
	rq_xlog_insert(XLOG_RQ_EXT);
}

/*
 * Bring the store to disk for the redo pointer as it is now.
 *
 *		1. read the redo pointer
 *		2. log which entries are aborted, which only then is in the state; a
 *		   quick sync leaves that to the next
 *		3. copy and sync
 *		4. note that pointer, so that rotate_guard() lets checkpoints pass
 *
 * Whatever has an LSN below the pointer has been stored before 1; its slot has
 * changed too, or changes under a lock that 3 waits for.  If the pointer moves
 * after 1, it is not the synced one, and the next tick does it all again.
 */
static void
sync_store_as(RqSyncKind kind)
{
	XLogRecPtr	redo = GetRedoRecPtr();
	instr_time	start;
	instr_time	end;

	RQ_FAULT("keeper-sync");
	rq_worker_set_state(RQ_WORKER_SYNCING);
	INSTR_TIME_SET_CURRENT(start);
	if (kind != RQ_SYNC_QUICK)
		log_progress(true);
	RQ_FAULT("keeper-settled");
	if (rq_state_sync(InvalidXLogRecPtr, kind))
	{
		log_sync(redo);
		INSTR_TIME_SET_CURRENT(end);
		INSTR_TIME_SUBTRACT(end, start);
		rq_store->last_sync_us = INSTR_TIME_GET_MICROSEC(end);
		rq_store->last_sync_bytes = rq_state_synced_bytes();
		rq_store->last_sync_at = GetCurrentTimestamp();
		rq_store->syncs++;
	}
	synced_redo = redo;
	rq_store->synced_redo = redo;
}

static void
sync_store(void)
{
	sync_store_as(RQ_SYNC_ORDINARY);
}

/* With the gate closed: nothing changes before a keeper syncs again. */
static void
sync_finally(void)
{
	sync_store_as(RQ_SYNC_FINAL);
}

/* With the gate closed, at which everybody waits. */
static void
sync_quickly(void)
{
	sync_store_as(RQ_SYNC_QUICK);
}

/*
 * If a step throws, the guard stays as it is and checkpoints go on waiting.
 * The early sync comes after it, since a checkpoint may be waiting for that, and
 * the image last, which may fail.
 *
 * If a sync has to wait for an image, ticks follow each other until there is one,
 * and do everything else meanwhile.
 */
static void
tick(void)
{
	bool		log_lacks_room = pg_atomic_read_u32(&rq_log->space.err) != 0;
	bool		sync = GetRedoRecPtr() != synced_redo ||
	rq_extent_wants_sync(log_lacks_room);

	image_first = sync && rq_state_image_comes_first();
	if (sync && !image_first)
		sync_store();
	else if (GetCurrentTimestamp() >= next_logging)
		log_progress(false);
	rotate_guard();
	rq_state_sync_early();
	rq_worker_round(rq_state_image_round);
}

/* ---- begin ---- */

/*
 * Bring the server down at once (immediate shutdown) when files are missing.
 * The gate is closed, so nothing has been added to those that are there.
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

/*
 * Remove what a crash left.  Nobody else uses the store yet, so segments
 * beyond the ends can go too.  A successor must not do that: by then alloc_end
 * says that there are segments beyond the log's end.
 */
static void
tidy_up(void)
{
	if (rq_store->tidied)
		return;
	rq_files_tidy(true);
	rq_store->tidied = true;
}

/* Until files that are lost can be made again, everybody waits at the gate. */
static bool
make_lost(void)
{
	while (rq_ignore_missing_files && !rq_worker_round(rq_files_make_lost))
		if (!rq_worker_wait(1000))
			return false;
	return true;
}

/*
 * Sync what statements wrote while there was no keeper.  Checkpoints may have
 * completed without it, so the gate opens, and lets them commit, only after
 * that.  False if the gate is to stay closed.
 */
static bool
catch_up(void)
{
	while (!rq_worker_round(sync_quickly))
		if (!rq_worker_wait(1000))
			return false;
	return true;
}

/*
 * The broadcast follows the change, and wait_for_gate() (shmem/rq_shmem.c)
 * prepares to sleep before it checks, so no waiter misses it.
 */
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

/*
 * An exit nobody planned would let checkpoints pass.  With this exit code the
 * postmaster restarts the server as after a crash of a backend.
 */
static void
at_exit(int code, Datum arg)
{
	if (!closed_in_order)
	{
		write_stderr("rocketq keeper ended unexpectedly; the server restarts to recover\n");
		_exit(2);
	}
}

/*
 * Note that the state file describes all files, so that the next start can
 * detect files that do not belong to it.  Not as long as a removed topic or
 * queue has files left: that start would refuse them.
 */
static void
note_closed(void)
{
	if (PostmasterIsAlive() && rq_files_tidy_leftovers())
		rq_files_note_closed();
}

/*
 *		1. close the gate	with its lock held exclusively nobody is inside,
 *							between storing, logging and publishing
 *		2. sync				all that was let in
 *		3. note				that the state file describes all files
 *		4. drop the guard	from here on checkpoints pass
 *
 * If the sync keeps failing, the guard stays until at_exit() makes the next
 * start a recovery.
 */
static void
close_store(void)
{
	LWLockAcquire(rq_gate_lock, LW_EXCLUSIVE);
	rq_ctl->gate_open = false;
	LWLockRelease(rq_gate_lock);

	for (int tries = 1; !rq_worker_round(sync_finally); tries++)
	{
		if (tries == CLOSE_TRIES)
			return;
		pg_usleep(1000000L);
	}
	rq_state_image_give_up();
	(void) rq_worker_round(note_closed);
	closed_in_order = true;
	drop_guard();
	ereport(LOG, (errmsg("rocketq store closed")));
}

/* After a failed round checkpoints go on waiting; try again in a second. */
static void
run(void)
{
	bool		ok = true;

	open_gate();
	while (rq_worker_wait(!ok ? 1000 : image_first ? 0 : rq_keeper_interval_ms))
		ok = rq_worker_round(tick);
}

/*
 * Everything before run() happens with the gate closed.  The order matters:
 *
 *	- The guard comes before the first record, which is to fill a gap.
 *	- Missing files are reported before anything is added to the others.
 *	- The note that the store was closed goes before any file is removed or
 *	  made, so that it never stands beside files that contradict it.
 *	- Lost files are made before gaps are filled: filling one would create the
 *	  log's last segment, and what was lost before the gap would not be noticed.
 *
 * A successor in the same server has to sync first: see catch_up().  The first
 * keeper has not: all is as the state file says, which was written last when
 * recovery ended, or the store was closed.  So clients of a store of any size need
 * not wait after a crash, or a promotion.
 */
void
rq_keeper_main(Datum arg)
{
	bool		is_successor = rq_store->tidied;

	rq_worker_begin(RQ_KEEPER);
	before_shmem_exit(at_exit, (Datum) 0);

	rq_state_assume_synced();
	synced_redo = rq_store->synced_redo = GetRedoRecPtr();
	take_guard();
	check_files();
	rq_files_forget_closed();
	tidy_up();
	if (make_lost())
	{
		rq_log_fill_gaps();
		rq_topic_alter_recover();
		if (!is_successor || catch_up())
			run();
	}

	close_store();
	proc_exit(1);
}
