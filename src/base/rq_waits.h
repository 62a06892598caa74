/*
 * rq_waits.h
 *	  What pg_stat_activity says that a process of ours waits for.
 *
 * From 17 on each has a name of its own, of type Extension.  Before, an
 * extension could not add names: a process waits for "Extension", or for the
 * event of PostgreSQL that comes closest.
 *
 * sql/doc/monitoring.md has the names, too.
 */
#ifndef RQ_WAITS_H
#define RQ_WAITS_H

#include "base/rq_compat.h"

/* Symbol, name, event before 17. */
#define RQ_WAIT_EVENTS(X) \
	/* a consumer waits for messages, at most as long as it has asked for */ \
	X(RQ_WAIT_MESSAGES, "RocketqMessages", PG_WAIT_EXTENSION) \
	/* a producer waits until the allocator has made room */ \
	X(RQ_WAIT_SPACE, "RocketqSpace", PG_WAIT_EXTENSION) \
	/* somebody waits until the keeper opens the store */ \
	X(RQ_WAIT_STORE_OPEN, "RocketqStoreOpen", PG_WAIT_EXTENSION) \
	/* who has taken a lock over and over leaves it to one who wants all of it */ \
	X(RQ_WAIT_GIVE_WAY, "RocketqGiveWay", WAIT_EVENT_PG_SLEEP) \
	/* a worker between two rounds; in the order of RqWorkerKind */ \
	X(RQ_WAIT_KEEPER, "RocketqKeeperMain", PG_WAIT_EXTENSION) \
	X(RQ_WAIT_ALLOCATOR, "RocketqAllocatorMain", PG_WAIT_EXTENSION) \
	X(RQ_WAIT_JANITOR, "RocketqJanitorMain", PG_WAIT_EXTENSION) \
	/* a file becomes longer, or gets zeros */ \
	X(RQ_WAIT_FILE_ALLOCATE, "RocketqFileAllocate", WAIT_EVENT_DATA_FILE_EXTEND) \
	/* fsync of a file or directory */ \
	X(RQ_WAIT_FILE_SYNC, "RocketqFileSync", WAIT_EVENT_DATA_FILE_SYNC) \
	/* space of a file goes back to the file system */ \
	X(RQ_WAIT_FILE_REMOVE, "RocketqFileRemove", WAIT_EVENT_DATA_FILE_TRUNCATE) \
	/* the keeper writes what the files do not say */ \
	X(RQ_WAIT_STATE_WRITE, "RocketqStateWrite", WAIT_EVENT_DATA_FILE_WRITE)

#define RQ_WAIT_SYMBOL(symbol, name, before_17) symbol,
typedef enum RqWaitEvent
{
	RQ_WAIT_EVENTS(RQ_WAIT_SYMBOL)
	RQ_NWAIT_EVENTS
} RqWaitEvent;

/* What WaitLatch() and the like take.  Set by rq_waits_register(). */
extern uint32 rq_wait_events[RQ_NWAIT_EVENTS];

/*
 * In the postmaster, before it starts other processes, which inherit what it
 * has got, and whenever shared memory is new.
 */
extern void rq_waits_register(void);

/* Around a system call; both leave errno alone, and neither throws. */
static inline void
rq_wait_start(RqWaitEvent event)
{
	pgstat_report_wait_start(rq_wait_events[event]);
}

static inline void
rq_wait_end(void)
{
	pgstat_report_wait_end();
}

#endif							/* RQ_WAITS_H */
