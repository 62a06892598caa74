/*
 * rq_walrec.h
 *	  The WAL records of rocketq.
 *
 * Numbers are never reused.  Each record says whole values ("the end is now
 * x"), never steps, so that replaying it twice does no harm.
 *
 * After what is described here, each record has a byte with its version
 * (rq_version.h).
 */
#ifndef RQ_WALREC_H
#define RQ_WALREC_H

#include "access/xlogreader.h"
#include "lib/stringinfo.h"

#include "base/rq_base.h"
#include "format/rq_settings.h"
#include "format/rq_version.h"

#define RQ_RMGR_NAME		"rocketq"

/*
 * The frequent records: name, its lower case, info bits, redo function.  For a
 * record "foo", rq_walrec.c has check_foo() and desc_foo(), and its data begin
 * with an xl_rq_foo.  The redo function is an RqWalRedo of the layer that
 * writes the record; only wal/rq_rmgr.c, which is above all these layers,
 * expands it.
 */
#define RQ_WAL_RECORDS(X) \
	X(APPEND,		append,		0x00,	rq_log_redo_append) \
	X(ENQUEUE,		enqueue,	0x10,	rq_queue_redo_enqueue) \
	X(RESOLVE,		resolve,	0x20,	rq_resolve_redo) \
	X(OFFSET,		offset,		0x30,	rq_offset_redo) \
	X(SETTLE,		settle,		0x40,	rq_offset_redo_settle) \
	X(TOPIC,		topic,		0x50,	rq_topic_redo) \
	X(TOPIC_DROP,	topic_drop,	0x60,	rq_topic_redo_drop) \
	X(GROUP,		group,		0x70,	rq_group_redo) \
	X(TRIM,			trim,		0x90,	rq_trim_redo)

/*
 * PostgreSQL leaves a resource manager 16 values of the info bits.  So rare
 * records share one of them, and have their kind in the first two bytes: the
 * same table, with the kind (from 1 on) in the place of the info bits.
 */
#define XLOG_RQ_EXT			0xF0

#define RQ_WAL_EXT_KINDS(X) \
	X(GROUP_DROP,	group_drop,	1,		rq_group_redo_drop) \
	X(SYNC,			sync,		2,		rq_redo_nothing)

#define RQ_WAL_ENUM(NAME, name, info, redo) XLOG_RQ_##NAME = info,
enum RqWalRecord
{
	RQ_WAL_RECORDS(RQ_WAL_ENUM)
};

#define RQ_WAL_EXT_ENUM(NAME, name, kind, redo) RQ_EXT_##NAME = kind,
enum RqWalExtKind
{
	RQ_WAL_EXT_KINDS(RQ_WAL_EXT_ENUM)
};

/*
 * Replay a record whose data have passed rq_wal_check() and end at "lsn".  In
 * the startup process, in a memory context that is reset after the record.
 */
typedef void (*RqWalRedo) (const void *data, uint32 len, XLogRecPtr lsn);

/*
 * APPEND: the bytes at "pos" of the commit log are these, to the end of the
 * record, and "span" bytes are taken by their frames.  A filler's record holds
 * its header only, its span is longer.
 */
typedef struct xl_rq_append
{
	uint64		pos;
	uint32		span;
	uint16		nframes;
	uint16		segment_mb;		/* segment size of the store */
	/* bytes follow */
} xl_rq_append;

#define SizeOfRqAppend	sizeof(xl_rq_append)

/* ENQUEUE: "count" entries of one queue from "offset" on. */
#define RQ_ENQUEUE_MAX	1024

typedef struct xl_rq_enqueue
{
	RqKey		key;
	uint32		queue_id;
	uint32		count;
	uint64		offset;
	uint64		xid;
	int64		enqueued_at;
	/* xl_rq_entry[count] follow */
} xl_rq_enqueue;

#define SizeOfRqEnqueue sizeof(xl_rq_enqueue)

typedef struct xl_rq_entry
{
	uint64		pos;
	uint32		tag_hash;
	uint32		len_flags;
} xl_rq_entry;

/*
 * RESOLVE: everything of a queue below "to" is resolved; of the entries
 * between "from" and "to" exactly the listed ones are aborted.
 */
typedef struct xl_rq_resolve
{
	RqKey		key;
	uint32		queue_id;
	uint32		nranges;
	uint64		from;
	uint64		to;
	/* xl_rq_range[nranges] follow */
} xl_rq_resolve;

#define SizeOfRqResolve sizeof(xl_rq_resolve)

typedef struct xl_rq_range
{
	uint64		first;
	uint64		count;
} xl_rq_range;

/*
 * OFFSET: a transaction moves a group in so many queues.  "base" is the
 * committed offset as resolved before, "next" counts if and only if "xid"
 * commits.
 */
#define RQ_OFFSETS_MAX	1024	/* items of an OFFSET or SETTLE record */

typedef struct xl_rq_offset
{
	RqKey		key;
	uint32		group_id;
	uint32		count;
	uint64		xid;
	/* xl_rq_move[count] follow */
} xl_rq_offset;

#define SizeOfRqOffset	sizeof(xl_rq_offset)

typedef struct xl_rq_move
{
	uint32		queue_id;
	uint32		unused;
	uint64		base;
	uint64		next;
} xl_rq_move;

/* SETTLE: offsets of a group that are no longer in doubt. */
typedef struct xl_rq_settle
{
	RqKey		key;
	uint32		group_id;
	uint32		count;
	/* xl_rq_settled[count] follow */
} xl_rq_settle;

#define SizeOfRqSettle	sizeof(xl_rq_settle)

typedef struct xl_rq_settled
{
	uint32		queue_id;
	uint32		is_open;		/* 1 = its place after the restore of a dump
								 * is still to be found; see xl_rq_place */
	uint64		committed;
} xl_rq_settled;

/*
 * TOPIC: the topic exists, or will if "xid" (not 0) commits, unless "drop_xid"
 * (not 0), which drops it, has committed or does so.  Its settings are
 * "committed", or "staged" if "alter_xid" (not 0) commits, else both are the
 * same.  Until that has been settled it keeps room for "nslots" queues.
 */
typedef struct xl_rq_topic
{
	RqKey		key;
	Oid			spc;
	uint32		nslots;
	uint64		xid;
	uint64		drop_xid;
	uint64		alter_xid;
	RqTopicSettings committed;
	RqTopicSettings staged;
} xl_rq_topic;

#define SizeOfRqTopic	sizeof(xl_rq_topic)

/* TOPIC_DROP: the topic, its groups and its queue files no longer exist. */
typedef struct xl_rq_topic_drop
{
	RqKey		key;
} xl_rq_topic_drop;

#define SizeOfRqTopicDrop	sizeof(xl_rq_topic_drop)

/*
 * GROUP: the group exists, or will if "xid" (not 0) commits, and goes on from
 * these places.
 */
typedef struct xl_rq_group
{
	RqKey		key;
	uint32		group_id;
	uint32		nqueues;
	uint64		xid;
	int64		created_at;
	uint32		name_len;
	uint32		unused;
	/* xl_rq_place[nqueues], then the name follow */
} xl_rq_group;

#define SizeOfRqGroup	sizeof(xl_rq_group)

/*
 * Where a group goes on in a queue: at an offset, or, after the restore of a
 * dump, after all but "saved_left" of the "saved_total" (0 = not restored)
 * copies of messages that begin the queue.  See consume/rq_saved.c.
 */
typedef struct xl_rq_place
{
	uint64		offset;
	uint64		saved_total;
	uint64		saved_left;
} xl_rq_place;

/* GROUP_DROP: the group is dropped, or will be if "xid" (not 0) commits. */
typedef struct xl_rq_group_drop
{
	uint16		kind;			/* RQ_EXT_GROUP_DROP */
	uint16		unused;
	uint32		group_id;
	RqKey		key;
	uint64		xid;
} xl_rq_group_drop;

#define SizeOfRqGroupDrop	sizeof(xl_rq_group_drop)

/* TRIM: the log now starts at "log_start", and these queues where they say. */
typedef struct xl_rq_trim
{
	uint64		log_start;
	uint32		count;
	uint32		unused;
	/* xl_rq_queue_start[count] follow */
} xl_rq_trim;

#define SizeOfRqTrim	sizeof(xl_rq_trim)

typedef struct xl_rq_queue_start
{
	RqKey		key;
	uint32		queue_id;
	uint32		unused;
	uint64		start;
	uint64		bytes_start;	/* of the frames of all entries below it */
} xl_rq_queue_start;

/* SYNC: all that lies below "redo" is on disk. */
typedef struct xl_rq_sync
{
	uint16		kind;			/* RQ_EXT_SYNC */
	uint16		unused[3];
	XLogRecPtr	redo;
	uint64		log_start;
	uint64		log_end;
} xl_rq_sync;

#define SizeOfRqSync	sizeof(xl_rq_sync)

/*
 * The version of a record, which is taken off from its length; 0 if it is empty.
 * All functions below are about records of a version from RQ_WAL_OLDEST to
 * RQ_WAL_VERSION, without that byte.
 */
extern uint8 rq_wal_version(const void *data, uint32 *len);

static inline bool
rq_wal_is_known(uint8 version)
{
	return version >= RQ_WAL_OLDEST && version <= RQ_WAL_VERSION;
}

/*
 * The record's place in a table whose entries are initialized at
 * RQ_WAL_INDEX(info) and RQ_WAL_EXT_INDEX(kind), or -1 if there is no such
 * record.
 */
#define RQ_WAL_INDEX(info)		((info) >> 4)
#define RQ_WAL_EXT_INDEX(kind)	(16 + (kind))

extern int	rq_wal_index(uint8 info, const void *data, uint64 len);

/* The kind of an extension record; 0 of others, and if it is too short. */
extern uint16 rq_wal_ext_kind(uint8 info, const void *data, uint64 len);

/*
 * NULL if these bytes can be such a record: it has room for all that it
 * counts, and numbers are within their bounds.  Else the problem.
 */
extern const char *rq_wal_check(uint8 info, const void *data, uint64 len);

/*
 * For RmgrData, so these are about any record.  All extension records have the
 * same name; their description begins with the name of their kind.
 */
extern const char *rq_wal_identify(uint8 info);
extern void rq_wal_desc(StringInfo buf, XLogReaderState *record);

#endif							/* RQ_WALREC_H */
