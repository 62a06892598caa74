/*
 * rq_statefmt.h
 *	  The state file: what cannot be read off the other files.
 *
 *		header		RqStateHeader; its checksum covers what follows the header and
 *					then the header's fields behind it
 *		gaps		RqStateGap[ngaps]
 *		topics		ntopics times: RqStateTopic, RqStateQueue[nslots], and
 *					ngroups times: RqStateGroup, RqStateOffset[nslots]
 *
 * It is always written whole (temporary file, fsync, rename, fsync of the
 * directory), so a half-written one is never seen.  Every slot carries the LSN
 * of the last record that changed it; redo skips older records.
 */
#ifndef RQ_STATEFMT_H
#define RQ_STATEFMT_H

#include "access/xlogdefs.h"
#include "port/pg_crc32c.h"

#include "format/rq_settings.h"

#define RQ_STATE_MAGIC		0x52515354	/* "RQST" */
#define RQ_STATE_VERSION	5
#define RQ_STATE_PEND_OP_MAX	2

typedef struct RqStateHeader
{
	uint32		magic;
	uint32		crc;
	uint32		version;
	uint32		segment_mb;
	uint64		length;			/* of the file */
	uint64		log_start;
	uint64		log_end;
	XLogRecPtr	meta_lsn;		/* topics and groups created by records up to
								 * here are in this file, or were dropped */
	uint32		next_group_id;
	uint32		ngaps;
	uint32		ntopics;
	uint32		flags;			/* RQ_STATE_... */
} RqStateHeader;

/* pg_upgrade has made the store: no message has come to it. */
#define RQ_STATE_UPGRADE	0x0001

/* A stretch of the log that was reserved but is not known to be written. */
typedef struct RqStateGap
{
	uint64		start;
	uint64		end;
} RqStateGap;

typedef struct RqStateTopic
{
	RqKey		key;
	Oid			spc;
	uint32		nslots;			/* queues that follow */
	uint32		ngroups;
	uint32		unused;
	uint64		pend_xid;
	uint64		drop_xid;
	uint64		alter_xid;
	XLogRecPtr	lsn;
	XLogRecPtr	alter_lsn;
	RqTopicSettings committed;	/* as in RqTopic */
	RqTopicSettings staged;
} RqStateTopic;

typedef struct RqStateQueue
{
	uint64		start;
	uint64		stable;			/* as far as RESOLVE records have said */
	uint64		end;
	int64		last_time;
	XLogRecPtr	lsn;
	XLogRecPtr	born;
	uint64		bytes_start;	/* of frames below "start" */
	uint64		bytes_end;		/* of frames below "end" */
} RqStateQueue;

typedef struct RqStateGroup
{
	uint32		id;
	uint32		nqueues;
	uint64		pend_xid;
	uint32		pend_op;		/* RqPendingOp */
	uint32		name_len;
	int64		created_at;
	char		name[RQ_GROUP_NAME_MAX];
} RqStateGroup;

typedef struct RqStateOffset
{
	uint64		committed;
	uint64		pend_next;
	uint64		pend_xid;
	uint64		saved_total;
	uint64		saved_left;
	XLogRecPtr	lsn;
} RqStateOffset;

StaticAssertDecl(sizeof(RqStateHeader) == 64, "on-disk layout");
StaticAssertDecl(sizeof(RqStateTopic) == 64 + 2 * sizeof(RqTopicSettings),
				 "on-disk layout");
StaticAssertDecl(sizeof(RqStateQueue) == 64, "on-disk layout");
StaticAssertDecl(sizeof(RqStateGroup) == 152, "on-disk layout");
StaticAssertDecl(sizeof(RqStateOffset) == 48, "on-disk layout");

/*
 * Fill in what is the same for all, and the checksum.  "length" is that of the
 * file, "crc" that of what follows the header, not finished.
 */
extern void rq_state_seal(RqStateHeader *h, uint64 length, pg_crc32c crc);

/* The next "size" bytes of a file; false when it has not so many. */
typedef bool (*RqStateRead) (void *file, void *to, uint64 size);

/*
 * NULL if a file of "length" bytes is whole: magic, version, length and checksum
 * are right, all numbers are within their bounds, and the parts end with the
 * file.  Else the problem.  Reads the file once, from its beginning.
 */
extern const char *rq_state_check(RqStateRead read, void *file, uint64 length);

#endif							/* RQ_STATEFMT_H */
