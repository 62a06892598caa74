/*
 * rq_fault.c
 *	  Fault points for tests; see rq_fault.h.  Empty in a normal build.
 */
#include "postgres.h"

#ifdef RQ_TESTING

#include <signal.h>

#include "miscadmin.h"
#include "portability/instr_time.h"
#include "utils/guc.h"

#include "base/rq_fault.h"

int			rq_test_extra = -1;

static char *fault_setting = NULL;

static bool
is_point(const char *name, size_t len)
{
#define IS_POINT(unused, point) \
	if (strlen(point) == len && strncmp(name, point, len) == 0) \
		return true;
	RQ_FAULT_POINTS(IS_POINT,)
#undef IS_POINT
		return false;
}

/* A test with a wrong name would pass without the fault that it is about. */
static bool
check_setting(char **newval, void **extra, GucSource source)
{
	const char *p = *newval;

	while (p != NULL && *p != '\0')
	{
		const char *equals = strchr(p, '=');

		if (equals == NULL || !is_point(p, equals - p))
		{
			GUC_check_errdetail("There is no fault point that begins with \"%s\".", p);
			return false;
		}
		p = strchr(p, ',');
		if (p != NULL)
			p++;
	}
	return true;
}

void
rq_fault_define_guc(void)
{
	DefineCustomStringVariable("rocketq.fault",
							   "Sets which fault points are armed (for tests only).",
							   NULL,
							   &fault_setting, "",
							   PGC_SUSET, GUC_NOT_IN_SAMPLE, check_setting, NULL, NULL);
	DefineCustomIntVariable("rocketq.test_extra",
							"Sets the size of an item in an extra part of each message (for tests only).",
							NULL,
							&rq_test_extra, -1, -1, 65000,
							PGC_SUSET, GUC_NOT_IN_SAMPLE, NULL, NULL, NULL);
}

/* A signal ends pg_usleep() early. */
static void
sleep_ms(double ms)
{
	instr_time	start;
	double		passed = 0;

	INSTR_TIME_SET_CURRENT(start);
	while (passed < ms)
	{
		instr_time	now;

		pg_usleep((long) ((ms - passed) * 1000) + 1);
		INSTR_TIME_SET_CURRENT(now);
		INSTR_TIME_SUBTRACT(now, start);
		passed = INSTR_TIME_GET_MILLISEC(now);
	}
}

static void
act(const char *name, const char *action)
{
	if (strncmp(action, "sleep:", 6) == 0)
		sleep_ms(atol(action + 6));
	else if (strncmp(action, "kill", 4) == 0)
		kill(MyProcPid, SIGKILL);
	else if (strncmp(action, "stop", 4) == 0)
		kill(MyProcPid, SIGSTOP);
	else if (strncmp(action, "error", 5) == 0)
		elog(ERROR, "fault point \"%s\"", name);
	else if (strncmp(action, "panic", 5) == 0)
		elog(PANIC, "fault point \"%s\"", name);
}

/* Is the action for all items, or for this one? */
static bool
is_for(const char *action, uint64 number)
{
	size_t		len = strcspn(action, ",@");

	return action[len] != '@' || strtou64(action + len + 1, NULL, 10) == number;
}

/* Do what rocketq.fault says about the named point, if anything. */
void
rq_fault_point(const char *name, uint64 number)
{
	size_t		len = strlen(name);
	const char *p = fault_setting;

	while (p != NULL && *p != '\0')
	{
		if (strncmp(p, name, len) == 0 && p[len] == '=' &&
			is_for(p + len + 1, number))
			act(name, p + len + 1);
		p = strchr(p, ',');
		if (p != NULL)
			p++;
	}
}

bool
rq_fault_fails(const char *name, uint64 number)
{
	size_t		len = strlen(name);
	const char *p = fault_setting;

	while (p != NULL && *p != '\0')
	{
		if (strncmp(p, name, len) == 0 && strncmp(p + len, "=fail", 5) == 0 &&
			is_for(p + len + 1, number))
		{
			errno = EIO;
			return true;
		}
		p = strchr(p, ',');
		if (p != NULL)
			p++;
	}
	return false;
}

#endif							/* RQ_TESTING */
