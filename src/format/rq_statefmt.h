/*
 * rq_statefmt.h
 *	  The state file: what cannot be read off the other files.
 *
 *		header		RqStateHeader
 *		batches		RqStateBatch, and records that are padded to 8 bytes:
 *		  gap		RqStateGap
 *		  topic		RqStateTopic
 *		  queue		RqStateQueue
 *		  group		RqStateGroup
 *		  offset	RqStateOffset
 *
 * It is a log of changes: a record says what a slot is now, or that it is free,
 * and of the records about a slot the last one holds.  The numbers of slots are
 * the file's own: records of one file refer to each other by them, and nothing
 * else may depend on them.
 *
 * Each sync appends one or more batches.  They have the number of the sync, and
 * only with the last of them, which is flagged RQ_STATE_END, does the sync
 * count; it has the numbers of the whole store.  The gaps are those of the last
 * sync.  A sync that fails is tried again in the same place and with the same
 * number, but as another attempt; batches of one attempt do not continue those
 * of another, which are remains that a crash or a backup has brought back.  The
 * first sync of a file is an image, which has all slots that are not free.  A
 * file with an image is written beside the old one and renamed.
 *
 * Every batch says where it lies and to which file it belongs, so that the
 * remains of something else are not taken for one.  A file that ends with what
 * is no whole batch has a torn tail: the server crashed before that sync was
 * complete.  But if a batch of a later sync follows, that one was complete, so
 * what lies before it is damaged.
 *
 * Every slot carries the LSN of the last record that changed it; redo skips
 * older records.
 */
#ifndef RQ_STATEFMT_H
#define RQ_STATEFMT_H

#include "access/xlogdefs.h"

#include "format/rq_settings.h"
#include "format/rq_version.h"

#define RQ_STATE_MAGIC		0x52515354	/* "RQST" */
#define RQ_STATE_BATCH_MAGIC	0x52514254	/* "RQBT" */
#define RQ_STATE_PEND_OP_MAX	2

/* A batch, its header included, is no longer than this. */
#define RQ_STATE_BATCH_MAX	(256 * 1024)

/* Numbers of slots are below this. */
#define RQ_STATE_SLOTS_MAX	(1U << 24)

/* What has a slot in shared memory, and so in the state file. */
typedef enum RqSlotKind
{
	RQ_SLOT_TOPIC = 0,
	RQ_SLOT_QUEUE,
	RQ_SLOT_GROUP,
	RQ_SLOT_OFFSET,
	RQ_SLOT_KINDS
} RqSlotKind;

/* A record's kind is an RqSlotKind, or this. */
#define RQ_STATE_GAP		RQ_SLOT_KINDS
#define RQ_STATE_KINDS		(RQ_STATE_GAP + 1)

/*
 * The header has this size, and its first 32 bytes these fields, in every version
 * of the store there will ever be, so that a library can say what it has found
 * that it does not know.
 */
#define RQ_STATE_WRITER_MAX	16

typedef struct RqStateHeader
{
	uint32		magic;
	uint32		crc;			/* of what follows in the header */
	uint32		version;		/* of the store, see rq_version.h */
	uint16		wal_version;	/* of the WAL records that may follow it */
	uint16		rmgr_id;		/* of these records */
	char		writer[RQ_STATE_WRITER_MAX];	/* version of the library,
												 * zeros follow */

	uint32		segment_mb;
	uint32		flags;			/* RQ_STATE_UPGRADE */
	uint64		id;				/* of this file, not that of the one before */
	uint64		store;			/* of the store, as long as there is one: the
								 * same in all of its files, see
								 * RqChunkHeader, and in all copies */
	uint64		unused;
} RqStateHeader;

/* pg_upgrade has made the store: no message has come to it. */
#define RQ_STATE_UPGRADE	0x0001

typedef struct RqStateBatch
{
	uint32		magic;
	uint32		crc;			/* of what follows in this header */
	uint32		records_crc;
	uint32		flags;			/* RQ_STATE_END, RQ_STATE_FINAL */
	uint64		id;				/* of the file */
	uint64		at;				/* where in the file it lies */
	uint64		seq;			/* of the sync; 1 for the image */
	uint64		bytes;			/* of this header and the records */

	/* of the store; valid in a batch with RQ_STATE_END */
	XLogRecPtr	upto;			/* changes logged before are in this file */
	XLogRecPtr	meta_lsn;		/* topics and groups created by records up to
								 * here are in this file, or were dropped */
	uint64		log_start;
	uint64		log_end;
	uint64		extent_seq;		/* extents have lower ones */
	uint32		extent_chunks;	/* area files have had so many chunks */
	uint32		next_group_id;

	uint32		attempt;		/* at this sync; valid in each batch */
	uint32		unused;
} RqStateBatch;

/* The last batch of a sync. */
#define RQ_STATE_END		0x0001

/*
 * Nothing changes after it without a further sync before the next checkpoint
 * completes: the store is closed, or loaded, or recovery has ended.  So the redo
 * pointer can be past it.  The next sync is that of a new file, but for one
 * that cannot wait for that (rq_state.h).
 */
#define RQ_STATE_FINAL		0x0002

typedef struct RqStateRecord
{
	uint16		kind;
	uint16		is_free;		/* nothing follows */
	uint32		slot;			/* of a gap: 0 */
} RqStateRecord;

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
	uint32		nslots;			/* so many queues have it as their topic */
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
	uint32		topic;			/* slot */
	uint32		id;				/* number within the topic */
	uint64		start;
	uint64		logged_stable;	/* as far as RESOLVE records have said */
	uint64		stable;			/* up to here from there on no entry is
								 * aborted */
	uint64		end;
	int64		last_time;
	XLogRecPtr	lsn;
	XLogRecPtr	born;
	uint64		bytes_start;	/* of frames below "start" */
	uint64		bytes_end;		/* of frames below "end" */
} RqStateQueue;

typedef struct RqStateGroup
{
	uint32		topic;			/* slot */
	uint32		id;
	uint32		nqueues;		/* so many offsets have it as their group */
	uint32		pend_op;		/* RqPendingOp */
	uint64		pend_xid;
	int64		created_at;
	uint32		name_len;
	uint32		unused;
	char		name[RQ_GROUP_NAME_MAX];
} RqStateGroup;

typedef struct RqStateOffset
{
	uint32		group;			/* slot */
	uint32		queue_id;
	uint64		committed;
	uint64		pend_next;
	uint64		pend_xid;
	uint64		saved_total;
	uint64		saved_left;
	XLogRecPtr	lsn;
} RqStateOffset;

/* Room for what follows the RqStateRecord. */
typedef union RqStateSlot
{
	RqStateGap	gap;
	RqStateTopic topic;
	RqStateQueue queue;
	RqStateGroup group;
	RqStateOffset offset;
} RqStateSlot;

StaticAssertDecl(sizeof(RqStateHeader) == 64, "on-disk layout");
StaticAssertDecl(offsetof(RqStateHeader, segment_mb) == 32, "on-disk layout");
StaticAssertDecl(sizeof(RqStateBatch) == 104, "on-disk layout");
StaticAssertDecl(sizeof(RqStateRecord) == 8, "on-disk layout");
StaticAssertDecl(sizeof(RqStateTopic) == 56 + 2 * sizeof(RqTopicSettings),
				 "on-disk layout");
StaticAssertDecl(sizeof(RqStateQueue) == 80, "on-disk layout");
StaticAssertDecl(sizeof(RqStateGroup) == 40 + RQ_GROUP_NAME_MAX, "on-disk layout");
StaticAssertDecl(sizeof(RqStateOffset) == 56, "on-disk layout");

/* The size of what follows the RqStateRecord of a slot that is not free. */
extern uint32 rq_state_slot_size(uint32 kind);

/* What a record takes in a batch; padding is to be zeros. */
extern uint32 rq_state_record_size(const RqStateRecord *r);

/*
 * Fill in what says that this library has written it, versions among that, and
 * the checksum; or the checksum only.
 */
extern void rq_state_seal_header(RqStateHeader *h);
extern void rq_state_reseal_header(RqStateHeader *h);

/*
 * The same for a batch, which has room for its header at the beginning of
 * "batch"; the other fields of that are set, "bytes" too.
 */
extern void rq_state_seal_batch(char *batch);

/* A state file: so many bytes, to be read anywhere; false if that fails. */
typedef struct RqStateSource
{
	void	   *file;
	uint64		length;
	bool		(*read) (void *file, uint64 at, void *to, uint64 size);
} RqStateSource;

/* What has been found in one. */
typedef struct RqStateFound
{
	RqStateHeader header;
	RqStateBatch last;			/* of the last sync that counts */
	uint64		length;			/* up to its end; a torn tail may follow */
} RqStateFound;

/*
 * NULL if there is the header of a state file, of any version; else the problem.
 */
extern const char *rq_state_read_header(const RqStateSource *s, RqStateHeader *h);

/*
 * NULL if a file is sound: magic, version, and checksums are right, all numbers
 * are within their bounds, there is an image, and nothing but a torn tail
 * follows the last sync.  Else the problem.
 */
extern const char *rq_state_check(const RqStateSource *s, RqStateFound *found);

/* Is handed each record of a batch that counts, in the order of the file. */
typedef void (*RqStateTake) (void *arg, const RqStateBatch *b,
							 const RqStateRecord *r, const RqStateSlot *slot);

/* Go through a file that has been checked; false if it can't be read again. */
extern bool rq_state_walk(const RqStateSource *s, const RqStateFound *found,
						  RqStateTake take, void *arg);

#endif							/* RQ_STATEFMT_H */
