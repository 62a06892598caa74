/*
 * rq_values.c
 *	  Convert between SQL values and the parts of a message.
 *
 * A part points into the value it was set from, or into a copy made by
 * detoasting or conversion.  What is read from the log is protected by a
 * checksum, but it is text in the encoding that its producer's database had at
 * that time, so it is verified before it becomes a value of type text.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "value/rq_columns.h"
#include "value/rq_values.h"

/* ---- from SQL values ---- */

void
rq_set_tag(RqParts *m, Datum text_value)
{
	text	   *t = DatumGetTextPP(text_value);

	m->tag = VARDATA_ANY(t);
	m->tag_len = VARSIZE_ANY_EXHDR(t);
}

void
rq_set_sharding_key(RqParts *m, Datum text_value)
{
	text	   *t = DatumGetTextPP(text_value);

	m->sharding_key = VARDATA_ANY(t);
	m->sharding_len = VARSIZE_ANY_EXHDR(t);
}

static void
check_keys(const ArrayType *array)
{
	if (ARR_NDIM(array) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("message keys must be a one-dimensional array"),
				 errdetail("The array has %d dimensions.", ARR_NDIM(array))));
	if (array_contains_nulls(unconstify(ArrayType *, array)))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("message keys must not contain nulls"),
				 errhint("Use array_remove(keys, NULL) to remove them.")));
}

/*
 * Pack the keys in the format of a frame, each after its length.  An empty array
 * is the same as NULL.
 */
void
rq_set_keys(RqParts *m, Datum text_array)
{
	ArrayType  *array = DatumGetArrayTypeP(text_array);
	Datum	   *elems;
	int			n;
	uint32		size = 0;
	char	   *at;

	check_keys(array);
	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT,
					  &elems, NULL, &n);
	if (n == 0)
		return;
	for (int i = 0; i < n; i++)
		size += sizeof(uint32) + VARSIZE_ANY_EXHDR(DatumGetPointer(elems[i]));
	m->keys = at = palloc(size);
	m->keys_len = size;
	m->nkeys = n;
	for (int i = 0; i < n; i++)
	{
		text	   *t = (text *) DatumGetPointer(elems[i]);
		uint32		len = VARSIZE_ANY_EXHDR(t);

		memcpy(at, &len, sizeof(len));
		memcpy(at + sizeof(len), VARDATA_ANY(t), len);
		at += sizeof(len) + len;
	}
	pfree(elems);
}

static const char *
jsonb_text(Jsonb *j, uint32 *len)
{
	char	   *s = JsonbToCString(NULL, &j->root, VARSIZE(j));

	*len = strlen(s);
	return s;
}

void
rq_set_properties(RqParts *m, Datum jsonb_value)
{
	Jsonb	   *j = DatumGetJsonbP(jsonb_value);

	if (!JB_ROOT_IS_OBJECT(j))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("message properties must be a JSON object"),
				 errhint("Use an object such as '{\"name\": \"value\"}'.")));
	m->properties = jsonb_text(j, &m->properties_len);
}

void
rq_set_body(RqParts *m, Datum varlena_value)
{
	struct varlena *v = PG_DETOAST_DATUM_PACKED(varlena_value);

	m->body = VARDATA_ANY(v);
	m->body_len = VARSIZE_ANY_EXHDR(v);
}

void
rq_set_body_jsonb(RqParts *m, Datum jsonb_value)
{
	m->body = jsonb_text(DatumGetJsonbP(jsonb_value), &m->body_len);
}

/* ---- to SQL values ---- */

static const char *const invalid_text[] = {
	[RQ_TEXT_TAG] = gettext_noop("message tag is not valid text in encoding \"%s\""),
	[RQ_TEXT_KEY] = gettext_noop("message key is not valid text in encoding \"%s\""),
	[RQ_TEXT_SHARDING_KEY] = gettext_noop("message sharding key is not valid text in encoding \"%s\""),
	[RQ_TEXT_PROPERTIES] = gettext_noop("message properties are not valid text in encoding \"%s\""),
	[RQ_TEXT_BODY] = gettext_noop("message body is not valid text in encoding \"%s\""),
};

void
rq_check_text(RqTextKind kind, const char *bytes, uint32 len)
{
	if (!pg_verify_mbstr(GetDatabaseEncoding(), bytes, (int) len, true))
		ereport(ERROR,
				(errcode(ERRCODE_CHARACTER_NOT_IN_REPERTOIRE),
				 errmsg(invalid_text[kind], GetDatabaseEncodingName())));
}

static Datum
text_datum(RqTextKind kind, const char *bytes, uint32 len)
{
	rq_check_text(kind, bytes, len);
	return PointerGetDatum(cstring_to_text_with_len(bytes, (int) len));
}

Datum
rq_keys_value(const RqParts *p)
{
	Datum	   *elems = palloc(sizeof(Datum) * Max(p->nkeys, 1));
	const char *at = p->keys;
	ArrayType  *array;

	/* rq_frame_check() has verified that the keys fit into their length. */
	for (uint32 i = 0; i < p->nkeys; i++)
	{
		uint32		len;

		memcpy(&len, at, sizeof(len));
		elems[i] = text_datum(RQ_TEXT_KEY, at + sizeof(len), len);
		at += sizeof(len) + len;
	}
	array = construct_array(elems, (int) p->nkeys, TEXTOID, -1, false,
							TYPALIGN_INT);
	for (uint32 i = 0; i < p->nkeys; i++)
		pfree(DatumGetPointer(elems[i]));
	pfree(elems);
	return PointerGetDatum(array);
}

Datum
rq_properties_value(const RqParts *p)
{
	char	   *s;
	Datum		result;

	rq_check_text(RQ_TEXT_PROPERTIES, p->properties, p->properties_len);
	s = pnstrdup(p->properties, p->properties_len);
	result = DirectFunctionCall1(jsonb_in, CStringGetDatum(s));
	pfree(s);
	return result;
}

static Datum
body_datum(const RqParts *p)
{
	bytea	   *b = palloc((Size) p->body_len + VARHDRSZ);

	SET_VARSIZE(b, p->body_len + VARHDRSZ);
	memcpy(VARDATA(b), p->body, p->body_len);
	return PointerGetDatum(b);
}

/* The value of a nullable column; false if it is null. */
static bool
optional_value(const RqParts *p, RqColumn column, Datum *value)
{
	switch (column)
	{
		case RQ_COL_TAG:
			if (p->tag == NULL)
				return false;
			*value = text_datum(RQ_TEXT_TAG, p->tag, p->tag_len);
			return true;
		case RQ_COL_KEYS:
			if (p->keys == NULL)
				return false;
			*value = rq_keys_value(p);
			return true;
		case RQ_COL_SHARDING_KEY:
			if (p->sharding_key == NULL)
				return false;
			*value = text_datum(RQ_TEXT_SHARDING_KEY,
								p->sharding_key, p->sharding_len);
			return true;
		case RQ_COL_PROPERTIES:
			if (p->properties == NULL)
				return false;
			*value = rq_properties_value(p);
			return true;
		default:
			return false;
	}
}

void
rq_message_values(const RqMessage *m, int ncolumns, Datum *values, bool *nulls)
{
	for (int i = 0; i < ncolumns; i++)
	{
		nulls[i] = false;
		switch ((RqColumn) i)
		{
			case RQ_COL_QUEUE_ID:
				values[i] = Int32GetDatum((int32) m->queue_id);
				break;
			case RQ_COL_QUEUE_OFFSET:
				values[i] = Int64GetDatum((int64) m->offset);
				break;
			case RQ_COL_MESSAGE_ID:
				values[i] = Int64GetDatum((int64) m->entry.pos);
				break;
			case RQ_COL_TAG:
			case RQ_COL_KEYS:
			case RQ_COL_SHARDING_KEY:
			case RQ_COL_PROPERTIES:
				values[i] = (Datum) 0;
				nulls[i] = !optional_value(&m->parts, (RqColumn) i, &values[i]);
				break;
			case RQ_COL_BORN_AT:
				values[i] = TimestampTzGetDatum(m->frame.born_at);
				break;
			case RQ_COL_STORED_AT:
				values[i] = TimestampTzGetDatum(m->entry.enqueued_at);
				break;
			case RQ_COL_DELIVERY_ATTEMPT:
				values[i] = Int32GetDatum(RQ_FIRST_DELIVERY);
				break;
			case RQ_COL_BODY:
				values[i] = body_datum(&m->parts);
				break;
		}
	}
}
