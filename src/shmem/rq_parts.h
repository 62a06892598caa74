/*
 * rq_parts.h
 *	  Parts of shared memory and of the state file, each with the layer that it
 *	  belongs to.
 *
 * A part is an RqPart of its owner and a line in the table of rocketq.c, which
 * gives their order; src/README says how to add one.
 */
#ifndef RQ_PARTS_H
#define RQ_PARTS_H

#include "storage/lwlock.h"

#include "format/rq_statefmt.h"
#include "store/rq_stream.h"

typedef struct RqPart
{
	const char *name;

	/*
	 * Its table in shared memory, "rocketq" and its name: so many items (NULL
	 * = one) of this size, 0 = it has none.  The settings have their values
	 * by then.  The table's address goes to "table"; then "fill" sets what
	 * must not be zero in a new one (NULL = nothing).  With is_begun_later a
	 * new table is left alone, so that it takes no memory until it is used:
	 * the owner sets up an item when it is first used.
	 */
	Size		item_size;
	int			(*items) (void);
	void	  **table;
	void		(*fill) (void);
	bool		is_begun_later;

	/*
	 * What it needs besides, as a sum of rq_table_size(); and create that, or
	 * attach to it, and to its locks, while AddinShmemInitLock is held and
	 * before "table" is there: after a crash it is created again.  Both are
	 * NULL if there is nothing.
	 */
	Size		(*shmem_size) (void);
	void		(*shmem_init) (void);

	/*
	 * Its section of the state file, none with kind 0.
	 *
	 * The copier adds everything it has and returns how many items that are.
	 * "h" has its numbers, but only the sections of the parts before.  It is
	 * called with the meta lock held shared, and takes the lock of each slot
	 * while it reads that slot.
	 *
	 * The loader reads the items back into fresh memory, from a file that
	 * rq_state_check() has passed.  It is called by the postmaster, or by a
	 * server in single-user mode, with the meta lock held exclusively.
	 */
	RqStateKind state_kind;
	uint64		(*state_copy) (RqWriter *w, const RqStateHeader *h);
	void		(*state_load) (RqReader *r, const RqStateHeader *h, uint64 count);

	/* Its LWLocks, to be had from rq_part_locks(); NULL = none. */
	const char *locks_name;
	int			nlocks;
} RqPart;

/*
 * The parts, in the order in which they are set up and stand in the state file;
 * NULL ends them.  In rocketq.c, which stands above all layers.
 */
extern const RqPart *const rq_parts[];

/* How many processes there can be: the size of tables with a slot for each. */
extern int	rq_max_backends(void);

/* In shmem_request_hook and shmem_startup_hook. */
extern void rq_parts_request(void);
extern void rq_parts_startup(void);

/* Copy and load all sections; "h" gets, or has, what it says about them. */
extern void rq_parts_copy(RqWriter *w, RqStateHeader *h);
extern void rq_parts_load(RqReader *r, const RqStateHeader *h);

/* For loaders: the next bytes of the state file, FATAL if there are none. */
extern void rq_state_take(RqReader *r, void *to, uint64 size);

/* FATAL: the state file can't be loaded. */
extern void rq_state_damaged(const char *problem) pg_attribute_noreturn();

/*
 * A table in shared memory: what it takes, and its address.  True if it is new,
 * and all zeros then.
 */
extern Size rq_table_size(uint64 count, Size size);
extern bool rq_table_create(const char *name, uint64 count, Size size,
							void **address);

/* The first of a part's locks.  From its shmem_init() on. */
extern LWLockPadded *rq_part_locks(const RqPart *part);

#endif							/* RQ_PARTS_H */
