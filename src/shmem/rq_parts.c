/*
 * rq_parts.c
 *	  Parts of shared memory, each with the layer that it belongs to.
 *
 * How does the lowest layer set up what it knows nothing about?
 * It walks the table rq_parts[], which rocketq.c fills in from above.
 */
#include "postgres.h"

#include "access/twophase.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/proc.h"
#include "storage/shmem.h"

#include "shmem/rq_parts.h"

/*
 * As many as there are PGPROCs, whose numbers are the slots: backends,
 * auxiliary processes, and the dummies of prepared transactions.
 */
int
rq_max_backends(void)
{
	return MaxBackends + NUM_AUXILIARY_PROCS + max_prepared_xacts;
}

/* Shared memory is given out in whole cache lines. */
Size
rq_table_size(uint64 count, Size size)
{
	return CACHELINEALIGN(mul_size(count, size));
}

/*
 * Zeros are what most fields begin with; the owner sets only those that must
 * not be zero.
 */
bool
rq_table_create(const char *name, uint64 count, Size size, void **address)
{
	Size		bytes = mul_size(count, size);
	bool		found;

	*address = ShmemInitStruct(name, bytes, &found);
	if (!found)
		memset(*address, 0, bytes);
	return !found;
}

static uint64
items_of(const RqPart *part)
{
	return part->items ? part->items() : 1;
}

static void
make_part_table(const RqPart *part)
{
	char		name[SHMEM_INDEX_KEYSIZE];
	bool		is_new;

	if (part->item_size == 0)
		return;
	snprintf(name, sizeof(name), "rocketq %s", part->name);
	if (part->is_begun_later)
	{
		bool		found;

		*part->table = ShmemInitStruct(name, mul_size(items_of(part),
													  part->item_size), &found);
		is_new = !found;
	}
	else
		is_new = rq_table_create(name, items_of(part), part->item_size,
								 part->table);
	if (is_new && part->fill)
		part->fill();
}

/*
 * Before any memory exists.  Sizes depend on settings only, so that what is
 * asked for here is what will be created.
 */
void
rq_parts_request(void)
{
	Size		size = 0;

	for (const RqPart *const *p = rq_parts; *p != NULL; p++)
	{
		if ((*p)->item_size > 0)
			size = add_size(size, rq_table_size(items_of(*p), (*p)->item_size));
		if ((*p)->shmem_size)
			size = add_size(size, (*p)->shmem_size());
		if ((*p)->locks_name)
			RequestNamedLWLockTranche((*p)->locks_name, (*p)->nlocks);
	}
	RequestAddinShmemSpace(size);
}

/*
 * In the postmaster, or in single-user mode; at the start and after each crash
 * restart, when all memory is new.
 */
void
rq_parts_startup(void)
{
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	for (const RqPart *const *p = rq_parts; *p != NULL; p++)
	{
		if ((*p)->shmem_init)
			(*p)->shmem_init();
		make_part_table(*p);
	}
	LWLockRelease(AddinShmemInitLock);
}

LWLockPadded *
rq_part_locks(const RqPart *part)
{
	return GetNamedLWLockTranche(part->locks_name);
}

/* ---- the state file ---- */

void
rq_state_damaged(const char *problem)
{
	ereport(FATAL,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("file \"%s\" is damaged", RQ_STATE_FILE),
			 errdetail("A check found that %s.", problem),
			 errhint("If another version of rocketq wrote the file, install that version; otherwise restore the data directory from a backup.")));
}
