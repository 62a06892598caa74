/*
 * rq_stateslots.c
 *	  What a state file says last about each slot.
 *
 * Given the records of a file, which of them hold?  Slots are kept in pages
 * that are allocated when they are first named, so that a file of a few bytes
 * cannot ask for much memory by naming a high slot.
 */
#include "postgres.h"

#include "format/rq_stateslots.h"

#define PAGE_SLOTS	256

typedef struct Page
{
	bool		used[PAGE_SLOTS];
	char	   *slots;			/* each of the kind's size */
} Page;

struct RqStateSlots
{
	uint32		end[RQ_SLOT_KINDS];
	Page	  **pages[RQ_SLOT_KINDS];
	uint32		npages[RQ_SLOT_KINDS];
	RqStateGap *gaps;
	uint32		ngaps;
	uint32		max_gaps;
	uint64		last_seq;		/* of the file */
};

/* Make the table of pages long enough to have this one. */
static void
lengthen(RqStateSlots *s, uint32 kind, uint32 page)
{
	uint32		n = Max(64, s->npages[kind]);
	Page	  **pages;

	while (n <= page)
		n *= 2;
	pages = palloc0(n * sizeof(Page *));
	if (s->npages[kind] > 0)
	{
		memcpy(pages, s->pages[kind], s->npages[kind] * sizeof(Page *));
		pfree(s->pages[kind]);
	}
	s->pages[kind] = pages;
	s->npages[kind] = n;
}

static Page *
page_of(RqStateSlots *s, uint32 kind, uint32 slot)
{
	Page	  **at;

	if (slot / PAGE_SLOTS >= s->npages[kind])
		lengthen(s, kind, slot / PAGE_SLOTS);
	at = &s->pages[kind][slot / PAGE_SLOTS];
	if (*at == NULL)
	{
		*at = palloc0(sizeof(Page));
		(*at)->slots = palloc(PAGE_SLOTS * rq_state_slot_size(kind));
	}
	return *at;
}

/* Of earlier syncs they no longer hold. */
static void
take_gap(RqStateSlots *s, uint64 seq, const RqStateGap *gap)
{
	if (seq != s->last_seq)
		return;
	if (s->ngaps == s->max_gaps)
	{
		s->max_gaps = Max(64, 2 * s->max_gaps);
		s->gaps = s->gaps == NULL ? palloc(s->max_gaps * sizeof(RqStateGap)) :
			repalloc(s->gaps, s->max_gaps * sizeof(RqStateGap));
	}
	s->gaps[s->ngaps++] = *gap;
}

static void
take_record(void *arg, const RqStateBatch *b, const RqStateRecord *r,
			const RqStateSlot *slot)
{
	RqStateSlots *s = arg;
	Page	   *page;
	uint32		i = r->slot % PAGE_SLOTS;

	if (r->kind == RQ_STATE_GAP)
	{
		if (!r->is_free)
			take_gap(s, b->seq, &slot->gap);
		return;
	}
	page = page_of(s, r->kind, r->slot);
	page->used[i] = !r->is_free;
	if (!r->is_free)
	{
		uint32		size = rq_state_slot_size(r->kind);

		memcpy(page->slots + i * size, slot, size);
	}
	s->end[r->kind] = Max(s->end[r->kind], r->slot + 1);
}

RqStateSlots *
rq_state_slots(const RqStateSource *source, const RqStateFound *found)
{
	RqStateSlots *s = palloc0(sizeof(RqStateSlots));

	s->last_seq = found->last.seq;
	return rq_state_walk(source, found, take_record, s) ? s : NULL;
}

uint32
rq_state_slots_end(const RqStateSlots *s, RqSlotKind kind)
{
	return s->end[kind];
}

const RqStateSlot *
rq_state_slot(const RqStateSlots *s, RqSlotKind kind, uint32 slot)
{
	const Page *page = s->pages[kind][slot / PAGE_SLOTS];

	if (page == NULL || !page->used[slot % PAGE_SLOTS])
		return NULL;
	return (const RqStateSlot *) (page->slots +
								  slot % PAGE_SLOTS * rq_state_slot_size(kind));
}

const RqStateGap *
rq_state_gaps(const RqStateSlots *s, uint32 *n)
{
	*n = s->ngaps;
	return s->gaps;
}
