/*
 * rq_txn.h
 *	  The current transaction: its journal, and who takes part in its end.
 *
 * Whatever belongs to the transaction takes effect at commit and is undone by
 * ROLLBACK and by ROLLBACK TO SAVEPOINT.  Its owner notes each change as an
 * action in the journal, with callbacks that undo, log and finish it.  What an
 * owner does once in a transaction, however many actions there are, it does as
 * a participant.  This module calls them all at the right moments and knows
 * none of them.
 */
#ifndef RQ_TXN_H
#define RQ_TXN_H

#include "utils/resowner.h"

#include "base/rq_base.h"

/*
 * Pre-commit: what is logged before the commit record, in this order.
 */
typedef enum RqTxnStage
{
	RQ_STAGE_NONE,				/* nothing is logged */

	/* Frames that wait in memory; what follows may refer to them. */
	RQ_STAGE_FRAMES,

	/*
	 * What no longer exists, however the transaction ends.  It is logged
	 * without the transaction's id, so a transaction that did nothing else
	 * needs none.
	 */
	RQ_STAGE_GROUPS_UNDONE,
	RQ_STAGE_SETTINGS_UNDONE,

	/* From here on with the id, which is assigned if an action has a stage. */
	RQ_STAGE_ENTRIES,
	RQ_STAGE_OFFSETS,
	RQ_STAGE_DROPS				/* last: the stages before need groups and
								 * topics */
} RqTxnStage;

#define RQ_STAGE_FIRST_WITH_XID		RQ_STAGE_ENTRIES
#define RQ_STAGE_LAST				RQ_STAGE_DROPS

/* What is noted of an action takes at most this many bytes. */
#define RQ_ACTION_MAX	40
#define RQ_ACTION_FITS(type) \
	StaticAssertDecl(sizeof(type) <= RQ_ACTION_MAX, "an action has no room for it")

/*
 * A kind of action.  Callbacks get what was noted; each may be NULL if there
 * is nothing to do.
 */
typedef struct RqActionOps
{
	uint32		size;			/* bytes that are noted of an action */
	RqTxnStage	stage;			/* when pre_commit is called */

	/*
	 * The action is rolled back to a savepoint.  Those of one rollback are
	 * undone from the newest to the oldest.  Can't throw.
	 */
	void		(*undo) (const void *action);

	/*
	 * The kind that the action then becomes, because it has left something
	 * that the end of the transaction has to log; NULL = it is forgotten.
	 */
	const struct RqActionOps *after_undo;

	/*
	 * The savepoint before the action, which has the number "at", has been
	 * released: a rollback would now go back to the action "since", as
	 * rq_txn_savepoint() says it.  Can't throw.
	 */
	void		(*released) (const void *action, int at, int since);

	/*
	 * Log the action, in its stage and in the order of the journal.  "xid" is
	 * 0 in stages before RQ_STAGE_FIRST_WITH_XID.
	 */
	void		(*pre_commit) (const void *action, uint64 xid);

	/*
	 * The transaction has ended; called from the newest action to the oldest.
	 * Can't throw.
	 */
	void		(*finish) (const void *action, bool committed);

	/*
	 * Why a transaction with this action cannot be prepared: a message marked
	 * with gettext_noop().  NULL = it can.
	 */
	const char *unpreparable;
} RqActionOps;

/*
 * Somebody with something to do once in a transaction.  Callbacks may be NULL.
 */
typedef struct RqParticipant
{
	RqTxnStage	stage;

	/*
	 * The stage has come in a transaction that has a journal; actions of the
	 * same stage come afterwards.  "xid" is 0 if nothing is logged with it.
	 * May throw, which aborts the transaction.
	 */
	void		(*pre_commit) (uint64 xid);

	/*
	 * The transaction, which has logged something with this id, has ended;
	 * participants of later stages come first, after all actions.  An error
	 * is caught and logged; what it leaves undone is for the keeper to do.
	 */
	void		(*finish) (uint64 xid, bool committed);

	/* Why it cannot be prepared, as in RqActionOps; asked after all actions. */
	const char *(*unpreparable) (void);

	/*
	 * A transaction is over, with or without a journal, and its memory is
	 * about to be freed.  Can't throw.
	 */
	void		(*forget) (void);
} RqParticipant;

/* Register the transaction callbacks; once, from _PG_init. */
extern void rq_txn_init(void);

/* Register a participant, which must stay where it is; from _PG_init. */
extern void rq_txn_register(const RqParticipant *participant);

/* Throw if this point of the transaction is too late for changes. */
extern void rq_txn_check_open(void);

/* Memory that lasts until the transaction's end.  May throw. */
extern MemoryContext rq_txn_context(void);

/*
 * Note an action: a copy of "action", ops->size bytes.  Returns its number,
 * counted from 0, which later actions get again if it is undone.  Throws if it
 * is too late or memory is short, and then nothing is noted.
 */
extern int	rq_txn_note(const RqActionOps *ops, const void *action);

/* Make room for one action now, so that noting the next one can't fail. */
extern void rq_txn_make_room(void);

/*
 * The number of the first action that a rollback to the innermost savepoint
 * would undo, whether or not it has been noted yet; outside of savepoints, 0.
 * What an action from there on has noted of a thing's former state covers
 * further changes of it.
 */
extern int	rq_txn_savepoint(void);

/*
 * The newest action of a kind that is older than number "*at" and not older
 * than "since"; "*at" becomes its number.  NULL if there is none.  Good until
 * the next one is noted.  Can't throw.
 */
extern const void *rq_txn_older(const RqActionOps *ops, int *at, int since);

/*
 * Have locks that are taken or released from here on belong to the current
 * (sub)transaction.  Returns what CurrentResourceOwner was, to be put back; after
 * an error PostgreSQL sets it by itself.
 *
 * Else the owner is usually that of the portal.  If that has been there since
 * before a savepoint and fails after it, PostgreSQL releases the locks of both
 * when it rolls back to the savepoint, though what we did before it stays.  And
 * a portal that was there before a savepoint would keep for longer what the
 * rollback takes from us.
 */
extern ResourceOwner rq_txn_own_locks(void);

#endif							/* RQ_TXN_H */
