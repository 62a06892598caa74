/*
 * rq_workers.h
 *	  What the background workers report about themselves, and how others wake
 *	  them.
 */
#ifndef RQ_WORKERS_H
#define RQ_WORKERS_H

#include "datatype/timestamp.h"
#include "storage/spin.h"

#include "base/rq_base.h"
#include "shmem/rq_parts.h"

/* The workers, for the view and for waking them. */
typedef enum RqWorkerKind
{
	RQ_KEEPER,
	RQ_ALLOCATOR,
	RQ_JANITOR
} RqWorkerKind;					/* RQ_WAIT_KEEPER and so on have this order */

#define RQ_NWORKERS		3

typedef enum RqWorkerState
{
	RQ_WORKER_STARTING,
	RQ_WORKER_IDLE,
	RQ_WORKER_WORKING,
	RQ_WORKER_SYNCING			/* the keeper, for a checkpoint */
} RqWorkerState;

#define RQ_WORKER_ERROR_MAX	256

typedef struct RqWorker
{
	int			pid;			/* 0 = not running */
	struct Latch *latch;

	/* written by the worker, read without a lock by the view */
	TimestampTz started_at;
	TimestampTz last_tick_at;
	uint64		ticks;
	RqWorkerState state;
	bool		failing;		/* something went wrong in the last round */

	slock_t		error_lock;		/* for the rest, which outlives the process */
	uint64		errors;
	TimestampTz last_error_at;
	char		last_error[RQ_WORKER_ERROR_MAX];
} RqWorker;

/* RQ_NWORKERS, by kind. */
extern RqWorker *rq_workers;

extern const RqPart rq_workers_part;

/* Set the latch of a worker if it runs; a lost wake-up costs one interval. */
extern void rq_worker_wake(RqWorkerKind kind);

#endif							/* RQ_WORKERS_H */
