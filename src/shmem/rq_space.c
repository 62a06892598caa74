/*
 * rq_space.c
 *	  Wait for room that the allocator makes.
 *
 * Producers do not make files longer, which takes its time and can fail.  Who
 * finds no room where it has to store something lets go of all locks, asks the
 * allocator, waits, and begins again.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "base/rq_waits.h"
#include "shmem/rq_shmem.h"
#include "shmem/rq_space.h"
#include "shmem/rq_stats.h"
#include "shmem/rq_workers.h"

/* How long producers wait for an allocator that is not there. */
#define ALLOCATOR_WAIT_S	10

void
rq_space_init(RqSpace *space)
{
	pg_atomic_init_u32(&space->err, 0);
	ConditionVariableInit(&space->cv);
}

static void
report_no_allocator(const RqSpaceKind *kind)
{
	rq_count(RQ_STAT_REFUSED_CLOSED, 1);
	ereport(ERROR,
			(errcode(ERRCODE_CANNOT_CONNECT_NOW),
			 errmsg_internal("%s", _(kind->failed)),
			 errdetail("Background worker \"rocketq allocator\" is not running."),
			 errhint("See the server log; max_worker_processes must allow for %d workers of rocketq.",
					 RQ_NWORKERS)));
}

/*
 * Each round checks all that may have changed: there is room, the allocator has
 * failed to make some, or it has exited.
 */
void
rq_space_wait(RqSpace *space, const RqSpaceKind *kind,
			  bool (*there) (uint64 want), uint64 want)
{
	int			rounds_alone = 0;

	/* The allocator works only while the gate is open.  Throws if it is not. */
	rq_gate_enter();
	rq_gate_leave();

	ConditionVariablePrepareToSleep(&space->cv);
	while (!there(want))
	{
		uint32		err = pg_atomic_read_u32(&space->err);

		if (err != 0)
		{
			/* Do not wait, but have it try again for whoever comes next. */
			ConditionVariableCancelSleep();
			rq_worker_wake(RQ_ALLOCATOR);
			rq_count_refused_file(err);
			kind->report(err);
		}
		if (rq_workers[RQ_ALLOCATOR].pid == 0 &&
			++rounds_alone > ALLOCATOR_WAIT_S)
		{
			ConditionVariableCancelSleep();
			report_no_allocator(kind);
		}
		rq_worker_wake(RQ_ALLOCATOR);
		ConditionVariableTimedSleep(&space->cv, 1000,
									rq_wait_events[RQ_WAIT_SPACE]);
	}
	ConditionVariableCancelSleep();
}

bool
rq_space_publish(RqSpace *space, int err)
{
	bool		news = pg_atomic_read_u32(&space->err) != (uint32) err;

	pg_atomic_write_u32(&space->err, err);
	ConditionVariableBroadcast(&space->cv);
	return news;
}
