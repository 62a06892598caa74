/*
 * rq_worker.h
 *	  What the background workers share.
 *
 *		keeper		takes part in checkpoints, brings the log to disk between
 *					them, logs resolutions; opens and closes the gate
 *		allocator	makes segments ahead of need
 *		janitor		removes dropped topics and old segments, takes samples
 */
#ifndef RQ_WORKER_H
#define RQ_WORKER_H

#include "shmem/rq_shmem.h"
#include "shmem/rq_workers.h"

/* Register all of them with the postmaster; from _PG_init. */
extern void rq_workers_register(void);

/* Connect, announce the worker in shared memory, install signal handlers. */
extern void rq_worker_begin(RqWorkerKind kind);

/*
 * Wait for the latch or this many milliseconds, and serve interrupts.  False
 * when the worker is to end; postmaster death counts as that.
 */
extern bool rq_worker_wait(int timeout_ms);

/*
 * For the view: what the worker does, and that something went wrong, which
 * also marks the round as failed.
 */
extern void rq_worker_set_state(RqWorkerState state);
extern void rq_worker_note_error(const char *message);

/*
 * Run one round, in a memory context that is reset afterwards.  An error is
 * logged and ends the round; false if there was one.
 */
typedef void (*RqRound) (void);
extern bool rq_worker_round(RqRound round);

#endif							/* RQ_WORKER_H */
