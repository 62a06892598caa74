/*
 * rq_fault.h
 *	  Points in the code where a test can make something go wrong.
 *
 * Compiled in with -DRQ_TESTING only.  The setting rocketq.fault holds a
 * comma-separated list of point=action, where action is one of
 *		sleep:MS	wait that long
 *		kill		SIGKILL to this process
 *		stop		SIGSTOP to this process
 *		error		ERROR
 *		panic		PANIC
 *		fail		what is tried there fails, at points that are a condition
 *					(RQ_FAULT_FAILS)
 *
 * An action followed by @NUMBER is done only for the item with that number, at
 * points that are about one of many (RQ_FAULT_OF, RQ_FAULT_FAILS_OF).
 *
 * Several actions for one point are done in their order.
 */
#ifndef RQ_FAULT_H
#define RQ_FAULT_H

/*
 * The points, in the order a message meets them.  A name that is not here does
 * not compile in RQ_FAULT(), and is refused in the setting.
 */
#define RQ_FAULT_POINTS(X, arg) \
	/* where the log ends is known, its segment is not mapped */ \
	X(arg, "append-place") \
	/* room is reserved, nothing is in the map */ \
	X(arg, "append-reserve") \
	/* frame is in the map, WAL record is not inserted */ \
	X(arg, "append-store") \
	/* APPEND is inserted, the reservation still in flight */ \
	X(arg, "append-wal") \
	/* a frame is in a chunk, nothing of which is stored */ \
	X(arg, "gather-take") \
	/* the chunk's frames are logged, its rest is not */ \
	X(arg, "gather-write") \
	/* something is to be noted that a rollback undoes */ \
	X(arg, "action-room") \
	/* APPEND is done, the transaction's list is not longer */ \
	X(arg, "pending-add") \
	/* that list is about to be written to a file */ \
	X(arg, "pending-spill") \
	/* pre-commit has begun, nothing is enqueued */ \
	X(arg, "precommit-sort") \
	/* entries are about to be enqueued, no lock is held */ \
	X(arg, "enqueue-open") \
	/* an area file is about to be mapped; "fail": where that may fail, it does */ \
	X(arg, "extent-map") \
	/* an extent is no longer free, and not yet the queue's */ \
	X(arg, "extent-taken") \
	/* it is the queue's last one */ \
	X(arg, "extent-linked") \
	/* entries are in the map, WAL record not inserted */ \
	X(arg, "enqueue-store") \
	/* "fails": the clock is two hours ahead */ \
	X(arg, "enqueue-clock") \
	/* ENQUEUE is inserted */ \
	X(arg, "enqueue-wal") \
	/* a queue has its entries, others may not */ \
	X(arg, "enqueue-done") \
	/* a reader's offset comes next */ \
	X(arg, "offset-stage") \
	/* OFFSET is inserted */ \
	X(arg, "offset-wal") \
	/* GROUP_DROP is inserted, no commit record */ \
	X(arg, "group-drop-wal") \
	/* all of pre-commit is done, commit record is not */ \
	X(arg, "precommit-done") \
	/* commit record is out, nothing is resolved yet */ \
	X(arg, "commit-callback") \
	/* aborted entries are flagged, "stable" is not raised */ \
	X(arg, "resolve-flags") \
	/* RESOLVE is inserted */ \
	X(arg, "resolve-wal") \
	/* without a transaction: ENQUEUE is not flushed yet */ \
	X(arg, "direct-enqueued") \
	/* it is, "stable" is not raised */ \
	X(arg, "direct-flushed") \
	/* a message is found in the log, nothing of it is copied yet */ \
	X(arg, "message-found") \
	/* a group is found by name, and nothing keeps it yet */ \
	X(arg, "group-found") \
	/* messages are read, the reader has not moved */ \
	X(arg, "consume-read") \
	/* a waiter has checked the queues, and does not sleep yet */ \
	X(arg, "wait-looked") \
	/* a view has read one queue */ \
	X(arg, "view-looked") \
	/* the keeper has offered, as much as it does at one go */ \
	X(arg, "offer-looked") \
	/* a waiter without a transaction has checked one queue */ \
	X(arg, "idle-looked") \
	/* TOPIC of a new topic is inserted, no commit record */ \
	X(arg, "topic-wal") \
	/* fail: a new queue begins 100 offsets below 2^32 */ \
	X(arg, "queue-first") \
	/* GROUP is inserted, no commit record */ \
	X(arg, "group-wal") \
	/* an expired group is kept from all, and not checked again */ \
	X(arg, "group-expire") \
	/* TOPIC_DROP is inserted, the topic is there */ \
	X(arg, "drop-wal") \
	/* an entry of a queue that is to go is about to be looked at */ \
	X(arg, "consumed-look") \
	/* queues have been found to be removable, under no lock */ \
	X(arg, "alter-looked") \
	/* TOPIC with altered settings is inserted, no commit record */ \
	X(arg, "alter-wal") \
	/* that of its end is inserted, extents of queues are not given back */ \
	X(arg, "alter-settled") \
	/* a rollback has taken back one change of a topic's settings */ \
	X(arg, "alter-undone") \
	/* redo pointer has moved, nothing is synced yet */ \
	X(arg, "keeper-sync") \
	/* the keeper is about to settle an offset of this group */ \
	X(arg, "offset-settle") \
	/* the keeper looks at a queue that is unsettled */ \
	X(arg, "keeper-look") \
	/* RESOLVE and SETTLE are logged, the state is not copied */ \
	X(arg, "keeper-settled") \
	/* what had changed is copied, what has changed since is not */ \
	X(arg, "keeper-copying") \
	/* the state is copied, no file is synced yet */ \
	X(arg, "keeper-copied") \
	/* files are synced, the state file is not written */ \
	X(arg, "keeper-fsynced") \
	/* before the redo pointer is read again under lock */ \
	X(arg, "keeper-rotate") \
	/* one group whose creation was rolled back is dropped, others not */ \
	X(arg, "group-abandoned") \
	/* this topic's creator, dropper or alterer may have ended; relfilenode */ \
	X(arg, "topic-settle") \
	/* a slot is about to be settled, no lock is held */ \
	X(arg, "settle-turn") \
	/* "fail": this transaction's id counts as damaged */ \
	X(arg, "xid-possible") \
	/* this group's creator or dropper has ended, and that is to be logged */ \
	X(arg, "group-settle") \
	/* this restored group's place is about to be searched for */ \
	X(arg, "saved-look") \
	/* a restored group's place is being searched for, so many entries further */ \
	X(arg, "saved-search") \
	/* a round has begun, nothing is settled yet */ \
	X(arg, "janitor-settle") \
	/* dropped topics are known, none of them is removed yet */ \
	X(arg, "janitor-drop") \
	/* fail: the state file counts as long, so that an image is written */ \
	X(arg, "state-long") \
	/* it has a batch that does not count before the sync's last one is there */ \
	X(arg, "state-appended") \
	/* some slots are copied, and the meta lock is released */ \
	X(arg, "state-copy-hold") \
	/* the state file has the whole sync, which is not durable yet */ \
	X(arg, "state-batch") \
	/* a slice of a new image is written, beside the state file */ \
	X(arg, "state-image-slice") \
	/* a new state file is durable under its temporary name */ \
	X(arg, "state-rename") \
	/* it has its name */ \
	X(arg, "state-image-renamed") \
	/* the segment that the log ends in is zeroed beyond that, not synced */ \
	X(arg, "zero-fsync") \
	/* a new segment is zero-filled, not yet in place */ \
	X(arg, "segment-zero") \
	/* it is in place, its name is not synced */ \
	X(arg, "segment-named") \
	/* the next name in a directory of the store is to be read */ \
	X(arg, "dir-read") \
	/* retention knows what transactions and readers need, queues come next */ \
	X(arg, "retain-asked") \
	/* what can go is known, nothing is announced */ \
	X(arg, "trim-decided") \
	/* a trim is announced, readers have been checked */ \
	X(arg, "trim-begun") \
	/* TRIM is flushed, no file is removed yet */ \
	X(arg, "trim-wal") \
	/* a file of a queue is removed, there may be more */ \
	X(arg, "trim-cut") \
	/* the files are removed */ \
	X(arg, "trim-removed") \
	/* what is missing is known when the server starts, nothing is written */ \
	X(arg, "load-stale") \
	/* extents for what is missing are zeros, and have no headers */ \
	X(arg, "extent-hole") \
	/* extents are given back, the queue still has them */ \
	X(arg, "extents-freed") \
	/* those wait for the sync that begins, no slot is copied */ \
	X(arg, "extents-waiting") \
	/* this area file is on disk, others may not be */ \
	X(arg, "area-fsynced") \
	/* what waited for the sync may be zeroed */ \
	X(arg, "extents-released") \
	/* an extent's entries are zeros, its header is not */ \
	X(arg, "extent-zeroing") \
	/* a chunk is filled with zeros and has no header */ \
	X(arg, "chunk-filled") \
	/* "fail": an area file that is filled cannot be synced */ \
	X(arg, "area-fsync") \
	/* "fail": this page of an area file, counted over all of them, cannot be read */ \
	X(arg, "area-read") \
	/* a chunk's space is given back */ \
	X(arg, "chunk-punched") \
	/* the starts of some queues are raised, those of others and the log's are not */ \
	X(arg, "trim-part") \
	/* "fail": WAL records claim to be of the next version, or of the one before */ \
	X(arg, "wal-newer") \
	X(arg, "wal-older") \
	/* "fail": no step begins with the store's version */ \
	X(arg, "upgrade-step") \
	/* a store of an older version: a file is made one of this version, others not */ \
	X(arg, "upgrade-file") \
	/* all files are, the state file is not */ \
	X(arg, "upgrade-files") \
	/* verify() knows which queue it checks next, and holds no lock */ \
	X(arg, "verify-queue")

#ifdef RQ_TESTING
/*
 * rocketq.test_extra: every message that is produced gets an extra part (format/
 * rq_framefmt.h) of unknown kinds, with an item of this many bytes; -1 = none.
 */
extern int	rq_test_extra;

extern void rq_fault_point(const char *name, uint64 number);
extern bool rq_fault_fails(const char *name, uint64 number);
extern void rq_fault_define_guc(void);

#define RQ_FAULT_IS(name, point)	|| __builtin_strcmp(name, point) == 0

#define RQ_FAULT(name)	RQ_FAULT_OF(name, 0)

#define RQ_FAULT_OF(name, number) \
	do { \
		StaticAssertStmt(false RQ_FAULT_POINTS(RQ_FAULT_IS, name), \
						 "the fault point is not in RQ_FAULT_POINTS"); \
		rq_fault_point(name, number); \
	} while (0)

/* True, with errno EIO, if what is tried here is to fail. */
#define RQ_FAULT_FAILS(name)	RQ_FAULT_FAILS_OF(name, 0)

#define RQ_FAULT_FAILS_OF(name, number) \
	(StaticAssertExpr(false RQ_FAULT_POINTS(RQ_FAULT_IS, name), \
					  "the fault point is not in RQ_FAULT_POINTS"), \
	 rq_fault_fails(name, number))

#else
#define rq_fault_define_guc()	((void) 0)
#define RQ_FAULT(name)	((void) 0)
#define RQ_FAULT_OF(name, number)	((void) 0)
#define RQ_FAULT_FAILS(name)	false
#define RQ_FAULT_FAILS_OF(name, number)	false
#endif

#endif							/* RQ_FAULT_H */
