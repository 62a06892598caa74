/*
 * rq_control.c
 *	  What PostgreSQL's control file says about the WAL that is to be replayed.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "catalog/pg_control.h"
#include "common/controldata_utils.h"
#include "miscadmin.h"
#include "storage/fd.h"

#include "wal/rq_control.h"

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
		*replay = control->state != DB_SHUTDOWNED;
		pfree(control);
	}
	return redo;
}
