/*
 * rq_stateimage.c
 *	  A new image of the state, written while the old file is in use.
 *
 * Given a store of any size, how is its state written as a whole without anybody
 * waiting for that?
 *
 * Slots are copied in slices, between syncs, while syncs go on adding to the old
 * file.  A slot can change after it was copied.  Then it is among those that have
 * changed since the last sync, or a sync has taken it from them, which we note.
 * When all slots have been copied, the next sync is that of the image: it adds
 * both to it, as any sync does, and puts it in the old file's place.
 *
 * A slice does not take the bits of what it copies, and does not note files to be
 * brought to disk: both is the sync's.  What has no bit is on disk.
 *
 * A sync that must not add to the old file, as it is the first one after a
 * recovery, waits until there is an image; the keeper does not.  Only when there is
 * no file to add to, and in recovery, the image is written as a whole.
 */
#include "postgres.h"

#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/rq_fault.h"
#include "log/rq_log.h"
#include "queue/rq_tablestate.h"
#include "shmem/rq_bits.h"
#include "shmem/rq_shmem.h"
#include "wal/rq_stateimage.h"

/* A slice ends after so many holds, or so many slots in use. */
#define SLICE_HOLDS		64
#define SLICE_SLOTS		4096

/* After an error. */
#define RETRY_MS		10000

typedef struct Image
{
	MemoryContext cxt;
	RqStateWriter *w;
	RqSlotKind	kind;			/* what comes next */
	uint32		next;			/* slot */
	uint64	   *missed[RQ_SLOT_KINDS];	/* bits that syncs have taken since */
} Image;

static Image *image = NULL;
static TimestampTz not_before = 0;	/* after an error */
static bool lacked_room = false;	/* it was that */

static void
begin(RqStateFile *file, const RqStateHeader *header)
{
	MemoryContext cxt = AllocSetContextCreate(TopMemoryContext,
											  "rocketq state image",
											  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(cxt);

	image = palloc0(sizeof(Image));
	image->cxt = cxt;
	for (RqSlotKind kind = 0; kind < RQ_SLOT_KINDS; kind++)
		image->missed[kind] = palloc_extended((rq_changed[kind].nwords + 1) * sizeof(uint64),
											  MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	image->w = rq_state_write_begin(file, true, header);
	MemoryContextSwitchTo(old);
}

bool
rq_state_image_is_complete(void)
{
	return image != NULL && image->kind == RQ_SLOT_KINDS;
}

/* Go on to where there is something to copy, or to the end. */
static void
skip_to_slots(void)
{
	while (image->kind < RQ_SLOT_KINDS && image->next >= rq_table_begun(image->kind))
	{
		image->kind++;
		image->next = 0;
	}
}

/*
 * As many slots as one hold is for.  Those that are free are left out: one that
 * is in use now and free in the end has changed.
 */
static void
copy_next_slots(void)
{
	uint32		end;
	RqStateSlot copy;

	rq_state_write_room(image->w, RQ_STATE_HOLD_SLOTS);
	rq_meta_lock_again();
	end = Min(image->next + RQ_STATE_HOLD_SLOTS, rq_table_begun(image->kind));
	for (; image->next < end; image->next++)
		if (rq_table_copy(image->kind, image->next, &copy))
			rq_state_write_add(image->w, image->kind, image->next, &copy);
	LWLockRelease(rq_meta_lock);
	RQ_FAULT("state-copy-hold");
}

/* The last slice has all on disk, so that the sync has little to wait for. */
static void
write_slice(void)
{
	uint64		before = rq_state_write_count(image->w);

	skip_to_slots();
	for (int i = 0; i < SLICE_HOLDS && !rq_state_image_is_complete() &&
		 rq_state_write_count(image->w) - before < SLICE_SLOTS; i++)
	{
		copy_next_slots();
		skip_to_slots();
	}
	rq_state_write_ahead(image->w, rq_state_image_is_complete());
	RQ_FAULT("state-image-slice");
}

static void
write_next(RqStateFile *file, const RqStateHeader *header)
{
	PG_TRY();
	{
		if (image == NULL)
			begin(file, header);
		write_slice();
	}
	PG_CATCH();
	{
		rq_state_image_give_up();
		lacked_room = geterrcode() == ERRCODE_DISK_FULL;
		not_before = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
												 RETRY_MS);
		PG_RE_THROW();
	}
	PG_END_TRY();
}

bool
rq_state_image_may_begin(void)
{
	return GetCurrentTimestamp() >= not_before;
}

bool
rq_state_image_lacks_room(void)
{
	return lacked_room && !rq_state_image_may_begin();
}

void
rq_state_image_go_on(RqStateFile *file, const RqStateHeader *header)
{
	if (rq_state_image_is_complete())
		return;
	if (image != NULL ||
		(rq_state_file_is_long(file) && rq_state_image_may_begin()))
		write_next(file, header);
}

void
rq_state_image_complete(RqStateFile *file, const RqStateHeader *header)
{
	while (!rq_state_image_is_complete())
		write_next(file, header);
}

void
rq_state_image_miss(RqSlotKind kind, uint32 word, uint64 bits)
{
	if (image != NULL)
		image->missed[kind][word] |= bits;
}

RqStateWriter *
rq_state_image_take(void)
{
	Assert(rq_state_image_is_complete());
	for (RqSlotKind kind = 0; kind < RQ_SLOT_KINDS; kind++)
		for (uint32 i = 0; i < rq_changed[kind].nwords; i++)
			rq_bits_restore(&rq_changed[kind], i, image->missed[kind][i]);
	rq_state_write_goes_on(image->w);
	return image->w;
}

void
rq_state_image_give_up(void)
{
	MemoryContext cxt;

	if (image == NULL)
		return;
	cxt = image->cxt;
	if (image->w != NULL)
		rq_state_write_close(image->w);
	image = NULL;
	MemoryContextDelete(cxt);
}
