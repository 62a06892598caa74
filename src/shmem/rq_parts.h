/*
 * rq_parts.h
 *	  Parts of shared memory, each with the layer that it belongs to.
 *
 * A part is an RqPart of its owner and a line in the table of rocketq.c, which
 * gives their order; src/README says how to add one.
 */
#ifndef RQ_PARTS_H
#define RQ_PARTS_H

#include "storage/lwlock.h"

#include "base/rq_base.h"
#include "base/rq_compat.h"

typedef struct RqPart
{
	const char *name;

	/*
	 * Its table in shared memory, "rocketq" and its name: so many items (NULL
	 * = one) of this size, 0 = it has none.  The settings have their values
	 * by then.  The table's address goes to "table"; then "fill" sets what
	 * must not be zero in a new one (NULL = nothing).  With is_begun_later a
	 * new table is not filled with zeros, so that it takes no memory until it
	 * is used: the owner sets up an item when it is first used.
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

	/* Its LWLocks, to be had from rq_part_locks(); NULL = none. */
	const char *locks_name;
	int			nlocks;
} RqPart;

/*
 * The parts, in the order in which they are set up; NULL ends them.  In rocketq.c, which stands above all layers.
 */
extern const RqPart *const rq_parts[];

/* How many processes there can be: the size of tables with a slot for each. */
extern int	rq_max_backends(void);

/* In shmem_request_hook and shmem_startup_hook. */
extern void rq_parts_request(void);
extern void rq_parts_startup(void);

/* FATAL: the state file can't be loaded. */
RQ_NORETURN extern void rq_state_damaged(const char *problem);

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
