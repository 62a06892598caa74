/*
 * rq_statefmt.h
 *	  The state file: what cannot be read off the other files.
 *
 *		header		RqStateHeader; its checksum covers what follows the header
 *					and then the header's fields after the checksum
 *		sections	of each part of the store that has one, in ascending order
 *					of their kinds and as long as the header says:
 *		  gaps		RqStateGap, each
 *		  topics	RqStateTopic, RqStateQueue[nslots]
 *		  groups	RqStateGroup, RqStateOffset[nqueues]; topics come before
 *
 * A section that is missing counts as empty, so a new kind of section needs no
 * new version of the others.  A section of an unknown kind or version is an
 * error, since what it holds would be lost.
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

/* What has a slot in shared memory, and so in the state file. */
typedef enum RqSlotKind
{
	RQ_SLOT_TOPIC = 0,
	RQ_SLOT_QUEUE,
	RQ_SLOT_GROUP,
	RQ_SLOT_OFFSET,
	RQ_SLOT_KINDS
} RqSlotKind;

#define RQ_STATE_MAGIC		0x52515354	/* "RQST" */
#define RQ_STATE_VERSION	6
#define RQ_STATE_PEND_OP_MAX	2

/*
 * The sections: name, its lower case, kind, version.  Kinds are never reused.
 * check_foo() of rq_statefmt.c bounds what is in a section "foo"; the part
 * that it belongs to copies and loads it (shmem/rq_parts.h).
 */
#define RQ_STATE_SECTIONS(X) \
	X(GAPS,		gaps,	1,	1) \
	X(TOPICS,	topics,	2,	1) \
	X(GROUPS,	groups,	3,	1)

#define RQ_STATE_SECTIONS_MAX	16

#define RQ_STATE_ENUM(NAME, name, kind, version) RQ_STATE_##NAME = kind,
typedef enum RqStateKind
{
	RQ_STATE_NOTHING = 0,
	RQ_STATE_SECTIONS(RQ_STATE_ENUM)
} RqStateKind;

typedef struct RqStateSection
{
	uint32		kind;
	uint32		version;
	uint64		count;			/* of gaps, topics, ... */
	uint64		bytes;
} RqStateSection;

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
	uint32		nsections;
	uint32		flags;			/* RQ_STATE_... */
	uint32		unused;
	RqStateSection sections[RQ_STATE_SECTIONS_MAX]; /* zero beyond nsections */
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
	RqKey		topic;
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

StaticAssertDecl(sizeof(RqStateHeader) == 64 + RQ_STATE_SECTIONS_MAX * 24, "on-disk layout");
StaticAssertDecl(sizeof(RqStateTopic) == 56 + 2 * sizeof(RqTopicSettings),
				 "on-disk layout");
StaticAssertDecl(sizeof(RqStateQueue) == 64, "on-disk layout");
StaticAssertDecl(sizeof(RqStateGroup) == 160, "on-disk layout");
StaticAssertDecl(sizeof(RqStateOffset) == 48, "on-disk layout");

/*
 * Fill in what is the same for all, and the checksum.  "length" is that of the
 * file, "crc" that of what follows the header, not finished.
 */
extern void rq_state_seal(RqStateHeader *h, uint64 length, pg_crc32c crc);

/* The version in which sections of this kind are written. */
extern uint32 rq_state_version(RqStateKind kind);

/* The count of a section in a sound header, 0 if it has no such section. */
extern uint64 rq_state_count(const RqStateHeader *h, RqStateKind kind);

/* The next "size" bytes of a file; false if it has fewer left. */
typedef bool (*RqStateRead) (void *file, void *to, uint64 size);

/*
 * NULL if a file of "length" bytes is whole: magic, version, length and
 * checksum are right, sections are known, all numbers are within their bounds,
 * and the last section ends with the file.  Else the problem, which may be
 * palloc'd.  Reads the file once, from its beginning.
 */
extern const char *rq_state_check(RqStateRead read, void *file, uint64 length);

#endif							/* RQ_STATEFMT_H */
