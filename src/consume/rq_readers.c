/*
 * rq_readers.c
 *	  The queues that the current transaction reads or moves for groups.
 *
 * Where does this transaction go on reading, what will the group's offset be if
 * it commits, and what were both before a savepoint?
 *
 * A reader stays in the list until the end of the transaction, even if all that
 * it did is rolled back: then it neither reads nor commits.  The first change
 * after a savepoint of where it reads, or of what it commits, notes in the
 * transaction's journal what was there before.  However often it changes, the
 * group moves once, at pre-commit.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "base/rq_fault.h"
#include "consume/rq_offset.h"
#include "consume/rq_readers.h"
#include "topic/rq_topic.h"
#include "topic/rq_topic_txn.h"
#include "txn/rq_index.h"
#include "txn/rq_txn.h"

/* The transaction's, and in its memory. */
static struct
{
	RqReader  **list;
	int			n;
	int			max;
	HTAB	   *index;			/* once there are many */

	/* what is staged at pre-commit, by group */
	RqOffsetMove *moves;
	int			nmoves;
}			readers;

/* ---- the list ---- */

RqReader *
rq_readers_at(int i)
{
	return i < readers.n ? readers.list[i] : NULL;
}

RqReader *
rq_readers_find(const RqCursor *c)
{
	if (readers.index != NULL)
	{
		int			at = rq_index_find(readers.index, c->group.id, c->q->id);

		return at < 0 ? NULL : readers.list[at];
	}
	for (int i = 0; i < readers.n; i++)
	{
		RqReader   *r = readers.list[i];

		if (r->group.id == c->group.id && r->queue_id == c->q->id)
			return r;
	}
	return NULL;
}

/* Make room for one more reader, also in the index. */
static void
make_room_for_reader(MemoryContext cxt)
{
	HTAB	   *index;

	RQ_GROW(cxt, readers.list, readers.n, readers.max);
	if (readers.n < RQ_INDEX_FROM || readers.index != NULL)
		return;
	index = rq_index_create(cxt, "rocketq readers");
	for (int i = 0; i < readers.n; i++)
		rq_index_add(index, readers.list[i]->group.id,
					 readers.list[i]->queue_id, i);
	readers.index = index;
}

RqReader *
rq_readers_get(const RqCursor *c)
{
	RqReader   *r = rq_readers_find(c);
	MemoryContext cxt;

	if (r != NULL)
		return r;
	rq_txn_check_open();
	cxt = rq_txn_context();
	make_room_for_reader(cxt);
	r = MemoryContextAllocZero(cxt, sizeof(RqReader));
	r->topic = c->q->topic;
	r->group = c->group;
	r->queue_id = c->q->id;
	r->next_noted = r->commit_noted = -1;
	if (readers.index != NULL)
		rq_index_add(readers.index, r->group.id, r->queue_id, readers.n);
	readers.list[readers.n++] = r;
	return r;
}

/* ---- the journal ---- */

/*
 * The action: "next" or "commit" changed.  What was there before, and which
 * action had noted that.
 */
typedef struct Moved
{
	RqReader   *reader;
	RqOff		off;
	bool		is_set;
	int			noted;
} Moved;

RQ_ACTION_FITS(Moved);

static void
undo_next(const void *action)
{
	const Moved *before = action;
	RqReader   *r = before->reader;

	r->reading = before->is_set;
	r->next = before->off;
	r->next_noted = before->noted;
}

static const RqActionOps next_moved = {
	.size = sizeof(Moved),
	.undo = undo_next,
	.unpreparable = gettext_noop("cannot PREPARE a transaction that has consumed rocketq messages"),
};

static void
undo_commit(const void *action)
{
	const Moved *before = action;
	RqReader   *r = before->reader;

	r->committing = before->is_set;
	r->commit = before->off;
	r->commit_noted = before->noted;
}

static const RqActionOps commit_moved = {
	.size = sizeof(Moved),
	.stage = RQ_STAGE_OFFSETS,
	.undo = undo_commit,
	.unpreparable = gettext_noop("cannot PREPARE a transaction that has moved the offset of a consumer group"),
};

/*
 * Note the former state, unless an action that the rollback to the innermost
 * savepoint would undo has noted an older one: undoing that restores the older
 * one anyway.  Note first, change second, since noting can throw.
 */
void
rq_reader_set_next(RqReader *r, RqOff next)
{
	const Moved before = {.reader = r, .off = r->next, .is_set = r->reading,
	.noted = r->next_noted};

	rq_txn_check_open();
	if (r->next_noted < rq_txn_savepoint())
		r->next_noted = rq_txn_note(&next_moved, &before);
	r->reading = true;
	r->next = next;
}

/* As rq_reader_set_next(). */
void
rq_reader_set_commit(RqReader *r, RqOff commit)
{
	const Moved before = {.reader = r, .off = r->commit,
	.is_set = r->committing, .noted = r->commit_noted};

	rq_txn_check_open();
	if (r->commit_noted < rq_txn_savepoint())
		r->commit_noted = rq_txn_note(&commit_moved, &before);
	r->committing = true;
	r->commit = commit;
}

void
rq_reader_commit_read(RqReader *r)
{
	if (!r->committing || r->commit < r->next)
		rq_reader_set_commit(r, r->next);
}

/*
 * What the transaction has read, or moved the group past, comes before the
 * group's committed offset, also if it is lower: a reset moves back, and sets
 * both.  Retention may have raised the queue's start past any of them.
 */
RqOff
rq_reader_position(const RqReader *r, const RqCursor *c)
{
	RqOff		at;

	if (r->reading || r->committing)
		at = Max(r->reading ? r->next : 0, r->committing ? r->commit : 0);
	else
		at = rq_offset_committed(c->offset);
	return Max(at, pg_atomic_read_u64(&c->q->start));
}

/* ---- end of transaction ---- */

static int
compare_moves(const void *a, const void *b)
{
	const RqOffsetMove *one = a;
	const RqOffsetMove *other = b;

	if (one->group.id != other->group.id)
		return one->group.id > other->group.id ? 1 : -1;
	return (one->queue_id > other->queue_id) - (one->queue_id < other->queue_id);
}

/*
 * The moves of all readers, sorted so that those of a group are together.  Not
 * for groups of a topic that this transaction drops.
 */
static void
collect_moves(void)
{
	RqOffsetMove *moves = MemoryContextAllocHuge(rq_txn_context(),
												 (Size) readers.n * sizeof(*moves));
	uint32		topic = RQ_NO_SLOT;
	bool		dropped = false;
	int			n = 0;

	for (int i = 0; i < readers.n; i++)
	{
		const RqReader *r = readers.list[i];

		if (!r->committing)
			continue;
		if (r->topic != topic)
			dropped = rq_topic_is_dropped(rq_topic_key(r->topic));
		topic = r->topic;
		if (!dropped)
			moves[n++] = (RqOffsetMove)
		{
			.group = r->group, .queue_id = r->queue_id, .next = r->commit
		};
	}
	qsort(moves, n, sizeof(*moves), compare_moves);
	readers.moves = moves;
	readers.nmoves = n;
}

/* How many of the moves from this one on make one record. */
static int
count_together(int first)
{
	int			n = 1;

	while (n < RQ_OFFSETS_MAX && first + n < readers.nmoves &&
		   readers.moves[first + n].group.id == readers.moves[first].group.id)
		n++;
	return n;
}

/*
 * Pre-commit.  Without an id there is nothing to log: a reader that commits has
 * noted an action of this stage, for which an id is assigned.
 */
static void
stage_offsets(uint64 xid)
{
	int			n;

	if (xid == 0 || readers.n == 0)
		return;
	RQ_FAULT("offset-stage");
	collect_moves();
	for (int i = 0; i < readers.nmoves; i += n)
	{
		CHECK_FOR_INTERRUPTS();
		n = count_together(i);
		rq_offset_stage(&readers.moves[i], n, xid);
	}
}

/* Also those that were not staged before an error, where it does no harm. */
static void
finish_offsets(uint64 xid, bool committed)
{
	int			n;

	for (int i = 0; i < readers.nmoves; i += n)
	{
		n = count_together(i);
		rq_offset_finish(&readers.moves[i], n, xid, committed);
	}
}

static void
forget_readers(void)
{
	memset(&readers, 0, sizeof(readers));
}

void
rq_readers_init(void)
{
	static const RqParticipant offsets = {
		.stage = RQ_STAGE_OFFSETS,
		.pre_commit = stage_offsets,
		.finish = finish_offsets,
		.forget = forget_readers,
	};

	rq_txn_register(&offsets);
}
