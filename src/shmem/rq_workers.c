/*
 * rq_workers.c
 *	  What the background workers report about themselves, and how others wake
 *	  them.
 */
#include "postgres.h"

#include "storage/latch.h"

#include "shmem/rq_workers.h"

RqWorker   *rq_workers = NULL;

static int
workers_count(void)
{
	return RQ_NWORKERS;
}

static void
workers_fill(void)
{
	for (int i = 0; i < RQ_NWORKERS; i++)
		SpinLockInit(&rq_workers[i].error_lock);
}

const RqPart rq_workers_part = {
	.name = "workers",
	.item_size = sizeof(RqWorker),
	.items = workers_count,
	.table = (void **) &rq_workers,
	.fill = workers_fill
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
