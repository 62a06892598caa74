/*
 * rq_version.c
 *	  What the build has chosen: the only file that has to be compiled again for
 *	  another resource manager id.
 */
#include "postgres.h"

#include "access/rmgr.h"

#include "format/rq_version.h"

#ifndef RQ_RMGR_ID
#define RQ_RMGR_ID	RM_EXPERIMENTAL_ID
#endif

StaticAssertDecl(RQ_RMGR_ID >= RM_MIN_CUSTOM_ID && RQ_RMGR_ID <= RM_MAX_CUSTOM_ID,
				 "extensions have resource manager ids of 128 to 255");

const uint8 rq_rmgr_id = RQ_RMGR_ID;
