/*
 * rq_statewrite.c
 *	  Write what a sync has copied to the state file.
 *
 * Given copies of slots, how do they get into the file so that after a crash
 * either all of them count or none?  Batches are written as they become full,
 * at any time, and do not count: only the last one of the sync makes it count,
 * which is written when everything that the copies rely on is on disk.
 *
 * What a sync that failed has left is cut off by the next one.
 */
#include "postgres.h"

#include <sys/stat.h>

#include "utils/timestamp.h"

#include "base/rq_fault.h"
#include "store/rq_durable.h"
#include "store/rq_stream.h"
#include "wal/rq_statewrite.h"

/* A file is replaced when its changes are longer than its image, and this. */
#define IMAGE_DUE		(16 * 1024 * 1024)

struct RqStateWriter
{
	RqWriter   *out;
	RqStateFile *file;
	RqStateFile next;			/* what that will be */
	bool		image;
	uint32		attempt;
	uint64		begun_at;		/* the sync */
	uint64		count;			/* of records since then */
	uint32		used;			/* of the batch, its header included */
	union
	{
		RqStateBatch head;
		char		bytes[RQ_STATE_BATCH_MAX];
	}			batch;
};

bool
rq_state_file_is_long(const RqStateFile *f)
{
	return f->length == 0 || f->has_final || RQ_FAULT_FAILS("state-long") ||
		f->length - f->image_length > Max(f->image_length, IMAGE_DUE);
}

/*
 * Somebody may have removed or truncated it.  What it had can be written again.
 */
bool
rq_state_file_is_gone(const RqStateFile *f)
{
	struct stat st;

	return f->length == 0 || stat(RQ_STATE_FILE, &st) != 0 ||
		(uint64) st.st_size < f->length;
}

/* The file gets another id, so that nothing of an earlier one fits in. */
static void
begin_image(RqStateWriter *w, const RqStateHeader *header)
{
	RqStateHeader h = *header;

	w->next.id = Max((uint64) GetCurrentTimestamp(), w->file->id + 1);
	w->next.seq = 0;
	w->next.has_final = false;
	h.id = w->next.id;
	rq_state_seal_header(&h);
	rq_writer_add(w->out, &h, sizeof(h));
}

RqStateWriter *
rq_state_write_begin(RqStateFile *file, bool image, const RqStateHeader *header)
{
	RqStateWriter *w = palloc(sizeof(RqStateWriter));

	w->file = file;
	w->next = *file;
	w->attempt = ++file->attempts;
	w->image = image;
	w->count = 0;
	w->used = sizeof(RqStateBatch);
	w->begun_at = w->image ? 0 : file->length;
	w->out = rq_writer_begin(RQ_STATE_FILE, w->begun_at);
	PG_TRY();
	{
		if (w->image)
			begin_image(w, header);
	}
	PG_CATCH();
	{
		rq_state_write_close(w);
		PG_RE_THROW();
	}
	PG_END_TRY();
	w->next.seq++;
	return w;
}

/* Write the batch, with what the caller has filled in of its header. */
static void
write_batch(RqStateWriter *w)
{
	RqStateBatch *b = &w->batch.head;

	b->id = w->next.id;
	b->seq = w->next.seq;
	b->attempt = w->attempt;
	b->at = rq_writer_at(w->out);
	b->bytes = w->used;
	rq_state_seal_batch(w->batch.bytes);
	rq_writer_add(w->out, w->batch.bytes, w->used);
	w->used = sizeof(RqStateBatch);
}

void
rq_state_write_room(RqStateWriter *w, uint32 nrecords)
{
	uint32		need = nrecords * (sizeof(RqStateRecord) + TYPEALIGN(8, sizeof(RqStateSlot)));

	Assert(need <= RQ_STATE_BATCH_MAX - sizeof(RqStateBatch));
	if (RQ_STATE_BATCH_MAX - w->used >= need)
		return;
	memset(&w->batch.head, 0, sizeof(RqStateBatch));
	write_batch(w);
	RQ_FAULT("state-appended");
}

void
rq_state_write_add(RqStateWriter *w, uint32 kind, uint32 slot,
				   const RqStateSlot *copy)
{
	RqStateRecord r = {.kind = kind, .is_free = copy == NULL, .slot = slot};
	uint32		size = rq_state_record_size(&r);
	char	   *at = w->batch.bytes + w->used;

	Assert(size <= RQ_STATE_BATCH_MAX - w->used);
	memset(at, 0, size);
	memcpy(at, &r, sizeof(r));
	if (copy != NULL)
		memcpy(at + sizeof(r), copy, rq_state_slot_size(kind));
	w->used += size;
	w->count++;
}

void
rq_state_write_gaps(RqStateWriter *w, const RqStateGap *gaps, uint32 n)
{
	for (uint32 i = 0; i < n; i++)
	{
		RqStateSlot gap = {.gap = gaps[i]};

		rq_state_write_room(w, 1);
		rq_state_write_add(w, RQ_STATE_GAP, 0, &gap);
	}
}

uint64
rq_state_write_count(const RqStateWriter *w)
{
	return w->count;
}

void
rq_state_write_ahead(RqStateWriter *w, bool wait)
{
	rq_writer_flush(w->out, wait);
}

void
rq_state_write_goes_on(RqStateWriter *w)
{
	w->begun_at = rq_writer_at(w->out);
	w->count = 0;
}

/*
 * Whether a new file that could not be finished is in place is not known, so the
 * next sync writes an image again.
 */
uint64
rq_state_write_finish(RqStateWriter *w, const RqStateBatch *numbers)
{
	w->batch.head = *numbers;
	w->batch.head.flags |= RQ_STATE_END;
	write_batch(w);
	RQ_FAULT("state-batch");
	if (w->image)
		w->file->length = 0;
	w->next.length = rq_writer_at(w->out);
	if (w->image)
		w->next.image_length = w->next.length;
	w->next.attempts = w->file->attempts;
	w->next.has_final |= (numbers->flags & RQ_STATE_FINAL) != 0;
	rq_writer_finish(w->out);
	*w->file = w->next;
	return w->next.length - w->begun_at;
}

void
rq_state_write_close(RqStateWriter *w)
{
	rq_writer_end(w->out);
	pfree(w);
}
