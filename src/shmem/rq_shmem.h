/*
 * rq_shmem.h
 *	  What rocketq keeps in shared memory.
 *
 * Everything has a fixed size, so the startup process can use it during
 * recovery.  Nothing outside this memory and the files is shared.
 *
 * Lock order, outermost first; a process may skip levels but not go back:
 *
 *		1. heavyweight locks: the topic's relation, then a group, then a
 *		   (group, queue)
 *		2. gate lock		shared by everyone who changes the store
 *		3. meta lock		which topics, queues and groups exist
 *		4. a queue's lock	its entries and ends
 *		5. a wait lock		who waits for messages of a topic
 *		6. an offset lock	committed offsets, by slot number
 *		7. WAL insertion locks, ProcArrayLock
 *		8. reserve_lock		a spinlock: where the log ends
 *
 * Nobody waits for the file system, a worker or another transaction while
 * holding 2 to 8, with these exceptions.  A queue's lock is held over its WAL
 * insertion.  The meta lock is held while a topic's directory is made ahead or
 * put away with its topic, and while a state of many megabytes is copied
 * (wal/rq_state.c).  The gate lock and the meta lock are held over the
 * flush of a record that takes away a topic or queues with their files, since a
 * removal has no undo and must not be seen before.
 */
#ifndef RQ_SHMEM_H
#define RQ_SHMEM_H

#include "access/xlogdefs.h"
#include "datatype/timestamp.h"
#include "port/atomics.h"
#include "storage/condition_variable.h"
#include "storage/lwlock.h"
#include "storage/spin.h"

#include "base/rq_base.h"
#include "format/rq_settings.h"
#include "shmem/rq_slots.h"

#define RQ_NOT_LOGGED		PG_UINT64_MAX
#define RQ_OFFSET_LOCKS		128
#define RQ_WAIT_LOCKS		64
#define RQ_WAIT_TAGS		8

/*
 * With thousands of topics and queues none of them is in a processor's cache.
 * What every message asks for stands at the beginning, in one line.
 */
#define RQ_SLOT_ALIGN		64

/*
 * A topic.  All fields change under the meta lock held exclusively.  A holder
 * of a lock on the topic's relation may read them without it: the topic can't
 * go away, and its queues below "nqueues" stay.
 */
typedef struct RqTopic
{
	pg_attribute_aligned(RQ_SLOT_ALIGN) pg_atomic_uint64 key;	/* RQ_KEY_PACK, 0 = free */
	uint64		incarnation;	/* never the same for two topics */
	pg_atomic_uint32 nqueues;	/* that of "seen", for who holds no lock */
	pg_atomic_uint32 nwaiters;	/* see below; read without a lock */
	RqSlotMap	queues;			/* as many as its count "n" says: more than
								 * nqueues while queues that come or go are in
								 * doubt */

	/* see topic/rq_alter.c */
	RqTopicSettings committed;	/* what holds unless alter_xid commits */
	RqTopicSettings staged;		/* what holds if it does; else the same */
	RqTopicSettings seen;		/* by users of the topic, of whom there is
								 * only the one who alters it until he has
								 * ended */
	uint64		alter_xid;		/* who alters it, 0 = nobody */
	XLogRecPtr	alter_lsn;		/* of the last record about the above */
	Oid			spc;			/* tablespace when it was created */
	uint32		first_group;	/* chain of its groups, RQ_NO_SLOT ends it */
	uint64		pend_xid;		/* its creator, until that has ended */
	uint64		drop_xid;		/* who drops it, 0 = nobody; see
								 * rq_topic_stage_drop() */
	bool		doomed;			/* its relation is gone */
	bool		lost_files;		/* its directory has, since it was synced
								 * last; see topic/rq_trash.c */
	XLogRecPtr	lsn;			/* of its creation; older records are about an
								 * earlier holder of the key */

	/* who waits for messages; under the wait lock, whoever has the slot */
	uint32		first_waiter;
	uint32		last_waiter;
} RqTopic;

/* How far something had come at a moment; see consume/rq_rates.c. */
typedef struct RqSample
{
	TimestampTz at;				/* 0 = none */
	uint64		count;
	uint64		bytes;
} RqSample;

/*
 * A queue: start <= stable <= end.
 *
 * Entries below "end" are written and WAL-logged; below "stable" resolved.
 * "stable" is raised only after the flags of the entries below it are set, and
 * both by a holder of the lock; they are read without it.
 */
typedef struct RqQueue
{
	pg_attribute_aligned(RQ_SLOT_ALIGN) LWLock lock;
	uint32		topic;			/* slot of its topic, RQ_NO_SLOT = free */
	uint32		id;				/* number within the topic */
	pg_atomic_uint64 start;		/* first offset that is kept */
	pg_atomic_uint64 stable;
	pg_atomic_uint64 end;		/* next offset to be given */
	pg_atomic_uint64 wanted;	/* offsets below have a segment, or the
								 * allocator has been asked for it */
	pg_atomic_uint32 holders;	/* backends that hold back an entry */

	uint64		bytes_start;	/* of the frames of all entries below "start" */
	uint64		bytes_end;		/* the same below "end"; both under lock */
	TimestampTz last_time;		/* of the last entry; lock */
	XLogRecPtr	lsn;			/* of the last record about it; lock */
	uint64		logged_stable;	/* as far as RESOLVE has been logged; lock */
	uint64		unlogged_aborts;	/* aborted entries beyond that; lock */
	XLogRecPtr	born;			/* of the record that made it; older ones are
								 * about an earlier queue of that number */
	RqOff		redo_dirty;		/* lowest offset redo has written since the
								 * last sync; startup process only */
	RqSample	samples[2];		/* of the end, newer first; lock */
} RqQueue;

/* What an unfinished transaction means to do to a group. */
typedef enum RqPendingOp
{
	RQ_PEND_NONE = 0,
	RQ_PEND_CREATE,				/* abort removes the group */
	RQ_PEND_DROP				/* commit removes the group */
} RqPendingOp;

/*
 * A consumer group of one topic; changes under the meta lock held
 * exclusively.  "id" is never reused and names the group in locks and WAL.
 */
typedef struct RqGroup
{
	uint32		id;				/* 0 = free slot */
	uint32		topic;
	uint32		next;			/* in the topic's chain */
	RqPendingOp pend_op;
	uint64		pend_xid;
	uint64		claim_xid;		/* means to drop it, not logged yet */
	bool		doomed;			/* its own creator gave it up again */
	bool		abandoned;		/* the same, and can't take it back */
	TimestampTz created_at;

	/* retention; see retain/rq_retain.c */
	pg_atomic_uint64 used_at;	/* when somebody last consumed for it or moved
								 * it, 0 = not since the server started */
	bool		idle;			/* it holds nothing for that; janitor only */

	/* whose transaction has all of it; see consume/rq_owner.c */
	pg_atomic_uint32 owner;		/* process number + 1, 0 = nobody's */
	TimestampTz owner_since;

	char		name[RQ_GROUP_NAME_MAX + 1];
	RqSlotMap	offsets;		/* as many as the topic has slots */
} RqGroup;

/* A transaction that has moved a group's offset in one queue. */
typedef struct RqMove
{
	uint64		xid;
	uint64		next;			/* where to */
	TimestampTz at;
} RqMove;

#define RQ_MOVES			8

/*
 * A group's offset in one queue; all fields under the slot's offset lock.
 * While pend_xid is set, "committed" is what holds if it aborts and
 * "pend_next" what holds if it commits.
 */
typedef struct RqOffset
{
	uint32		group;			/* slot of its group, RQ_NO_SLOT = free */
	uint32		queue_id;
	uint64		committed;
	uint64		pend_next;
	uint64		pend_xid;		/* 0 = nothing pending */
	uint64		logged;			/* "committed" as WAL tells it without xids,
								 * or RQ_NOT_LOGGED */
	TimestampTz changed_at;
	XLogRecPtr	lsn;

	/* whose transaction reads the queue; see consume/rq_owner.c */
	pg_atomic_uint32 owner;		/* process number + 1, 0 = nobody's */
	TimestampTz owner_since;

	/* what the restore of a dump has said; see consume/rq_saved.c */
	uint64		saved_total;
	uint64		saved_left;

	/*
	 * messages that retention took before they were consumed, since the
	 * server started: all, those the log has told of, and when it did
	 */
	uint64		lost;
	uint64		lost_told;
	uint64		lost_from;		/* where the group was before the untold ones */
	TimestampTz told_at;

	/* some of the moves since the server started, oldest first */
	uint32		nmoves;
	uint64		before_moves;	/* the offset before the first of them */
	RqMove		moves[RQ_MOVES];

	RqSample	samples[2];		/* of "committed", newer first */
} RqOffset;

/*
 * What one backend is doing; written by it alone, read by anybody.
 *
 * inflight: the part of the log it has reserved and not yet WAL-logged; set
 * under reserve_lock, so that nobody can see a log end without it.
 * xact_pos: lowest position its transaction has appended.
 * read_pos: lowest position it may still read; see log/rq_reader.c.
 * hold: entries it enqueued without a transaction and whose WAL it still
 * flushes; the queue's "holders" counts them.
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
		pg_atomic_uint32 hold_queue;	/* RQ_NO_SLOT = nothing */
		pg_atomic_uint64 hold_from;
	};
	char		pad[PG_CACHE_LINE_SIZE];
} RqBackend;

/*
 * A backend that waits for messages of a topic; see consume/rq_wait.c.  All but
 * "cv" under the topic's wait lock; "picked" is read without.
 */
typedef struct RqWaiter
{
	uint32		topic;			/* RQ_NO_SLOT = does not wait */
	uint32		group_slot;
	uint32		group_id;		/* 0 = for no group */
	uint32		queue_id;		/* RQ_ALL_QUEUES, or the only one */
	uint64		from;			/* first offset that is of interest */
	uint32		ntags;			/* 0 = every message */
	uint32		tags[RQ_WAIT_TAGS]; /* hashes */
	pg_atomic_uint32 picked;	/* there may be something for it */
	uint32		picked_queue;	/* where */
	uint32		next;			/* in the topic's list */
	uint32		prev;
	ConditionVariable cv;
} RqWaiter;

#define RQ_ALL_QUEUES		PG_UINT32_MAX

/* The workers, for the view and for waking them. */
typedef enum RqWorkerKind
{
	RQ_KEEPER,
	RQ_ALLOCATOR,
	RQ_JANITOR
} RqWorkerKind;

#define RQ_NWORKERS		3

typedef enum RqWorkerState
{
	RQ_WORKER_STARTING,
	RQ_WORKER_IDLE,
	RQ_WORKER_WORKING,
	RQ_WORKER_SYNCING			/* the keeper, for a checkpoint */
} RqWorkerState;

#define RQ_WORKER_ERROR_MAX	256

/* What keeps the oldest segment that is kept. */
typedef enum RqKeeps
{
	RQ_KEEPS_UNKNOWN,			/* nobody has looked yet, or not to the end */
	RQ_KEEPS_WRITING,			/* the log is written there */
	RQ_KEEPS_TIME,
	RQ_KEEPS_GROUP,
	RQ_KEEPS_XACT,
	RQ_KEEPS_READER,
	RQ_KEEPS_UNRESOLVED,
	RQ_KEEPS_UNREADABLE			/* a queue of which a file cannot be read */
} RqKeeps;

/* The lowest position that must stay, as the janitor last found. */
typedef struct RqKept
{
	RqKeeps		what;
	RqPos		pos;
	RqKey		key;			/* topic of a group, a queue or entries, or 0 */
	uint32		queue_id;
	int			pid;			/* of a transaction or reader */
	char		group[RQ_GROUP_NAME_MAX + 1];
} RqKept;

typedef struct RqWorker
{
	int			pid;			/* 0 = not running */
	struct Latch *latch;
	TimestampTz started_at;
	TimestampTz last_tick_at;
	uint64		ticks;
	RqWorkerState state;
	bool		failing;		/* something went wrong in the last round */

	slock_t		error_lock;		/* the rest; none of it ends with the process */
	uint64		errors;
	TimestampTz last_error_at;
	char		last_error[RQ_WORKER_ERROR_MAX];
} RqWorker;

typedef struct RqControl
{
	/* fixed from the moment the state is loaded */
	uint32		segment_mb;
	uint64		segment_size;	/* a power of 2 */
	uint32		segment_bits;	/* which */
	bool		loaded;
	bool		made_by_upgrade;	/* see RQ_STATE_UPGRADE */
	bool		files_checked;	/* see rq_files_check_replayed() */
	bool		tidied;			/* the keeper has removed a crash's leftovers */

	/* the log */
	slock_t		reserve_lock;
	pg_atomic_uint64 log_end;	/* next position to give; reserve_lock */
	pg_atomic_uint64 log_start; /* meta lock exclusive */
	pg_atomic_uint64 alloc_end; /* segments exist below this; allocator */
	pg_atomic_uint32 alloc_errno;	/* why the allocator can't go on, 0 = fine */
	ConditionVariable alloc_cv; /* alloc_end or alloc_errno changed */

	/* the gate; "open" changes under the gate lock held exclusively */
	bool		gate_open;
	ConditionVariable gate_cv;

	/* under the meta lock held exclusively */
	uint32		next_group_id;
	uint64		next_incarnation;
	uint32		ntopics;
	uint32		ngroups;
	pg_atomic_uint32 ndoomed;	/* topics */
	pg_atomic_uint32 groups_abandoned;	/* 1 = there may be some */

	/*
	 * 0 = no files are left of topics and queues that are gone; see
	 * rq_trash.c
	 */
	pg_atomic_uint32 leftovers;

	pg_atomic_uint32 nwaiters;	/* of all topics */

	/* retention; "kept" is the janitor's, under the meta lock */
	RqKept		kept;
	TimestampTz holds_since;	/* groups not used since the server started,
								 * or was promoted, count as used then */
	pg_atomic_uint64 trimming_to;	/* log_start is about to be this; 0 = not */

	/* the disk; see log/rq_disk.c */
	pg_atomic_uint32 disk_permille; /* used, as last looked */
	pg_atomic_uint32 disk_warned;	/* above rocketq.disk_warn_percent */
	pg_atomic_uint32 disk_refuse;	/* above rocketq.disk_refuse_percent */

	/* the log is on disk below this; the keeper's, or in recovery startup's */
	RqPos		synced_log;

	/* the keeper's; read by the views */
	XLogRecPtr	synced_redo;
	TimestampTz last_sync_at;
	uint64		syncs;
	uint64		last_sync_us;
	uint64		last_sync_bytes;

	RqWorker	worker[RQ_NWORKERS];

	/*
	 * Stretches that redo found reserved but not written.  Written by the
	 * startup process, filled by the keeper before it opens the gate.
	 */
	uint32		ngaps;
	uint32		max_gaps;

	/* What the loaded state file says; see RqStateHeader.  For redo. */
	XLogRecPtr	meta_lsn;

	/* Has redo changed anything, and from where, since the last sync? */
	bool		redo_changed;
	RqPos		redo_dirty;

	/* Is a topic being altered, as far as is replayed? */
	bool		redo_altering;
} RqControl;

/* Addresses of the parts, the same in every process. */
extern RqControl *rq_ctl;
extern RqTopic *rq_topics;
extern RqQueue *rq_queues;
extern RqGroup *rq_groups;
extern RqOffset *rq_offsets;
extern RqBackend *rq_backends;
extern RqWaiter *rq_waiters;
extern pg_atomic_uint64 *rq_wanting;	/* a bit for each queue; rq_ahead.c */
extern struct RqStateGap *rq_gaps;

extern int	rq_max_backends(void);
extern int	rq_wanting_words(void);

extern LWLock *rq_gate_lock;
extern LWLock *rq_meta_lock;
extern LWLock *rq_offset_lock(uint32 slot);

/*
 * What a function says that leaves it to its caller to hold the meta lock, in
 * this mode or a stronger one.  Those who load the state go without, since there
 * is nobody else yet; and to look at things (LW_SHARED) the startup process does,
 * since during recovery nobody else changes them.
 */
#define RQ_ASSERT_META_LOCK(mode)	Assert(rq_holds_meta_lock(mode))
extern bool rq_holds_meta_lock(LWLockMode mode);

/*
 * Take the meta lock shared, for those who take it again and again: lets who
 * waits for it go first.  Checks for interrupts.  A hold should cost no more than
 * a look at a thousand entries.
 */
extern void rq_meta_lock_again(void);

extern LWLock *rq_wait_lock(uint32 topic);

#define RQ_MY_BACKEND	(&rq_backends[RQ_MY_PROC_NUMBER])

/* In shmem_request_hook and shmem_startup_hook. */
extern void rq_shmem_request(void);
extern void rq_shmem_startup(void);

/* The store has segments of that size; startup only. */
extern void rq_set_segment_mb(uint32 segment_mb);

/* ERROR unless the library was preloaded. */
extern void rq_require_preload(void);

/*
 * Topic slots by key.  The caller holds the meta lock, to add or remove one
 * exclusively; or it is the startup process, and only looks: during recovery
 * nobody else changes the index.
 */
extern uint32 rq_topic_index_find(RqKey key);
extern void rq_topic_index_add(RqKey key, uint32 slot);
extern void rq_topic_index_remove(RqKey key);

/*
 * Enter the gate: wait until the store is open, then hold the gate lock
 * shared.  Everything that changes files or WAL-logged state happens inside.
 * Throws when the server is in single-user mode, in recovery, or when the
 * keeper does not come up.  Leave releases the lock.
 */
extern void rq_gate_enter(void);
extern void rq_gate_leave(void);

/*
 * Enter it to end what was begun inside, also when it has been closed since.
 * Can't throw.
 */
extern void rq_gate_enter_again(void);

extern void rq_worker_wake(RqWorkerKind kind);

#endif							/* RQ_SHMEM_H */
