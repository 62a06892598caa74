/*
 * rq_tables.h
 *	  The slots of topics, queues, groups and offsets in shared memory.
 *
 * What can be done with them is in rq_topic.h, rq_queue.h, rq_group.h and
 * rq_offset.h.
 */
#ifndef RQ_TABLES_H
#define RQ_TABLES_H

#include "access/xlogdefs.h"
#include "datatype/timestamp.h"
#include "port/atomics.h"
#include "storage/lwlock.h"
#include "storage/spin.h"

#include "base/rq_base.h"
#include "format/rq_settings.h"
#include "shmem/rq_bits.h"
#include "shmem/rq_parts.h"
#include "shmem/rq_slots.h"


#define RQ_NOT_LOGGED		PG_UINT64_MAX

/*
 * With thousands of topics and queues none of them is in a processor's cache.
 * What every message needs stands at the beginning, in one line.
 */
#define RQ_SLOT_ALIGN		64

/*
 * A topic.  All fields change under the meta lock held exclusively, except
 * those of waiters.  A holder of a lock on the topic's relation may read them
 * without it: the topic can't go away, and its queues below "nqueues" stay.
 */
typedef struct RqTopic
{
	pg_attribute_aligned(RQ_SLOT_ALIGN) pg_atomic_uint64 key;	/* RQ_KEY_PACK, 0 = free */
	uint64		incarnation;	/* never the same for two topics */
	uint32		next_in_index;	/* see rq_tables.c */
	pg_atomic_uint32 nqueues;	/* that of "seen", for who holds no lock */
	pg_atomic_uint32 nwaiters;	/* see below; read without a lock */
	pg_atomic_uint32 ngrowing;	/* queues with a place; see rq_growth.c */
	RqSlotMap	queues;			/* as many as its count "n" says: more than
								 * nqueues while queues that come or go are in
								 * doubt */

	/* see topic/rq_alter.c */
	RqTopicSettings committed;	/* what holds unless alter_xid commits */
	RqTopicSettings staged;		/* what holds if it does; else the same */
	RqTopicSettings seen;		/* by users of the topic, of whom there is
								 * only the transaction that alters it until
								 * that has ended */
	uint64		alter_xid;		/* who alters it, 0 = nobody */
	XLogRecPtr	alter_lsn;		/* of the last record about the above */
	Oid			spc;			/* tablespace when it was created */
	uint32		first_group;	/* chain of its groups, RQ_NO_SLOT ends it */
	uint64		pend_xid;		/* its creator, until that has ended */
	uint64		drop_xid;		/* who drops it, 0 = nobody; see
								 * rq_topic_stage_drop() */
	bool		doomed;			/* its relation is gone */
	pg_atomic_uint32 has_plain_columns; /* see rq_topic_note_columns() */
	XLogRecPtr	lsn;			/* of its creation; older records are about an
								 * earlier holder of the key */

	/*
	 * who waits for messages; under the wait lock of the slot, and not reset
	 * when another topic gets the slot
	 */
	uint32		first_waiter;
	uint32		last_waiter;
} RqTopic;

/* How far a count had come at some time; see consume/rq_rates.c and rq_growth.c. */
typedef struct RqSample
{
	TimestampTz at;				/* 0 = none */
	uint64		count;
	uint64		bytes;
} RqSample;

/*
 * A queue: start <= stable <= end.
 *
 * A slot changes hands under the meta lock held exclusively.  A function that
 * takes an RqQueue relies on its caller to keep the queue in its slot.  That
 * does
 *
 *		the meta lock;
 *		a lock on the topic's relation, unless the queue was made by a
 *		transaction that has aborted (resolve_aborted(), produce/rq_touched.c);
 *		the gate being closed, for the keeper; and in recovery nobody but the
 *		startup process changes the tables.
 *
 * Without any of them the slot can be free or another queue's at any moment.
 * Its bounds may still be read, as a hint (consume/rq_offer.c), but not
 * "topic" and "id".  Who needs more than a hint copies, while the queue is
 * kept, what it is called and "born", and compares that before it acts
 * (api/rq_verify_sql.c).
 *
 * Entries below "end" are written and WAL-logged; below "stable" resolved.
 * Both are raised by a holder of the lock, after the entries and after their
 * flags with a write barrier in between, and are read without it: a reader
 * that has read one of them needs a read barrier before it reads entries.
 */
typedef struct RqQueue
{
	pg_attribute_aligned(RQ_SLOT_ALIGN) LWLock lock;
	uint32		topic;			/* slot of its topic, RQ_NO_SLOT = free */
	uint32		id;				/* number within the topic */
	pg_atomic_uint64 start;		/* first offset that is kept */
	pg_atomic_uint64 stable;
	pg_atomic_uint64 end;		/* next offset to be given */
	pg_atomic_uint64 tail;		/* its last extent, RQ_EXT_TAIL, 0 = none;
								 * raised before "end"; lock to change it */
	uint32		head;			/* address of its first extent; lock */
	pg_atomic_uint32 unflushed; /* backends that have yet to flush an entry */

	uint64		bytes_start;	/* of the frames of all entries below "start" */
	uint64		bytes_end;		/* the same below "end"; both under lock */
	TimestampTz last_time;		/* of the last entry; lock */
	XLogRecPtr	lsn;			/* of the last record about it; lock */
	uint64		logged_stable;	/* as far as RESOLVE has been logged; lock */
	uint32		unlogged_aborts;	/* aborted entries beyond that, or more
									 * than that; PG_UINT32_MAX = any number.
									 * lock */
	uint32		growth;			/* its place there (rq_growth.c); lock */
	XLogRecPtr	born;			/* of the record that made it; older ones are
								 * about an earlier queue of that number. Meta
								 * lock */
} RqQueue;

/* There may be millions: two lines, of which the first has what is read most. */
StaticAssertDecl(sizeof(RqQueue) <= 2 * RQ_SLOT_ALIGN, "size of a queue's slot");

/* What an unfinished transaction means to do to a group. */
typedef enum RqPendingOp
{
	RQ_PEND_NONE = 0,
	RQ_PEND_CREATE,				/* abort removes the group */
	RQ_PEND_DROP				/* commit removes the group */
} RqPendingOp;

/*
 * A consumer group of one topic; changes under the meta lock held
 * exclusively.  "id" is never reused and names the group in locks and WAL.
 */
typedef struct RqGroup
{
	/* its offsets; not reset when another group gets the slot */
	pg_attribute_aligned(RQ_SLOT_ALIGN) LWLock lock;

	uint32		id;				/* 0 = free slot */
	uint32		topic;
	uint32		next;			/* in the topic's chain */
	RqPendingOp pend_op;
	uint64		pend_xid;
	uint64		claim_xid;		/* means to drop it, not logged yet */
	bool		doomed;			/* its own creator has dropped it again */
	bool		abandoned;		/* the same, and can't take that back */
	TimestampTz created_at;

	/* retention; see consume/rq_unused.c */
	pg_atomic_uint64 used_at;	/* when somebody last consumed for it or moved
								 * it, 0 = not since the server started */
	bool		idle;			/* it holds nothing for that; janitor only */

	/* whose transaction has all of it; see consume/rq_owner.c */
	pg_atomic_uint32 owner;		/* process number + 1, 0 = nobody's */
	TimestampTz owner_since;
	pg_atomic_uint64 wanted;	/* id << 32 | how many wait for all of it */

	char		name[RQ_GROUP_NAME_MAX + 1];
	RqSlotMap	offsets;		/* as many as the topic has slots */
} RqGroup;

/*
 * A mark, from its lowest bit: 22 bits for the owner's process number + 1, 22
 * for how many wait, 20 for what they wait for (consume/rq_mark.h).  The owner
 * is -1 if there is none.
 */
#define RQ_MARK_WAITERS_SHIFT	22
#define RQ_MARK_SAVEPOINT_SHIFT	44
#define RQ_MARK_OWNER(mark) \
	((int) ((mark) & ((UINT64CONST(1) << RQ_MARK_WAITERS_SHIFT) - 1)) - 1)

/* What may become of an offset. */
typedef enum RqOffsetState
{
	RQ_OFFSET_AT_REST = 0,
	RQ_OFFSET_PENDING,			/* a transaction moves it */
	RQ_OFFSET_OPEN				/* its place after the restore of a dump is to
								 * be found; see consume/rq_saved.c */
} RqOffsetState;

/*
 * A group's offset in one queue.  All fields but the mark change under the
 * group's lock; the slot is taken and given back under the meta lock.
 *
 * There is one for each group and queue, so it has what it takes at rest.  What
 * is remembered of its moves is in an RqOffsetUse ("use"), if it has one.
 */
typedef struct RqOffset
{
	uint32		group;			/* slot of its group, RQ_NO_SLOT = free */
	uint16		queue_id;
	uint8		state;			/* RqOffsetState; rq_offset_becomes() */
	bool		is_logged;		/* "committed" is in WAL without an xid */
	uint64		committed;

	/*
	 * "committed" holds if "pend_xid" aborts, "pend_next" if it commits.  If
	 * that has been found out, "pend_xid" stays for consume/rq_moves.c.
	 */
	union
	{
		struct
		{
			uint64		pend_next;
			uint64		pend_xid;
		};						/* RQ_OFFSET_PENDING, and afterwards */
		struct
		{
			uint64		saved_total;
			uint64		saved_left;
		};						/* RQ_OFFSET_OPEN */
	};
	TimestampTz changed_at;		/* 0 = not since the server started */
	XLogRecPtr	lsn;

	/* whose transaction reads the queue; see consume/rq_mark.c */
	pg_atomic_uint64 mark;		/* 0 = nobody's, and nobody waits for it */

	uint32		use;			/* RQ_NO_SLOT = it has none, and needs none;
								 * or RQ_USE_WANTING */
	uint32		lost;			/* messages that retention took before they
								 * were consumed, since the server started;
								 * stops at its largest value */
} RqOffset;

StaticAssertDecl(sizeof(RqOffset) == RQ_SLOT_ALIGN, "an offset is one line");
StaticAssertDecl(RQ_QUEUES_MAX - 1 <= PG_UINT16_MAX, "numbers of queues fit");

/* A transaction that has moved a group's offset in one queue. */
typedef struct RqMove
{
	uint64		xid;
	uint64		next;			/* where to */
	TimestampTz at;
} RqMove;

#define RQ_MOVES			8

/* Where an offset was at some time; see consume/rq_rates.c. */
typedef struct RqOffsetSample
{
	TimestampTz at;				/* 0 = none */
	uint64		committed;
} RqOffsetSample;

/*
 * What is remembered of an offset that has moved lately; see consume/rq_moves.c.
 * There are far fewer of these than offsets.  It changes under the lock of the
 * offset's group.  A free one is taken by setting "offset" from RQ_NO_SLOT.
 */
typedef struct RqOffsetUse
{
	pg_atomic_uint32 offset;	/* slot of the offset, RQ_NO_SLOT = free */

	/* some of its moves, oldest first */
	uint32		nmoves;
	uint64		before_moves;	/* the offset before the first of them */
	RqMove		moves[RQ_MOVES];

	RqOffsetSample samples[2];	/* newer first */
} RqOffsetUse;

/* An offset has moved when there was no RqOffsetUse to be had. */
#define RQ_USE_WANTING		(RQ_NO_SLOT - 1)

/* What is known of all topics and groups; meta lock exclusive unless said. */
typedef struct RqTables
{
	uint32		next_group_id;
	uint64		next_incarnation;
	uint32		ntopics;
	uint32		ngroups;

	/* slots that have been used, and from where on to look for a free one */
	uint32		topics_begun;
	uint32		topics_free;
	uint32		groups_begun;
	uint32		groups_free;
	pg_atomic_uint32 ndoomed;	/* topics */
	pg_atomic_uint32 groups_abandoned;	/* no lock */
	pg_atomic_uint32 nwaiters;	/* of all topics; no lock */

	/* What the loaded state file says; see RqStateHeader.  For redo. */
	XLogRecPtr	meta_lsn;

	/* Is a topic being altered, as far as is replayed?  Startup process. */
	bool		redo_altering;

	/* of rq_offset_uses: those that have been used, and what to look at next */
	slock_t		uses_mutex;		/* to begin another one */
	pg_atomic_uint32 uses_begun;
	pg_atomic_uint32 next_use;	/* no lock */

	TimestampTz started_at;		/* when this memory was set up */
} RqTables;

/* The same address in every process. */
extern RqTables *rq_tables;
extern RqTopic *rq_topics;
extern RqQueue *rq_queues;
extern RqGroup *rq_groups;
extern RqOffset *rq_offsets;
extern RqOffsetUse *rq_offset_uses;

extern const RqPart rq_tables_part;
extern const RqPart rq_topics_part;
extern const RqPart rq_queues_part;
extern const RqPart rq_groups_part;
extern const RqPart rq_offsets_part;
extern const RqPart rq_offset_uses_part;

/*
 * How many slots of topics and of groups have ever been used: the first ones.
 * Whoever walks over all of them goes no further, since the tables can be much
 * larger.  Without a lock the slots are complete; pairs with
 * rq_topic_free_slot() and rq_group_free_slot().
 */
static inline uint32
rq_topics_begun(void)
{
	uint32		n = rq_tables->topics_begun;

	pg_read_barrier();
	return n;
}

static inline uint32
rq_groups_begun(void)
{
	uint32		n = rq_tables->groups_begun;

	pg_read_barrier();
	return n;
}

/*
 * A slot that no topic, or no group, has; RQ_NO_SLOT if there is none.  And say
 * that one has become free.  The caller holds the meta lock exclusively.
 */
extern uint32 rq_topic_free_slot(void);
extern uint32 rq_group_free_slot(void);
extern void rq_topic_slot_is_free(uint32 topic);
extern void rq_group_slot_is_free(uint32 group);

/*
 * Set up slots [from, to) of queues, or of offsets, which have never been given
 * before (rq_slots_begun()): they are free.  The caller holds the meta lock
 * exclusively.
 */
extern void rq_queues_begin(uint32 from, uint32 to);
extern void rq_offsets_begin(uint32 from, uint32 to);

/*
 * A topic's queue, or a group's offset in one, by its number; NULL if there is
 * none.  For those who keep neither it is another's at worst; see
 * rq_slots_find().
 */
static inline RqQueue *
rq_queue_find(uint32 topic, uint32 queue_id)
{
	uint32		slot = rq_slots_find(rq_queue_pool, &rq_topics[topic].queues,
									 queue_id);

	return likely(slot != RQ_NO_SLOT) ? &rq_queues[slot] : NULL;
}

/* Fetch a queue's slot from memory; a hint, for who keeps the topic. */
static inline void
rq_queue_fetch(uint32 topic, uint32 queue_id)
{
	const char *q = (const char *) rq_queue_find(topic, queue_id);

	if (q == NULL)
		return;
	rq_prefetch(q);
	rq_prefetch(q + RQ_SLOT_ALIGN);
}

static inline RqOffset *
rq_offset_find(uint32 group, uint32 queue_id)
{
	uint32		slot = rq_slots_find(rq_offset_pool, &rq_groups[group].offsets,
									 queue_id);

	return likely(slot != RQ_NO_SLOT) ? &rq_offsets[slot] : NULL;
}

/* Whose move of it is pending, 0 = nobody's. */
static inline uint64
rq_offset_pending(const RqOffset *o)
{
	return o->state == RQ_OFFSET_PENDING ? o->pend_xid : 0;
}

/*
 * How many RqOffsetUse have ever been used: the first ones.  Pairs with
 * rq_offset_use_begin(), before whose write barrier they are set up.
 */
static inline uint32
rq_offset_uses_begun(void)
{
	uint32		n = pg_atomic_read_u32(&rq_tables->uses_begun);

	pg_read_barrier();
	return n;
}

/* Begin another one for this slot of an offset; RQ_NO_SLOT if there is none. */
extern uint32 rq_offset_use_begin(uint32 slot);

/* That of an offset, NULL = none. */
static inline RqOffsetUse *
rq_offset_use(const RqOffset *o)
{
	return o->use < RQ_USE_WANTING ? &rq_offset_uses[o->use] : NULL;
}

/*
 * For who changes a slot in what the state file has of it (queue/
 * rq_tablestate.c): under the lock that the change is made under, and before it
 * is logged (shmem/rq_bits.h).
 */
static inline void
rq_topic_changed(uint32 topic)
{
	rq_bits_set(&rq_changed[RQ_SLOT_TOPIC], topic);
}

static inline void
rq_queue_changed(const RqQueue *q)
{
	rq_bits_set(&rq_changed[RQ_SLOT_QUEUE], (uint32) (q - rq_queues));
}

static inline void
rq_group_changed(uint32 group)
{
	rq_bits_set(&rq_changed[RQ_SLOT_GROUP], group);
}

static inline void
rq_offset_changed(const RqOffset *o)
{
	rq_bits_set(&rq_changed[RQ_SLOT_OFFSET], (uint32) (o - rq_offsets));
}

/*
 * The queue has entries that are not resolved, or that are resolved without
 * WAL saying so.  For who adds entries, under the queue's lock.
 */
static inline void
rq_queue_unsettled(const RqQueue *q)
{
	rq_bits_set(&rq_unsettled[RQ_SLOT_QUEUE], (uint32) (q - rq_queues));
}

/*
 * The offset depends on a transaction, or WAL says something else.  For who
 * changes it, under the offset's lock.
 */
static inline void
rq_offset_unsettled(const RqOffset *o)
{
	rq_bits_set(&rq_unsettled[RQ_SLOT_OFFSET], (uint32) (o - rq_offsets));
}

/* For who changes its state: under the offset's lock, or while nobody uses it. */
static inline void
rq_offset_becomes(RqOffset *o, RqOffsetState state)
{
	if (state == RQ_OFFSET_OPEN)
		rq_bits_set(&rq_open_offsets, (uint32) (o - rq_offsets));
	else if (o->state == RQ_OFFSET_OPEN)
		rq_bits_clear(&rq_open_offsets, (uint32) (o - rq_offsets));
	o->state = state;
}

/* The slot of a queue's topic; the caller keeps the queue (see RqQueue). */
static inline RqTopic *
rq_queue_topic(const RqQueue *q)
{
	Assert(q->topic != RQ_NO_SLOT);
	return &rq_topics[q->topic];
}

/* The lock of a group's offsets, and that of one whose slot the caller keeps. */
static inline LWLock *
rq_group_lock(uint32 group)
{
	return &rq_groups[group].lock;
}

static inline LWLock *
rq_offset_lock(const RqOffset *o)
{
	Assert(o->group != RQ_NO_SLOT);
	return rq_group_lock(o->group);
}

/*
 * Topic slots by key.  The caller holds the meta lock, exclusively to add or
 * remove one.  The startup process needs none to find one, since during
 * recovery nobody else changes the index.
 */
extern uint32 rq_topic_index_find(RqKey key);
extern void rq_topic_index_add(RqKey key, uint32 slot);
extern void rq_topic_index_remove(RqKey key, uint32 slot);

#endif							/* RQ_TABLES_H */
