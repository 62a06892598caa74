/*
 * rq_shmem.h
 *	  What all of rocketq shares: the gate, what backends are doing; and the
 *	  order of all locks.
 *
 * Everything in shared memory has a fixed size, so the startup process can use
 * it during recovery.  Nothing outside this memory and the files is shared.  What
 * belongs to one layer is a part of its own there (rq_parts.h).
 *
 * Lock order, outermost first; a process may skip levels but not go back:
 *
 *		1. heavyweight locks: the topic's relation, then a group, then those
 *		   by which one waits for a queue (consume/rq_owner.c)
 *		2. gate lock		shared by everyone who changes the store
 *		3. meta lock		which topics, queues and groups exist
 *		4. a queue's lock	its entries and ends
 *		5. the extents lock	which extents are free, and lists of them
 *		6. a wait lock		who waits for messages of a topic
 *		7. a group's lock	its committed offsets
 *		8. WAL insertion locks, ProcArrayLock
 *		9. reserve_lock		a spinlock: where the log ends
 *
 * Of each of the levels 4 to 6 one lock is held, but for that of another group if
 * it is to be had at once (consume/rq_moves.c).
 *
 * Nobody waits for the file system, a worker or another transaction while
 * holding 2 to 9, with these exceptions.  A queue's lock is held over its WAL
 * insertion, and while an area file is mapped, or read to resolve the queue
 * (queue/rq_resolve.c).  So is the meta lock, shared, by those who
 * read entries and hold no lock on the topic's relation: workers, views and
 * waiters.  It is also held while a state of many megabytes is copied
 * (wal/rq_statecopy.c).
 */
#ifndef RQ_SHMEM_H
#define RQ_SHMEM_H

#include "datatype/timestamp.h"
#include "port/atomics.h"
#include "storage/condition_variable.h"
#include "storage/lwlock.h"

#include "base/rq_base.h"
#include "format/rq_extfmt.h"
#include "shmem/rq_parts.h"

/*
 * What one backend is doing; written by it alone, read by anybody.
 *
 * inflight: the part of the log it has reserved and not yet WAL-logged; set
 * under reserve_lock, before the log's end is raised past it.
 * xact_pos: lowest position its transaction has appended.
 * read_pos: lowest position it may still read; see log/rq_reader.c.
 * savepoint: the last number of a savepoint; not reset for the next process, so
 * that who still waits for an earlier one never takes another for it.
 * owner_since: when its transaction took its first queue for a group.
 * unflushed: entries it enqueued without a transaction and whose WAL it still
 * flushes; the queue's "unflushed" counts them.
 *
 * wants: extents of each class that its transaction will need
 * (queue/rq_supply.c).
 *
 * Padded to a cache line, so that backends do not slow each other down.
 */
typedef union RqBackend
{
	struct
	{
		pg_atomic_uint64 inflight_start;	/* RQ_INVALID_POS = nothing */
		pg_atomic_uint64 inflight_end;
		pg_atomic_uint64 xact_pos;	/* RQ_INVALID_POS = nothing */
		pg_atomic_uint64 read_pos;	/* RQ_INVALID_POS = nothing */
		pg_atomic_uint32 unflushed_queue;	/* RQ_NO_SLOT = nothing */
		pg_atomic_uint64 unflushed_from;
		uint32		savepoint;
		pg_atomic_uint32 wants[RQ_EXT_CLASSES];
		TimestampTz owner_since;
	};
	char		pad[PG_CACHE_LINE_SIZE];
} RqBackend;

typedef struct RqControl
{
	/* the gate; "open" changes under the gate lock held exclusively */
	bool		gate_open;
	ConditionVariable gate_cv;

	/* 0 = there is no file that should be gone; see rq_leftovers_note() */
	pg_atomic_uint32 leftovers;
} RqControl;

/* The same address in every process; NULL without preloading. */
extern RqControl *rq_ctl;
extern RqBackend *rq_backends;

extern LWLock *rq_gate_lock;
extern LWLock *rq_meta_lock;

/*
 * For a function whose caller has to hold the meta lock, in this mode or a
 * stronger one.  Those who load the state need not, since there is nobody else
 * yet; nor need the startup process if it only reads (LW_SHARED), since during
 * recovery nobody else changes what the lock protects.
 */
#define RQ_ASSERT_META_LOCK(mode)	Assert(rq_holds_meta_lock(mode))
extern bool rq_holds_meta_lock(LWLockMode mode);

/*
 * How many entries of queues may be read under one hold of the meta lock, as
 * others wait for it.  Whoever has more to read releases the lock in between.
 */
#define RQ_META_HOLD_ENTRIES	2048

/*
 * Take the meta lock shared, for those who take it again and again: lets those
 * who wait for it go first.  Checks for interrupts.
 */
extern void rq_meta_lock_again(void);

#define RQ_MY_BACKEND	(&rq_backends[RQ_MY_PROC_NUMBER])

extern const RqPart rq_control_part;
extern const RqPart rq_meta_lock_part;
extern const RqPart rq_backends_part;

/*
 * Note that a file of what was dropped or trimmed could not be removed, so
 * that it is tried again (wal/rq_tidy.c).
 */
extern void rq_leftovers_note(void);

/* ERROR unless the library was preloaded. */
extern void rq_require_preload(void);

/*
 * Enter the gate: wait until the store is open, then hold the gate lock
 * shared.  Everything that changes files or WAL-logged state happens inside.
 * Throws when the server is in single-user mode, in recovery, or when the
 * keeper does not come up.  Leave releases the lock.
 */
extern void rq_gate_enter(void);
extern void rq_gate_leave(void);

/*
 * Enter it to end what was begun inside, even if it has been closed since.
 * Can't throw.
 */
extern void rq_gate_enter_again(void);

/*
 * For a function that changes the store, whose caller has to be inside the
 * gate.  The keeper need not: nobody else closes it.
 */
#define RQ_ASSERT_IN_GATE()		Assert(rq_is_in_gate())
extern bool rq_is_in_gate(void);

/*
 * For a function that enters the gate or waits for a heavyweight lock, which
 * come first in the order of locks.
 */
#define RQ_ASSERT_NO_LOCKS() \
	Assert(!LWLockHeldByMe(rq_gate_lock) && !LWLockHeldByMe(rq_meta_lock))

/* Insert the WAL record that has been begun, inside the gate, and count it. */
extern XLogRecPtr rq_xlog_insert(uint8 info);

#endif							/* RQ_SHMEM_H */
