/*
 * rq_tuple.c
 *	  Build a message as a row of rocketq.message for a tuplestore.
 *
 * heap_form_minimal_tuple() would need the body copied into a value, visit each
 * value twice, and copy the body again.  Here the columns are known, so the row
 * is laid out directly from the log, byte for byte as that function would.
 *
 * A tuplestore accepts finished rows only from a slot.  So there is a kind of
 * slot whose only ability is to return its message as a minimal tuple.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "executor/tuptable.h"

#include "base/rq_compat.h"
#include "value/rq_columns.h"
#include "value/rq_tuple.h"
#include "value/rq_values.h"

/* Where the next column goes; if "to" is NULL, only the size is computed. */
typedef struct Cursor
{
	char	   *to;
	Size		at;
} Cursor;

/* The columns that must be converted before their size is known; 0 is null. */
typedef struct Optional
{
	Datum		keys;
	Datum		properties;
} Optional;

typedef struct RqMessageSlot
{
	VirtualTupleTableSlot base;
	const RqMessage *message;
	Optional	optional;
} RqMessageSlot;

/* Padding is zero: that is how readers recognize it (att_align_pointer). */
static inline void
align(Cursor *c, Size to)
{
	Size		next = TYPEALIGN(to, c->at);

	if (c->to && next > c->at)
		memset(c->to + c->at, 0, next - c->at);
	c->at = next;
}

static inline void
put_fixed(Cursor *c, const void *value, Size size)
{
	align(c, size);
	if (c->to)
		memcpy(c->to + c->at, value, size);
	c->at += size;
}

static inline void
put_int32(Cursor *c, int32 value)
{
	put_fixed(c, &value, sizeof(value));
}

static inline void
put_int64(Cursor *c, int64 value)
{
	put_fixed(c, &value, sizeof(value));
}

static inline void
put_varlena(Cursor *c, const char *bytes, uint32 len)
{
	if (len + VARHDRSZ_SHORT <= VARATT_SHORT_MAX)
	{
		if (c->to)
		{
			SET_VARSIZE_SHORT(c->to + c->at, len + VARHDRSZ_SHORT);
			memcpy(c->to + c->at + VARHDRSZ_SHORT, bytes, len);
		}
		c->at += len + VARHDRSZ_SHORT;
		return;
	}
	align(c, sizeof(int32));
	if (c->to)
	{
		SET_VARSIZE(c->to + c->at, len + VARHDRSZ);
		memcpy(c->to + c->at + VARHDRSZ, bytes, len);
	}
	c->at += len + VARHDRSZ;
}

static inline void
put_datum(Cursor *c, Datum value)
{
	struct varlena *v = (struct varlena *) DatumGetPointer(value);

	if (v != NULL)
		put_varlena(c, VARDATA_ANY(v), VARSIZE_ANY_EXHDR(v));
}

static void
put_columns(Cursor *c, const RqMessage *m, const Optional *o)
{
	const RqParts *p = &m->parts;

	put_int32(c, (int32) m->queue_id);
	put_int64(c, (int64) m->offset);
	put_int64(c, (int64) m->entry.pos);
	if (p->tag)
		put_varlena(c, p->tag, p->tag_len);
	put_datum(c, o->keys);
	if (p->sharding_key)
		put_varlena(c, p->sharding_key, p->sharding_len);
	put_datum(c, o->properties);
	put_int64(c, m->frame.born_at);
	put_int64(c, m->entry.enqueued_at);
	put_int32(c, RQ_FIRST_DELIVERY);
	put_varlena(c, p->body, p->body_len);
}

/* Verify the text, and convert what is not a plain copy of its bytes. */
static Optional
prepare(const RqParts *p)
{
	Optional	o = {0};

	if (p->tag)
		rq_check_text(RQ_TEXT_TAG, p->tag, p->tag_len);
	if (p->sharding_key)
		rq_check_text(RQ_TEXT_SHARDING_KEY, p->sharding_key, p->sharding_len);
	if (p->keys)
		o.keys = rq_keys_value(p);
	if (p->properties)
		o.properties = rq_properties_value(p);
	return o;
}

static void
set_nulls(MinimalTuple tuple, const RqParts *p)
{
	uint16		bits = (1 << RQ_NCOLUMNS) - 1;

	if (p->tag == NULL)
		bits &= ~(1 << RQ_COL_TAG);
	if (p->keys == NULL)
		bits &= ~(1 << RQ_COL_KEYS);
	if (p->sharding_key == NULL)
		bits &= ~(1 << RQ_COL_SHARDING_KEY);
	if (p->properties == NULL)
		bits &= ~(1 << RQ_COL_PROPERTIES);
	tuple->t_bits[0] = bits & 0xFF;
	tuple->t_bits[1] = bits >> 8;
}

/* Two passes of the same code: the first computes the size, the second writes. */
static MinimalTuple
copy_minimal_tuple(RQ_COPY_MINIMAL_ARGS)
{
	const RqMessageSlot *s = (RqMessageSlot *) slot;
	const RqMessage *m = s->message;
	const Size	header = MAXALIGN(SizeofMinimalTupleHeader +
								  BITMAPLEN(RQ_NCOLUMNS));
	Cursor		size = {0};
	Cursor		fill = {0};
	MinimalTuple tuple;

	put_columns(&size, m, &s->optional);
	tuple = (MinimalTuple) ((char *) palloc(RQ_COPY_MINIMAL_EXTRA +
											header + size.at) +
							RQ_COPY_MINIMAL_EXTRA);
	memset(tuple, 0, header);
	tuple->t_len = header + size.at;
	HeapTupleHeaderSetNatts(tuple, RQ_NCOLUMNS);
	tuple->t_hoff = header + MINIMAL_TUPLE_OFFSET;
	tuple->t_infomask = HEAP_HASNULL | HEAP_HASVARWIDTH;
	set_nulls(tuple, &m->parts);
	fill.to = (char *) tuple + header;
	put_columns(&fill, m, &s->optional);
	return tuple;
}

/* Rows are laid out for these columns, so the descriptor has to agree. */
static void
check_columns(TupleDesc desc)
{
	bool		fits = desc->natts == RQ_NCOLUMNS;

	for (int i = 0; fits && i < desc->natts; i++)
		fits = rq_column_fits(TupleDescAttr(desc, i));
	if (!fits)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("type rocketq.message does not have the expected attributes"),
				 errdetail("The type was altered after the extension was created."),
				 errhint("DROP EXTENSION and CREATE EXTENSION restore it.")));
}

/*
 * The operations are those of a virtual slot but for one, so they are copied at
 * run time: TTSOpsVirtual is not a constant that an initializer could use.
 */
TupleTableSlot *
rq_message_slot(TupleDesc desc)
{
	static TupleTableSlotOps ops;

	if (ops.base_slot_size == 0)
	{
		ops = TTSOpsVirtual;
		ops.copy_minimal_tuple = copy_minimal_tuple;
		ops.base_slot_size = sizeof(RqMessageSlot);
	}
	check_columns(desc);
	return MakeSingleTupleTableSlot(desc, &ops);
}

void
rq_message_slot_set(TupleTableSlot *slot, const RqMessage *m)
{
	RqMessageSlot *s = (RqMessageSlot *) slot;

	s->message = m;
	s->optional = prepare(&m->parts);
	slot->tts_flags &= ~TTS_FLAG_EMPTY;
}
