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
 *
 * Several actions for one point are done in their order.
 *
 * The points, in the order a message meets them:
 *		append-reserve		room is reserved, nothing is in the map
 *		append-store		frame is in the map, WAL record is not inserted
 *		append-wal			APPEND is inserted, the reservation still in flight
 *		gather-take			a frame is in a chunk, nothing of which is stored
 *		gather-write		the chunk's frames are logged, its rest is not
 *		action-room			something is to be noted that a rollback undoes
 *		pending-add			APPEND is done, the transaction's list is not longer
 *		pending-spill		that list is about to be written to a file
 *		precommit-sort		pre-commit has begun, nothing is enqueued
 *		enqueue-store		entries are in the map, WAL record not inserted
 *		enqueue-wal			ENQUEUE is inserted
 *		enqueue-done		a queue has its entries, others may not
 *		offset-wal			OFFSET is inserted
 *		group-drop-wal		GROUP_DROP is inserted, no commit record
 *		precommit-done		all of pre-commit is done, commit record is not
 *		commit-callback		commit record is out, nothing is resolved yet
 *		resolve-flags		aborted entries are flagged, "stable" is not raised
 *		resolve-wal			RESOLVE is inserted
 *		direct-enqueued		without a transaction: ENQUEUE is not flushed yet
 *		direct-flushed		it is, "stable" is not raised
 *		consume-read		messages are read, the reader has not moved
 *		wait-looked			a waiter has looked, and does not sleep yet
 *		topic-wal			TOPIC of a new topic is inserted, no commit record
 *		group-wal			GROUP is inserted, no commit record
 *		drop-wal			TOPIC_DROP is flushed, the topic's folder is there
 *		drop-rename			the folder has another name, no file is gone yet
 *		resize-wal			TOPIC of a resize is inserted, no commit record
 *		resize-settled		that of its end is flushed, files are still there
 *		keeper-sync			redo pointer has moved, nothing is synced yet
 *		keeper-settled		RESOLVE and SETTLE are logged, the state is not copied
 *		keeper-fsynced		files are synced, the state file is not written
 *		keeper-rotate		before the redo pointer is read again under lock
 *		janitor-settle		a round has begun, nothing is settled yet
 *		state-rename		state file's temporary copy is durable
 *		segment-zero		a new segment is zero-filled, not yet in place
 *		segment-named		it is in place, its name is not synced
 *		trim-begun			a trim is announced, readers have been looked at
 *		trim-wal			TRIM is inserted, no file is gone yet
 *		trim-removed		the files are gone
 */
#ifndef RQ_FAULT_H
#define RQ_FAULT_H

#ifdef RQ_TESTING
extern void rq_fault_point(const char *name);
extern void rq_fault_define_guc(void);
#define RQ_FAULT(name)	rq_fault_point(name)
#else
#define rq_fault_define_guc()	((void) 0)
#define RQ_FAULT(name)	((void) 0)
#endif

#endif							/* RQ_FAULT_H */
