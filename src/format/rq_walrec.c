/*
 * rq_walrec.c
 *	  Check WAL records, and name and describe them for pg_walinspect and the
 *	  server log.
 *
 * Given the bytes of a record, may redo and descriptions rely on them?  Each
 * check answers that for one record, and is made before anything else is read
 * of it.  It bounds lengths and numbers; whether a topic or a group exists is
 * for redo to find out.
 *
 * Nothing here may touch shared state, which a record that pg_walinspect reads
 * may have nothing to do with any more.
 */
#include "postgres.h"

#include "base/rq_text.h"
#include "format/rq_segfmt.h"
#include "format/rq_walrec.h"

/* ---- check ---- */

static const char *const too_short = "it is too short";
static const char *const out_of_bounds = "its numbers are out of bounds";

/*
 * Does the record have "count" items after the struct at the head of its data?
 * rq_wal_check() has checked that the struct is there.
 */
#define HAS_ITEMS(rec, count, item) \
	(len - sizeof(*(rec)) >= (uint64) (count) * sizeof(item))

/* The bytes must lie in one segment, after its header. */
static const char *
check_append(const void *data, uint64 len)
{
	const xl_rq_append *rec = data;
	uint64		size = (uint64) rec->segment_mb * 1024 * 1024;

	if (RQ_SEGMENT_MB_OK(rec->segment_mb) &&
		rec->span > 0 && rec->pos <= RQ_NUMBER_MAX - rec->span &&
		rec->pos % size >= RQ_SEG_HEADER_SIZE &&
		rec->span <= size - rec->pos % size &&
		len - sizeof(*rec) <= rec->span)
		return NULL;
	return out_of_bounds;
}

/*
 * The count is bounded as writers bound it, so redo can take for granted that
 * no more than two segments are touched.
 */
static const char *
check_enqueue(const void *data, uint64 len)
{
	const xl_rq_enqueue *rec = data;

	if (!HAS_ITEMS(rec, rec->count, xl_rq_entry))
		return too_short;
	if (rec->count == 0 || rec->count > RQ_ENQUEUE_MAX ||
		rec->offset > RQ_NUMBER_MAX - rec->count)
		return out_of_bounds;
	return NULL;
}

/* Ranges lie within what the record resolves; redo walks each to its end. */
static const char *
check_resolve(const void *data, uint64 len)
{
	const xl_rq_resolve *rec = data;
	const xl_rq_range *ranges = (const xl_rq_range *) (rec + 1);

	if (!HAS_ITEMS(rec, rec->nranges, xl_rq_range))
		return too_short;
	if (rec->from > rec->to || rec->to > RQ_NUMBER_MAX)
		return out_of_bounds;
	for (uint32 i = 0; i < rec->nranges; i++)
		if (ranges[i].first < rec->from || ranges[i].first > rec->to ||
			ranges[i].count > rec->to - ranges[i].first)
			return out_of_bounds;
	return NULL;
}

static const char *
check_offset(const void *data, uint64 len)
{
	const xl_rq_offset *rec = data;
	const xl_rq_move *moves = (const xl_rq_move *) (rec + 1);

	if (!HAS_ITEMS(rec, rec->count, xl_rq_move))
		return too_short;
	if (rec->count == 0 || rec->count > RQ_OFFSETS_MAX)
		return out_of_bounds;
	for (uint32 i = 0; i < rec->count; i++)
		if (moves[i].base > RQ_NUMBER_MAX || moves[i].next > RQ_NUMBER_MAX)
			return out_of_bounds;
	return NULL;
}

static const char *
check_settle(const void *data, uint64 len)
{
	const xl_rq_settle *rec = data;
	const xl_rq_settled *settled = (const xl_rq_settled *) (rec + 1);

	if (!HAS_ITEMS(rec, rec->count, xl_rq_settled))
		return too_short;
	if (rec->count == 0 || rec->count > RQ_OFFSETS_MAX)
		return out_of_bounds;
	for (uint32 i = 0; i < rec->count; i++)
		if (settled[i].committed > RQ_NUMBER_MAX || settled[i].is_open > 1)
			return out_of_bounds;
	return NULL;
}

static const char *
check_topic(const void *data, uint64 len)
{
	const xl_rq_topic *rec = data;

	if (rec->key.rel == InvalidOid || rec->nslots > RQ_QUEUES_MAX ||
		rq_settings_find_wrong(&rec->committed) != NULL ||
		rq_settings_find_wrong(&rec->staged) != NULL ||
		rec->committed.nqueues > rec->nslots ||
		rec->staged.nqueues > rec->nslots)
		return out_of_bounds;
	return NULL;
}

static const char *
check_topic_drop(const void *data, uint64 len)
{
	const xl_rq_topic_drop *rec = data;

	return rec->key.rel == InvalidOid ? out_of_bounds : NULL;
}

/* The name comes after the places, so these are bounded first. */
static const char *
check_group(const void *data, uint64 len)
{
	const xl_rq_group *rec = data;
	const xl_rq_place *places = (const xl_rq_place *) (rec + 1);

	if (!HAS_ITEMS(rec, rec->nqueues, xl_rq_place))
		return too_short;
	if (rec->group_id == 0 || rec->nqueues > RQ_QUEUES_MAX ||
		rec->name_len == 0 || rec->name_len > RQ_GROUP_NAME_MAX ||
		len - sizeof(*rec) - rec->nqueues * sizeof(*places) < rec->name_len)
		return out_of_bounds;
	for (uint32 i = 0; i < rec->nqueues; i++)
		if (places[i].offset > RQ_NUMBER_MAX)
			return out_of_bounds;
	return NULL;
}

static const char *
check_group_drop(const void *data, uint64 len)
{
	const xl_rq_group_drop *rec = data;

	return rec->group_id == 0 ? out_of_bounds : NULL;
}

static const char *
check_trim(const void *data, uint64 len)
{
	const xl_rq_trim *rec = data;
	const xl_rq_queue_start *starts = (const xl_rq_queue_start *) (rec + 1);

	if (!HAS_ITEMS(rec, rec->count, xl_rq_queue_start))
		return too_short;
	if (rec->log_start > RQ_NUMBER_MAX)
		return out_of_bounds;
	for (uint32 i = 0; i < rec->count; i++)
		if (starts[i].start > RQ_NUMBER_MAX ||
			starts[i].bytes_start > RQ_NUMBER_MAX)
			return out_of_bounds;
	return NULL;
}

static const char *
check_sync(const void *data, uint64 len)
{
	const xl_rq_sync *rec = data;

	if (rec->log_start > rec->log_end || rec->log_end > RQ_NUMBER_MAX)
		return out_of_bounds;
	return NULL;
}

/* ---- describe ---- */

static void
desc_key(StringInfo buf, RqKey key)
{
	appendStringInfo(buf, "topic %u/%u", key.db, key.rel);
}

static void
desc_queue(StringInfo buf, RqKey key, uint32 queue_id)
{
	desc_key(buf, key);
	appendStringInfo(buf, " queue %u", queue_id);
}

static void
desc_append(StringInfo buf, const void *data)
{
	const xl_rq_append *rec = data;

	appendStringInfo(buf, "pos " UINT64_FORMAT " end " UINT64_FORMAT " frames %u",
					 rec->pos, rec->pos + rec->span, rec->nframes);
}

static void
desc_enqueue(StringInfo buf, const void *data)
{
	const xl_rq_enqueue *rec = data;

	desc_queue(buf, rec->key, rec->queue_id);
	appendStringInfo(buf, " offset " UINT64_FORMAT " count %u xid " UINT64_FORMAT,
					 rec->offset, rec->count, rec->xid);
}

static void
desc_resolve(StringInfo buf, const void *data)
{
	const xl_rq_resolve *rec = data;

	desc_queue(buf, rec->key, rec->queue_id);
	appendStringInfo(buf, " from " UINT64_FORMAT " to " UINT64_FORMAT " aborted ranges %u",
					 rec->from, rec->to, rec->nranges);
}

/* Each item, as each says what became of a queue; the longest takes 70 kB. */
static void
desc_offset(StringInfo buf, const void *data)
{
	const xl_rq_offset *rec = data;
	const xl_rq_move *moves = (const xl_rq_move *) (rec + 1);

	desc_key(buf, rec->key);
	appendStringInfo(buf, " group %u xid " UINT64_FORMAT, rec->group_id, rec->xid);
	for (uint32 i = 0; i < rec->count; i++)
		appendStringInfo(buf, " queue %u base " UINT64_FORMAT " next " UINT64_FORMAT,
						 moves[i].queue_id, moves[i].base, moves[i].next);
}

static void
desc_settle(StringInfo buf, const void *data)
{
	const xl_rq_settle *rec = data;
	const xl_rq_settled *settled = (const xl_rq_settled *) (rec + 1);

	desc_key(buf, rec->key);
	appendStringInfo(buf, " group %u", rec->group_id);
	for (uint32 i = 0; i < rec->count; i++)
		appendStringInfo(buf, " queue %u committed " UINT64_FORMAT,
						 settled[i].queue_id, settled[i].committed);
}

static void
desc_topic(StringInfo buf, const void *data)
{
	const xl_rq_topic *rec = data;

	desc_key(buf, rec->key);
	appendStringInfo(buf, " xid " UINT64_FORMAT " settings ", rec->xid);
	rq_settings_print(buf, &rec->committed);
	if (rec->drop_xid != 0)
		appendStringInfo(buf, " drop xid " UINT64_FORMAT, rec->drop_xid);
	if (rec->alter_xid == 0)
		return;
	appendStringInfo(buf, " alter xid " UINT64_FORMAT " to ", rec->alter_xid);
	rq_settings_print(buf, &rec->staged);
}

static void
desc_topic_drop(StringInfo buf, const void *data)
{
	const xl_rq_topic_drop *rec = data;

	desc_key(buf, rec->key);
}

static void
desc_group(StringInfo buf, const void *data)
{
	const xl_rq_group *rec = data;

	desc_key(buf, rec->key);
	appendStringInfo(buf, " group %u queues %u xid " UINT64_FORMAT " name ",
					 rec->group_id, rec->nqueues, rec->xid);
	rq_append_ascii(buf, (const char *) rec + SizeOfRqGroup +
					rec->nqueues * sizeof(xl_rq_place), rec->name_len);
}

static void
desc_group_drop(StringInfo buf, const void *data)
{
	const xl_rq_group_drop *rec = data;

	desc_key(buf, rec->key);
	appendStringInfo(buf, " group %u xid " UINT64_FORMAT,
					 rec->group_id, rec->xid);
}

static void
desc_trim(StringInfo buf, const void *data)
{
	const xl_rq_trim *rec = data;

	appendStringInfo(buf, "log start " UINT64_FORMAT " queues %u",
					 rec->log_start, rec->count);
}

static void
desc_sync(StringInfo buf, const void *data)
{
	const xl_rq_sync *rec = data;

	appendStringInfo(buf, "redo %X/%X log start " UINT64_FORMAT " end " UINT64_FORMAT,
					 LSN_FORMAT_ARGS(rec->redo), rec->log_start, rec->log_end);
}

/* ---- dispatch ---- */

typedef struct WalType
{
	const char *name;
	uint32		size;			/* of the struct at its head */
	const char *(*check) (const void *data, uint64 len);
	void		(*desc) (StringInfo buf, const void *data);
} WalType;

#define WAL_TYPE(NAME, name) \
	{#NAME, sizeof(xl_rq_##name), check_##name, desc_##name}
#define WAL_RECORD(NAME, name, info, redo) \
	[RQ_WAL_INDEX(info)] = WAL_TYPE(NAME, name),
#define WAL_EXT(NAME, name, kind, redo) \
	[RQ_WAL_EXT_INDEX(kind)] = WAL_TYPE(NAME, name),

static const WalType types[] = {
	RQ_WAL_RECORDS(WAL_RECORD)
	RQ_WAL_EXT_KINDS(WAL_EXT)
};

uint8
rq_wal_version(const void *data, uint32 *len)
{
	if (*len == 0)
		return 0;
	(*len)--;
	return ((const uint8 *) data)[*len];
}

uint16
rq_wal_ext_kind(uint8 info, const void *data, uint64 len)
{
	uint16		kind = 0;

	if ((info & ~XLR_INFO_MASK) == XLOG_RQ_EXT && len >= sizeof(kind))
		memcpy(&kind, data, sizeof(kind));
	return kind;
}

int
rq_wal_index(uint8 info, const void *data, uint64 len)
{
	uint8		bits = info & ~XLR_INFO_MASK;
	int			at = bits != XLOG_RQ_EXT ? RQ_WAL_INDEX(bits) :
	RQ_WAL_EXT_INDEX(rq_wal_ext_kind(info, data, len));

	return at < (int) lengthof(types) && types[at].name != NULL ? at : -1;
}

const char *
rq_wal_check(uint8 info, const void *data, uint64 len)
{
	int			at = rq_wal_index(info, data, len);

	if (at < 0)
		return "it is of an unrecognized type";
	if (len < types[at].size)
		return too_short;
	return types[at].check(data, len);
}

const char *
rq_wal_identify(uint8 info)
{
	uint8		bits = info & ~XLR_INFO_MASK;

	return bits == XLOG_RQ_EXT ? "EXT" : types[RQ_WAL_INDEX(bits)].name;
}

/*
 * Has to bear any record, also one that redo would refuse: nothing is read of
 * it but what rq_wal_check() has accepted.
 */
void
rq_wal_desc(StringInfo buf, XLogReaderState *record)
{
	const void *data = XLogRecGetData(record);
	uint32		len = XLogRecGetDataLen(record);
	uint8		version = rq_wal_version(data, &len);
	uint8		info = XLogRecGetInfo(record);
	const char *problem;
	uint16		kind;
	const WalType *type;

	if (!rq_wal_is_known(version))
	{
		appendStringInfo(buf, "version %u", version);
		return;
	}
	problem = rq_wal_check(info, data, len);
	kind = rq_wal_ext_kind(info, data, len);
	if (problem)
	{
		if (kind != 0)
			appendStringInfo(buf, "kind %u ", kind);
		appendStringInfo(buf, "damaged: %s", problem);
		return;
	}
	type = &types[rq_wal_index(info, data, len)];
	if (kind != 0)
		appendStringInfo(buf, "%s ", type->name);
	type->desc(buf, data);
}
