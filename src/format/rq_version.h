/*
 * rq_version.h
 *	  Which formats this library reads and writes, and which library it is.
 *
 * RQ_STORE_VERSION counts what all files below pg_rocketq together look like.
 * The state file has it in its header.  A store of a newer version is refused;
 * an older one is made one of this version when the server starts, by the steps
 * in wal/rq_upgrade.c, one for each version in between.
 *
 * RQ_WAL_VERSION counts what WAL records look like.  Each record of ours has it
 * in its last byte.  Redo knows those from RQ_WAL_OLDEST on; where a newer
 * library no longer does, the older one has to be shut down in order before,
 * so that there is nothing left to be replayed.
 *
 * Frames, segments of the log and chunks have versions of their own in their
 * headers, for what is too large to be written anew when the server starts: such
 * a version is read for as long as there are stores with it.
 */
#ifndef RQ_VERSION_H
#define RQ_VERSION_H

#include "base/rq_base.h"

/* The same as default_version of rocketq.control (tools/check_version). */
#define RQ_LIBRARY_VERSION	"1.0"

#define RQ_STORE_VERSION	1

#define RQ_WAL_VERSION		1
#define RQ_WAL_OLDEST		1

/* Of the resource manager whose WAL records are ours: make RMGR_ID=... */
extern const uint8 rq_rmgr_id;

#endif							/* RQ_VERSION_H */
