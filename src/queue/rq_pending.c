/*
 * rq_pending.c
 *	  The list of messages that a transaction enqueues at commit.
 *
 * Item i is in the file if i < nspilled, else in the array.  The array is
 * written out whenever it reaches work_mem.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/buffile.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "queue/rq_pending.h"

struct RqPending
{
	RqPendingItem *items;
	uint64		nitems;
	uint64		capacity;
	uint64		nspilled;
	BufFile    *file;
	RqPendingItem *page;		/* what rq_pending_read got from the file */
};

#define PAGE_ITEMS	32768

RqPending *
rq_pending_create(void)
{
	RqPending  *p = palloc0(sizeof(*p));

	p->capacity = 16;
	p->items = palloc(p->capacity * sizeof(RqPendingItem));
	return p;
}

void
rq_pending_close(RqPending *p)
{
	if (p->file)
		BufFileClose(p->file);
	p->file = NULL;
}

static void
seek(RqPending *p, uint64 item)
{
	if (BufFileSeek(p->file, 0, item * sizeof(RqPendingItem), SEEK_SET) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not seek in the temporary file of produced messages")));
}

/*
 * The file must outlive the statement and the subtransaction that happen to
 * create it.
 */
static void
spill(RqPending *p)
{
	ResourceOwner old_owner = CurrentResourceOwner;
	MemoryContext old_cxt = MemoryContextSwitchTo(GetMemoryChunkContext(p));

	CurrentResourceOwner = TopTransactionResourceOwner;
	if (p->file == NULL)
		p->file = BufFileCreateTemp(false);
	seek(p, p->nspilled);
	BufFileWrite(p->file, p->items, p->nitems * sizeof(RqPendingItem));
	CurrentResourceOwner = old_owner;
	MemoryContextSwitchTo(old_cxt);
	p->nspilled += p->nitems;
	p->nitems = 0;
}

void
rq_pending_add(RqPending *p, const RqPendingItem *item)
{
	if (p->nitems == p->capacity)
	{
		uint64		limit = (uint64) work_mem * 1024 / sizeof(RqPendingItem);

		if (p->capacity * 2 > limit)
			spill(p);
		else
		{
			p->items = repalloc_huge(p->items,
									 p->capacity * 2 * sizeof(RqPendingItem));
			p->capacity *= 2;
		}
	}
	p->items[p->nitems++] = *item;
}

uint64
rq_pending_count(const RqPending *p)
{
	return p->nspilled + p->nitems;
}

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
}

const RqPendingItem *
rq_pending_read(RqPending *p, uint64 first, uint64 *n)
{
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
	seek(p, first);
	if (BufFileRead(p->file, p->page, *n * sizeof(RqPendingItem)) !=
		*n * sizeof(RqPendingItem))
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not read from the temporary file of produced messages")));
	return p->page;
}
