/*
 * rq_slot.c
 *	  Tuple slots that hold a reference to a message, and read it on demand.
 *
 * Our slot is a virtual slot with a second way to hold a row: the entry of a
 * message.  Columns are then built from the left, as far as they are needed, in
 * the slot's own memory; no pointer into the log is kept, since the process may
 * have to unmap the segment before the row is used.  For everything else the
 * operations of PostgreSQL's virtual slots are used.
 */
#include "postgres.h"

#include "executor/tuptable.h"
#include "utils/memutils.h"

#include "am/rq_slot.h"
#include "am/rq_tid.h"
#include "base/rq_compat.h"
#include "log/rq_log.h"
#include "value/rq_columns.h"
#include "value/rq_values.h"

typedef struct RqSlot
{
	VirtualTupleTableSlot base;
	bool		stored;			/* holds a message; else a virtual tuple */
	bool		shorten;		/* see rq_slot_shorten() */
	MemoryContext values;		/* holds the columns built, NULL = none yet */
	uint32		queue_id;
	RqOff		offset;
	RqEntry		entry;
} RqSlot;

/* Columns that can be built from the entry alone. */
#define ENTRY_COLUMNS	(RQ_COL_MESSAGE_ID + 1)

static void
lazy_release(TupleTableSlot *slot)
{
	RqSlot	   *s = (RqSlot *) slot;

	if (s->values)
		MemoryContextDelete(s->values);
	s->values = NULL;
}

static void
lazy_clear(TupleTableSlot *slot)
{
	RqSlot	   *s = (RqSlot *) slot;

	if (s->stored && s->values)
		MemoryContextReset(s->values);
	s->stored = false;
	TTSOpsVirtual.clear(slot);
}

/* Read the message; throws if it was trimmed since the scan found its entry. */
static void
read_message(RqMessage *m)
{
	if (!rq_log_read(m->entry.pos, RQ_ENTRY_FRAME_LEN(&m->entry),
					 &m->frame, &m->parts))
		rq_log_check_kept(m->entry.pos);
}

/*
 * ANALYZE leaves values of more than 1024 bytes out of its statistics, and only
 * counts them as wide: this is long enough to be one.
 */
#define SHORT_LENGTH	2000

/* Keep as many keys as fit. */
static void
shorten_keys(RqParts *p)
{
	uint32		nkeys = 0;
	uint32		at = 0;

	while (nkeys < p->nkeys)
	{
		uint32		len;

		memcpy(&len, p->keys + at, sizeof(len));
		if (len > SHORT_LENGTH || at + sizeof(len) + len > SHORT_LENGTH)
			break;
		at += sizeof(len) + len;
		nkeys++;
	}
	p->nkeys = nkeys;
	p->keys_len = at;
}

static void
shorten_parts(RqParts *p)
{
	static char wide_json[SHORT_LENGTH];

	shorten_keys(p);
	p->body_len = Min(p->body_len, SHORT_LENGTH);
	if (p->properties_len > SHORT_LENGTH)
	{
		memset(wide_json, '"', sizeof(wide_json));
		memset(wide_json + 1, ' ', sizeof(wide_json) - 2);
		p->properties = wide_json;
		p->properties_len = sizeof(wide_json);
	}
}

/*
 * Build columns up to "natts".  The log is checked once more afterwards: if the
 * message was trimmed while it was being read, the values are garbage.
 */
static void
lazy_getsomeattrs(TupleTableSlot *slot, int natts)
{
	RqSlot	   *s = (RqSlot *) slot;
	RqMessage	m;
	MemoryContext old;

	if (!s->stored)
	{
		TTSOpsVirtual.getsomeattrs(slot, natts);
		return;
	}
	m.queue_id = s->queue_id;
	m.offset = s->offset;
	m.entry = s->entry;
	if (natts > ENTRY_COLUMNS)
	{
		read_message(&m);
		if (s->shorten)
			shorten_parts(&m.parts);
	}
	if (s->values == NULL)
		s->values = AllocSetContextCreate(slot->tts_mcxt, "rocketq slot",
										  ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(s->values);
	rq_message_values(&m, Min(natts, RQ_NCOLUMNS),
					  slot->tts_values, slot->tts_isnull);
	MemoryContextSwitchTo(old);
	if (natts > ENTRY_COLUMNS)
		rq_log_check_kept(m.entry.pos);
	slot->tts_nvalid = Min(natts, RQ_NCOLUMNS);
}

static void
lazy_materialize(TupleTableSlot *slot)
{
	if (((RqSlot *) slot)->stored)
		slot_getallattrs(slot);
	else
		TTSOpsVirtual.materialize(slot);
}

static void
lazy_copyslot(TupleTableSlot *dstslot, TupleTableSlot *srcslot)
{
	lazy_clear(dstslot);
	TTSOpsVirtual.copyslot(dstslot, srcslot);
}

/* ANALYZE sorts its rows by ctid, which a virtual slot would not copy. */
static HeapTuple
lazy_copy_heap_tuple(TupleTableSlot *slot)
{
	HeapTuple	tuple;

	slot_getallattrs(slot);
	tuple = TTSOpsVirtual.copy_heap_tuple(slot);
	tuple->t_self = slot->tts_tid;
	tuple->t_tableOid = slot->tts_tableOid;
	return tuple;
}

static MinimalTuple
lazy_copy_minimal_tuple(RQ_COPY_MINIMAL_ARGS)
{
	slot_getallattrs(slot);
	return rq_virtual_copy_minimal(slot);
}

const TupleTableSlotOps *
rq_slot_ops(void)
{
	static TupleTableSlotOps ops;

	if (ops.base_slot_size == 0)
	{
		ops = TTSOpsVirtual;
		ops.release = lazy_release;
		ops.clear = lazy_clear;
		ops.getsomeattrs = lazy_getsomeattrs;
		ops.materialize = lazy_materialize;
		ops.copyslot = lazy_copyslot;
		ops.copy_heap_tuple = lazy_copy_heap_tuple;
		ops.copy_minimal_tuple = lazy_copy_minimal_tuple;
		ops.base_slot_size = sizeof(RqSlot);
	}
	return &ops;
}

void
rq_slot_store(TupleTableSlot *slot, Oid relid, uint32 queue_id, RqOff offset,
			  const RqEntry *entry)
{
	RqSlot	   *s = (RqSlot *) slot;

	if (slot->tts_ops != rq_slot_ops())
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("tuple slot does not belong to a topic")));
	Assert(TTS_EMPTY(slot));
	s->stored = true;
	s->shorten = false;
	s->queue_id = queue_id;
	s->offset = offset;
	s->entry = *entry;
	slot->tts_flags &= ~TTS_FLAG_EMPTY;
	slot->tts_nvalid = 0;
	slot->tts_tableOid = relid;
	rq_tid_set(&slot->tts_tid, queue_id, offset);
}

void
rq_slot_shorten(TupleTableSlot *slot)
{
	Assert(((RqSlot *) slot)->stored);
	((RqSlot *) slot)->shorten = true;
}
