/*
 * rq_waits.c
 *	  What pg_stat_activity says that a process of ours waits for.
 *
 * The server has room for 128 names of all extensions.  That they do not fit
 * shows when it starts, and not in the middle of somebody's work.
 */
#include "postgres.h"

#include "base/rq_waits.h"

uint32		rq_wait_events[RQ_NWAIT_EVENTS];

void
rq_waits_register(void)
{
#define REGISTER(symbol, name, before_17) \
	rq_wait_events[symbol] = rq_wait_event_new(name, before_17);
	RQ_WAIT_EVENTS(REGISTER)
#undef REGISTER
}
