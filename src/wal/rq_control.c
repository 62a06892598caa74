/*
 * rq_control.c
 *	  What WAL is to be replayed, by PostgreSQL's control file and the files beside
 *	  it that ask for recovery.
 */
#include "postgres.h"

#include <unistd.h>

#include "access/xlog.h"
#include "catalog/pg_control.h"
#include "common/controldata_utils.h"
#include "miscadmin.h"
#include "storage/fd.h"

#include "wal/rq_control.h"

/*
 * A standby, or recovery to a point in time, begins in a data directory that was
 * shut down in order, too: what others have written since is replayed there.
 */
static bool
recovery_is_requested(void)
{
	return access(STANDBY_SIGNAL_FILE, F_OK) == 0 ||
		access(RECOVERY_SIGNAL_FILE, F_OK) == 0;
}

XLogRecPtr
rq_redo_start(bool *replay)
{
	FILE	   *label = AllocateFile(BACKUP_LABEL_FILE, "r");
	XLogRecPtr	redo = InvalidXLogRecPtr;
	bool		crc_ok;
	uint32		hi;
	uint32		lo;

	*replay = true;
	if (label != NULL)
	{
		if (fscanf(label, "START WAL LOCATION: %X/%X", &hi, &lo) == 2)
			redo = ((uint64) hi) << 32 | lo;
		FreeFile(label);
	}
	else
	{
		ControlFileData *control = get_controlfile(DataDir, &crc_ok);

		if (crc_ok)
			redo = control->checkPointCopy.redo;
		*replay = control->state != DB_SHUTDOWNED || recovery_is_requested();
		pfree(control);
	}
	return redo;
}
