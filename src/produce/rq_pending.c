/*
 * rq_pending.c
 *	  The list of messages that a transaction enqueues at commit.
 *
 * Item i is in the file if i < nspilled, else in the array.  The array is
 * written out whenever it reaches work_mem.
 *
 * What becomes of the list when writing it fails, and the transaction goes on
 * after a ROLLBACK TO SAVEPOINT?  The file has no buffer of its own, and
 * "nspilled" is raised after the whole array is written.  So what a failed
 * write has left in the file lies past "nspilled", where nobody reads it, and
 * its items are all still in the array.
 */
#include "postgres.h"

#include "commands/tablespace.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/wait_event.h"

#include "base/rq_fault.h"
#include "produce/rq_pending.h"

struct RqPending
{
	RqPendingItem *items;		/* items nspilled, nspilled + 1, ... */
	uint64		nitems;
	uint64		capacity;		/* never more than work_mem has allowed */
	uint64		nspilled;
	File		file;			/* -1 = none */
	RqPendingItem *page;		/* what rq_pending_read got from the file */
};

/* Items that are read or written at once: below 1 MB, so an int holds it. */
#define PAGE_ITEMS	32768

/*
 * Most transactions produce a handful of messages, so the array begins small
 * and doubles.
 */
RqPending *
rq_pending_create(void)
{
	RqPending  *p = palloc0(sizeof(*p));

	p->file = -1;
	p->capacity = 16;
	p->items = palloc(p->capacity * sizeof(RqPendingItem));
	return p;
}

void
rq_pending_close(RqPending *p)
{
	if (p->file >= 0)
		FileClose(p->file);
	p->file = -1;
}

/* Write the array after what is in the file, in pieces that fit an int. */
static void
write_items(RqPending *p)
{
	for (uint64 done = 0; done < p->nitems;)
	{
		int			count = Min(p->nitems - done, PAGE_ITEMS);
		int			size = count * sizeof(RqPendingItem);

		if (FileWrite(p->file, (char *) (p->items + done), size,
					  (p->nspilled + done) * sizeof(RqPendingItem),
					  WAIT_EVENT_BUFFILE_WRITE) != size)
			ereport(ERROR,
					(errcode_for_file_access(),
					 errmsg("could not write the temporary file of produced messages: %m")));
		done += count;
	}
}

/*
 * The file must outlive the statement and the subtransaction that happen to
 * create it.  It counts against temp_file_limit, so writing it can fail for
 * more reasons than a full disk.
 */
static void
spill(RqPending *p)
{
	ResourceOwner old_owner = CurrentResourceOwner;

	RQ_FAULT("pending-spill");
	if (p->file < 0)
	{
		PrepareTempTablespaces();
		CurrentResourceOwner = TopTransactionResourceOwner;
		p->file = OpenTemporaryFile(false);
		CurrentResourceOwner = old_owner;
	}
	write_items(p);
	p->nspilled += p->nitems;
	p->nitems = 0;
}

/*
 * The item is added last, when nothing can fail any more: after an error the
 * list is what it was.
 *
 * work_mem is asked whenever the array is full, since it can be changed within
 * a transaction.  If it is lowered, the array keeps its size.
 */
void
rq_pending_add(RqPending *p, const RqPendingItem *item)
{
	if (p->nitems == p->capacity)
	{
		uint64		limit = (uint64) work_mem * 1024 / sizeof(RqPendingItem);

		if (p->capacity >= limit)
			spill(p);
		else
		{
			uint64		more = Min(p->capacity * 2, limit);

			p->items = repalloc_huge(p->items, more * sizeof(RqPendingItem));
			p->capacity = more;
		}
	}
	p->items[p->nitems++] = *item;
}

uint64
rq_pending_count(const RqPending *p)
{
	return p->nspilled + p->nitems;
}

/*
 * If all that stays is in the file, the array starts again after it: the next
 * spill writes over what was rolled back.
 */
void
rq_pending_truncate(RqPending *p, uint64 count)
{
	if (count >= p->nspilled)
		p->nitems = count - p->nspilled;
	else
	{
		p->nspilled = count;
		p->nitems = 0;
	}

	/*
	 * Gives room back, also what a failed write has taken.  This is called
	 * while a rollback goes on and must not throw; a file that stays too long
	 * is harmless.
	 */
	if (p->file >= 0)
		(void) FileTruncate(p->file, p->nspilled * sizeof(RqPendingItem),
							WAIT_EVENT_BUFFILE_TRUNCATE);
}

/*
 * Of what is in the file, a page; of what is in the array, all at once.  So
 * what a caller gets in one call is bounded, however long the list is, and
 * enqueue_stretch() of rq_touched.c can make a copy of it.
 *
 * The page is allocated beside the list and not in the caller's context, since
 * it stays until the list goes.
 */
const RqPendingItem *
rq_pending_read(RqPending *p, uint64 first, uint64 *n)
{
	int			size;

	if (first >= rq_pending_count(p))
		return NULL;
	if (first >= p->nspilled)
	{
		*n = rq_pending_count(p) - first;
		return p->items + (first - p->nspilled);
	}
	if (p->page == NULL)
		p->page = MemoryContextAlloc(GetMemoryChunkContext(p),
									 PAGE_ITEMS * sizeof(RqPendingItem));
	*n = Min(PAGE_ITEMS, p->nspilled - first);
	size = *n * sizeof(RqPendingItem);
	if (FileRead(p->file, (char *) p->page, size,
				 first * sizeof(RqPendingItem),
				 WAIT_EVENT_BUFFILE_READ) != size)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not read the temporary file of produced messages: %m")));
	return p->page;
}
