/*
 * rq_error.c
 *	  Errors that are raised from more than one place.
 */
#include "postgres.h"

#include "base/rq_error.h"

void		(*rq_corruption_counter) (void) = NULL;

void
rq_report_corruption(const char *what, const char *problem)
{
	if (rq_corruption_counter != NULL)
		rq_corruption_counter();
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("%s is damaged", what),
			 errdetail("A check found that %s.", problem),
			 errhint("Use SELECT * FROM rocketq.verify() to check the whole store.")));
}

void
rq_report_table_full(const char *message, const char *setting, int allowed,
					 uint32 needed, uint32 left, const char *drop)
{
	ereport(ERROR,
			(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
			 errmsg("%s", _(message)),
			 errdetail("%u more are needed, but %u of the %d allowed by %s are left.",
					   needed, left, allowed, setting),
			 errhint("Drop what is no longer needed with rocketq.%s(), or raise %s and restart the server.",
					 drop, setting)));
}

void
rq_report_blocks_full(const char *message, const char *setting, int allowed,
					  uint64 needed, uint32 left, int block, const char *drop)
{
	ereport(ERROR,
			(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
			 errmsg("%s", _(message)),
			 errdetail(UINT64_FORMAT " more are needed, in blocks of %d, but %u of the %d allowed by %s are left.",
					   needed, block, left, allowed, setting),
			 errhint("Drop what is no longer needed with rocketq.%s(), or raise %s and restart the server.",
					 drop, setting)));
}

void
rq_report_share_used_up(const char *message, const char *setting, int value,
						const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
			 errmsg("%s", _(message)),
			 errdetail("The limit set by %s is %d.", setting, value),
			 errhint("%s", _(hint))));
}

void
rq_report_not_preloaded(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("rocketq is not in shared_preload_libraries"),
			 errdetail("rocketq needs shared memory, background workers, and a WAL resource manager, which exist only in a server that loads the library when it starts."),
			 errhint("Add rocketq to shared_preload_libraries and restart the server.")));
}
