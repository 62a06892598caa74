/*
 * rq_workers.c
 *	  What the background workers report about themselves, and how others wake
 *	  them.
 */
#include "postgres.h"

#include "storage/latch.h"

#include "shmem/rq_workers.h"

RqWorker   *rq_workers = NULL;

static Size
workers_size(void)
{
	return rq_table_size(RQ_NWORKERS, sizeof(RqWorker));
}

static void
workers_init(void)
{
	if (!rq_table_create("rocketq workers", RQ_NWORKERS, sizeof(RqWorker),
						 (void **) &rq_workers))
		return;
	for (int i = 0; i < RQ_NWORKERS; i++)
		SpinLockInit(&rq_workers[i].error_lock);
}

const RqPart rq_workers_part = {
	.name = "workers",
	.shmem_size = workers_size,
	.shmem_init = workers_init
};

/*
 * The worker may exit between the two lines.  Its latch is in its PGPROC,
 * which stays, so at worst another process is woken for nothing.
 */
void
rq_worker_wake(RqWorkerKind kind)
{
	struct Latch *latch = rq_workers[kind].latch;

	if (latch != NULL)
		SetLatch(latch);
}
