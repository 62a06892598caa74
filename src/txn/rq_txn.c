/*
 * rq_txn.c
 *	  The current transaction: its journal, and who takes part in its end.
 *
 * Given a transaction with savepoints, which changes of which modules have to
 * be undone, logged and finished, when, and in which order?
 *
 * The journal is a list of actions, each a copy of what its owner noted and a
 * pointer to the owner's callbacks.  A savepoint is a length of the list;
 * rolling back to it undoes what is beyond, the newest action first, and cuts
 * the list back to it.  An undone action that has left something to be logged
 * stays in the list, as an action of another kind (after_undo) with its own
 * stage and callbacks.
 *
 * Participants are for what is done once in a transaction and not once for
 * each action: a queue's entries are enqueued together, though they were
 * produced in several savepoints.  Their state is not kept here, nor does a
 * savepoint remember anything of it.  They note an action with their first
 * change after a savepoint, and go back when that is undone.
 *
 * Order of events at the end of a transaction:
 *
 *		pre-commit	the stages of RqTxnStage, in each first the participants,
 *					then the actions of the journal.  Everything that can fail
 *					is here.
 *		commit		the transaction's own commit record, flushed as
 *					synchronous_commit asks
 *		callback	backwards: actions finish, the newest first, then
 *					participants, the last stage first.  Only shared memory and
 *					mapped files; nothing may fail, and what an error leaves
 *					undone is for the keeper and readers to do.  Locks of the
 *					transaction are still held.
 *
 * An abort calls back in the same way, whether or not pre-commit has begun.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "storage/proc.h"
#include "utils/memutils.h"

#include "base/rq_fault.h"
#include "log/rq_log.h"
#include "txn/rq_index.h"
#include "txn/rq_txn.h"

#define MAX_PARTICIPANTS	8
#define MAX_KINDS			16

typedef struct Action
{
	const RqActionOps *ops;
	int			older;			/* the one of its kind before it, -1 = none */
	union
	{
		char		bytes[RQ_ACTION_MAX];
		uint64		align;
	}			noted;
} Action;

/* Length of the journal when a subtransaction began. */
typedef struct Mark
{
	int			level;
	int			nactions;
} Mark;

/*
 * A kind of action that the journal has had.  Those who ask for one kind do so
 * for each of many queues, so they must not read the journal for it.
 */
typedef struct Kind
{
	const RqActionOps *ops;
	int			newest;			/* action, -1 = none */
} Kind;

typedef struct Txn
{
	MemoryContext cxt;
	uint64		xid;			/* set by pre-commit */
	Kind		kinds[MAX_KINDS];
	int			nkinds;
	Action	   *actions;
	int			nactions;
	int			max_actions;
	Mark	   *marks;
	int			nmarks;
	int			max_marks;
} Txn;

/* NULL until rq_txn_context() or a note needs it. */
static Txn *txn = NULL;

/*
 * Pre-commit has begun, so it is too late for changes; set also in a
 * transaction that has made none.
 */
static bool pre_commit_done = false;

/* By stage. */
static const RqParticipant *participants[MAX_PARTICIPANTS];
static int	nparticipants = 0;

/* ---- the journal ---- */

/*
 * What a small transaction needs fits into the first block of a context of the
 * default sizes, and PostgreSQL keeps such blocks for the next one.
 */
static Txn *
get_txn(void)
{
	if (txn == NULL)
	{
		MemoryContext cxt = AllocSetContextCreate(TopTransactionContext,
												  "rocketq transaction",
												  ALLOCSET_DEFAULT_SIZES);

		txn = MemoryContextAllocZero(cxt, sizeof(Txn));
		txn->cxt = cxt;
	}
	return txn;
}

MemoryContext
rq_txn_context(void)
{
	return get_txn()->cxt;
}

void
rq_txn_check_open(void)
{
	if (pre_commit_done)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TRANSACTION_STATE),
				 errmsg("cannot use rocketq while the transaction is being committed")));
}

/*
 * Remember the journal's length at the start of the subtransactions we are in.
 * Called before every action, so a level that has no mark yet has noted none,
 * and began where the journal now ends.
 */
static void
set_marks(void)
{
	int			level = GetCurrentTransactionNestLevel();
	int			have = txn->nmarks > 0 ? txn->marks[txn->nmarks - 1].level : 1;

	while (have < level)
	{
		have++;
		RQ_GROW(txn->cxt, txn->marks, txn->nmarks, txn->max_marks);
		txn->marks[txn->nmarks].level = have;
		txn->marks[txn->nmarks].nactions = txn->nactions;
		txn->nmarks++;
	}
}

/*
 * All of a note that can throw.  Marks that an error leaves are right all the
 * same, since their levels have noted nothing.
 */
void
rq_txn_make_room(void)
{
	get_txn();
	rq_txn_check_open();
	set_marks();
	RQ_FAULT("action-room");
	RQ_GROW(txn->cxt, txn->actions, txn->nactions, txn->max_actions);
}

static Kind *
find_kind(const RqActionOps *ops)
{
	for (int i = 0; i < txn->nkinds; i++)
		if (txn->kinds[i].ops == ops)
			return &txn->kinds[i];
	return NULL;
}

/* The last action of the journal becomes the newest of its kind. */
static void
link_last(void)
{
	Action	   *a = &txn->actions[txn->nactions - 1];
	Kind	   *kind = find_kind(a->ops);

	if (kind == NULL)
	{
		Assert(txn->nkinds < MAX_KINDS);
		kind = &txn->kinds[txn->nkinds++];
		kind->ops = a->ops;
		kind->newest = -1;
	}
	a->older = kind->newest;
	kind->newest = txn->nactions - 1;
}

/*
 * Owners note first and change shared state afterwards: if the note throws,
 * there is nothing to undo.  Those that must change first make room before.
 */
int
rq_txn_note(const RqActionOps *ops, const void *action)
{
	Assert(ops->size <= RQ_ACTION_MAX);
	rq_txn_make_room();
	txn->actions[txn->nactions].ops = ops;
	memcpy(&txn->actions[txn->nactions].noted, action, ops->size);
	txn->nactions++;
	link_last();
	return txn->nactions - 1;
}

/* Where the innermost savepoint that has a mark begins. */
static int
last_mark(void)
{
	return txn->nmarks > 0 ? txn->marks[txn->nmarks - 1].nactions : 0;
}

int
rq_txn_savepoint(void)
{
	int			level = GetCurrentTransactionNestLevel();

	if (txn == NULL || level == 1)
		return 0;
	/* No mark: the next action will be the level's first. */
	if (txn->nmarks == 0 || txn->marks[txn->nmarks - 1].level != level)
		return txn->nactions;
	return last_mark();
}

const void *
rq_txn_older(const RqActionOps *ops, int *at, int since)
{
	const Kind *kind = txn == NULL ? NULL : find_kind(ops);
	int			i = kind == NULL ? -1 : kind->newest;

	/* The caller goes on from an action of this kind, or of another. */
	if (*at < i && txn->actions[*at].ops == ops)
		i = txn->actions[*at].older;
	while (i >= *at)
		i = txn->actions[i].older;
	if (i < since)
		return NULL;
	*at = i;
	return &txn->actions[i].noted;
}

ResourceOwner
rq_txn_own_locks(void)
{
	ResourceOwner before = CurrentResourceOwner;

	CurrentResourceOwner = CurTransactionResourceOwner;
	return before;
}

/* ---- participants ---- */

/* Insert by stage; participants of one stage stay in the order they came. */
void
rq_txn_register(const RqParticipant *participant)
{
	int			at = nparticipants;

	if (nparticipants == MAX_PARTICIPANTS)
		elog(ERROR, "too many participants in transactions of rocketq");
	for (; at > 0 && participants[at - 1]->stage > participant->stage; at--)
		participants[at] = participants[at - 1];
	participants[at] = participant;
	nparticipants++;
}

/* ---- pre-commit ---- */

/* The stages that actions of the journal have, a bit for each. */
static uint32
stages_of_actions(void)
{
	uint32		stages = 0;

	for (int i = 0; i < txn->nactions; i++)
		stages |= 1U << txn->actions[i].ops->stage;
	return stages;
}

static void
log_actions(RqTxnStage stage)
{
	for (int i = 0; i < txn->nactions; i++)
	{
		const Action *a = &txn->actions[i];

		if (a->ops->stage == stage && a->ops->pre_commit != NULL)
			a->ops->pre_commit(&a->noted, txn->xid);
	}
}

/*
 * Stages in their order, in each the participants before the actions.  The id
 * is assigned as late as possible, and only if an action has a stage that is
 * logged with it.  Once it is set, finish() knows that something may be logged
 * with it, also when an error ends this in the middle.
 */
static void
pre_commit(void)
{
	uint32		stages = stages_of_actions();
	int			next = 0;

	for (int stage = RQ_STAGE_NONE + 1; stage <= RQ_STAGE_LAST; stage++)
	{
		if (stage == RQ_STAGE_FIRST_WITH_XID && stages >> stage != 0)
			txn->xid = U64FromFullTransactionId(GetTopFullTransactionId());
		for (; next < nparticipants && participants[next]->stage <= stage; next++)
			if (participants[next]->pre_commit != NULL)
				participants[next]->pre_commit(txn->xid);
		if ((stages & (1U << stage)) != 0)
			log_actions(stage);
	}
	RQ_FAULT("precommit-done");
}

/* ---- end of transaction ---- */

static void
finish_actions(bool committed)
{
	for (int i = txn->nactions - 1; i >= 0; i--)
	{
		const Action *a = &txn->actions[i];

		if (a->ops->finish != NULL)
			a->ops->finish(&a->noted, committed);
	}
}

/*
 * An ERROR here, after the commit record, would bring the server down.  So it
 * is caught, and what it leaves undone is for readers and the keeper; what
 * was wrong (say, an unreadable pg_xact or queue file) they meet again, where
 * it can be reported.  Locks that it has left are released here, and the
 * count of held-off interrupts, which raising an error resets, is put back:
 * the end of the transaction goes on and needs it.
 *
 * Without an id nothing was logged that a participant would have to finish.
 */
static void
finish(bool committed)
{
	uint32		holdoff = InterruptHoldoffCount;
	MemoryContext old = CurrentMemoryContext;

	RQ_FAULT("commit-callback");
	finish_actions(committed);
	if (txn->xid == 0)
		return;
	PG_TRY();
	{
		for (int i = nparticipants - 1; i >= 0; i--)
			if (participants[i]->finish != NULL)
				participants[i]->finish(txn->xid, committed);
	}
	PG_CATCH();
	{
		ErrorData  *e;

		LWLockReleaseAll();
		InterruptHoldoffCount = holdoff;
		MemoryContextSwitchTo(old);
		e = CopyErrorData();
		FlushErrorState();
		/* Not for the client, whose transaction has ended as it should. */
		ereport(LOG,
				(errmsg("rocketq left the entries of a transaction to the keeper: %s",
						e->message)));
	}
	PG_END_TRY();
}

/*
 * Called at the end of every transaction, also of those that never used
 * rocketq, so it costs next to nothing then.  The journal's memory goes with
 * TopTransactionContext.
 *
 * rq_log_forget_xact() comes last, when entries refer to the frames, or nobody
 * needs them: up to here retention spares them for the transaction's sake.
 */
static void
forget_transaction(void)
{
	txn = NULL;
	pre_commit_done = false;
	for (int i = 0; i < nparticipants; i++)
		if (participants[i]->forget != NULL)
			participants[i]->forget();
	rq_log_forget_xact();
}

/* The reason why it cannot be prepared, NULL if it can. */
static const char *
find_unpreparable(void)
{
	const char *reason = NULL;

	for (int i = 0; txn != NULL && i < txn->nactions && reason == NULL; i++)
		reason = txn->actions[i].ops->unpreparable;
	for (int i = 0; i < nparticipants && reason == NULL; i++)
		if (participants[i]->unpreparable != NULL)
			reason = participants[i]->unpreparable();
	return reason;
}

/*
 * COMMIT PREPARED calls none of our callbacks, so a transaction that needs one
 * at its end cannot be prepared.  What is left is noted before PREPARE, as it is
 * before a commit.
 */
static void
refuse_prepare(void)
{
	const char *reason = find_unpreparable();

	if (reason != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg_internal("%s", _(reason)),
				 errhint("End the transaction with COMMIT.")));
}

/*
 * Without preloading there is nothing to end.  Events of parallel workers are
 * left out, since those only read.
 */
static void
xact_callback(XactEvent event, void *arg)
{
	if (rq_ctl == NULL || MyProc == NULL)
		return;
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
			pre_commit_done = true;
			if (txn != NULL)
				pre_commit();
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_ABORT:

			/*
			 * An error can have left gathered frames.  Their stretch of the
			 * log is reserved, and the log is not complete past it until it
			 * is written.
			 */
			rq_log_gather_write();
			if (txn != NULL)
				finish(event == XACT_EVENT_COMMIT);
			forget_transaction();
			break;
		case XACT_EVENT_PRE_PREPARE:
			refuse_prepare();
			if (txn != NULL)
				pre_commit();
			break;
		case XACT_EVENT_PREPARE:
			forget_transaction();
			break;
		default:
			break;
	}
}

/* ---- savepoints ---- */

/*
 * Undo what a subtransaction did, and all that committed into it: from the
 * newest to the oldest.  Then move together what stays, in the order it had,
 * since it is logged in that order.
 */
static void
rollback_to(int first)
{
	int			end = txn->nactions;

	for (int i = end - 1; i >= first; i--)
	{
		if (txn->actions[i].ops->undo != NULL)
			txn->actions[i].ops->undo(&txn->actions[i].noted);
		find_kind(txn->actions[i].ops)->newest = txn->actions[i].older;
	}
	txn->nactions = first;
	for (int i = first; i < end; i++)
	{
		const RqActionOps *after = txn->actions[i].ops->after_undo;

		if (after == NULL)
			continue;
		txn->actions[txn->nactions] = txn->actions[i];
		txn->actions[txn->nactions++].ops = after;
		link_last();
	}
}

/*
 * The actions of a subtransaction now belong to the one around it.  Its mark
 * has been removed, so last_mark() is where that one begins.
 */
static void
release_to(int first)
{
	int			since = last_mark();

	for (int i = first; i < txn->nactions; i++)
		if (txn->actions[i].ops->released != NULL)
			txn->actions[i].ops->released(&txn->actions[i].noted, i, since);
}

/*
 * The level that ends is still the current one.  Without a mark it has noted
 * nothing.  Levels end from the innermost outwards, so marks are removed from
 * the end of their list.
 */
static void
subxact_callback(SubXactEvent event, SubTransactionId subid,
				 SubTransactionId parent, void *arg)
{
	int			level;
	int			first;

	/* An error can have left gathered frames, as in xact_callback(). */
	if (event == SUBXACT_EVENT_ABORT_SUB)
		rq_log_gather_write();
	if (txn == NULL || txn->nmarks == 0 ||
		(event != SUBXACT_EVENT_COMMIT_SUB && event != SUBXACT_EVENT_ABORT_SUB))
		return;
	level = GetCurrentTransactionNestLevel();
	first = txn->nactions;
	while (txn->nmarks > 0 && txn->marks[txn->nmarks - 1].level >= level)
	{
		first = txn->marks[--txn->nmarks].nactions;
		if (event == SUBXACT_EVENT_ABORT_SUB)
			rollback_to(first);
	}
	if (event == SUBXACT_EVENT_COMMIT_SUB)
		release_to(first);
}

void
rq_txn_init(void)
{
	RegisterXactCallback(xact_callback, NULL);
	RegisterSubXactCallback(subxact_callback, NULL);
}
