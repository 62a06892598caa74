/*
 * rq_walrec.c
 *	  Check WAL records, and name and describe them for pg_walinspect and the
 *	  server log.  Nothing here may touch shared state.
 */
#include "postgres.h"

#include "base/rq_text.h"
#include "format/rq_segfmt.h"
#include "format/rq_walrec.h"

const char *
rq_wal_identify(uint8 info)
{
#define RQ_WAL_NAME(symbol, bits, name) case bits: return name;
	switch (info & ~XLR_INFO_MASK)
	{
			RQ_WAL_RECORDS(RQ_WAL_NAME)
	}
	return NULL;
}

/* ---- check ---- */

/*
 * Has the record the length of its struct and of "count" items behind it?  The
 * struct is at the head of the data, so its counts may be read once its own
 * length is known to be there.
 */
#define HAS(type)	(len >= sizeof(type))
#define HAS_WITH(type, count, item) \
	(HAS(type) && \
	 len - sizeof(type) >= (uint64) ((const type *) data)->count * sizeof(item))

/* The bytes must lie in one segment, behind its header. */
static bool
append_fits(const xl_rq_append *rec, uint64 len)
{
	uint64		size = (uint64) rec->segment_mb * 1024 * 1024;

	return RQ_SEGMENT_MB_OK(rec->segment_mb) &&
		rec->span > 0 && rec->pos <= RQ_NUMBER_MAX - rec->span &&
		rec->pos % size >= RQ_SEG_HEADER_SIZE &&
		rec->span <= size - rec->pos % size &&
		len - sizeof(*rec) <= rec->span;
}

static bool
enqueue_fits(const xl_rq_enqueue *rec)
{
	return rec->count > 0 && rec->count <= RQ_ENQUEUE_MAX &&
		rec->offset <= RQ_NUMBER_MAX - rec->count;
}

static bool
resolve_fits(const xl_rq_resolve *rec)
{
	const xl_rq_range *ranges = (const xl_rq_range *) (rec + 1);

	if (rec->from > rec->to || rec->to > RQ_NUMBER_MAX)
		return false;
	for (uint32 i = 0; i < rec->nranges; i++)
		if (ranges[i].first < rec->from || ranges[i].first > rec->to ||
			ranges[i].count > rec->to - ranges[i].first)
			return false;
	return true;
}

static bool
topic_fits(const xl_rq_topic *rec)
{
	return rec->key.rel != InvalidOid && rec->nslots <= RQ_QUEUES_MAX &&
		rec->nqueues <= rec->nslots && rec->resize_to <= rec->nslots &&
		rec->retention_s >= RQ_RETENTION_DEFAULT &&
		rec->retention_to >= RQ_RETENTION_DEFAULT;
}

static bool
group_fits(const xl_rq_group *rec, uint64 len)
{
	const xl_rq_place *places = (const xl_rq_place *) (rec + 1);

	if (rec->group_id == 0 || rec->nqueues > RQ_QUEUES_MAX ||
		rec->name_len == 0 || rec->name_len > RQ_GROUP_NAME_MAX ||
		len - sizeof(*rec) - rec->nqueues * sizeof(*places) < rec->name_len)
		return false;
	for (uint32 i = 0; i < rec->nqueues; i++)
		if (places[i].offset > RQ_NUMBER_MAX)
			return false;
	return true;
}

static bool
trim_fits(const xl_rq_trim *rec)
{
	const xl_rq_queue_start *starts = (const xl_rq_queue_start *) (rec + 1);

	if (rec->log_start > RQ_NUMBER_MAX)
		return false;
	for (uint32 i = 0; i < rec->count; i++)
		if (starts[i].start > RQ_NUMBER_MAX ||
			starts[i].bytes_start > RQ_NUMBER_MAX)
			return false;
	return true;
}

static bool
offset_fits(const xl_rq_offset *rec)
{
	return rec->base <= RQ_NUMBER_MAX && rec->next <= RQ_NUMBER_MAX;
}

static bool
is_long_enough(uint8 info, const void *data, uint64 len)
{
	switch (info & ~XLR_INFO_MASK)
	{
		case XLOG_RQ_APPEND:
			return HAS(xl_rq_append);
		case XLOG_RQ_ENQUEUE:
			return HAS_WITH(xl_rq_enqueue, count, xl_rq_entry);
		case XLOG_RQ_RESOLVE:
			return HAS_WITH(xl_rq_resolve, nranges, xl_rq_range);
		case XLOG_RQ_OFFSET:
			return HAS(xl_rq_offset);
		case XLOG_RQ_SETTLE:
			return HAS(xl_rq_settle);
		case XLOG_RQ_TOPIC:
			return HAS(xl_rq_topic);
		case XLOG_RQ_TOPIC_DROP:
			return HAS(xl_rq_topic_drop);
		case XLOG_RQ_GROUP:
			return HAS_WITH(xl_rq_group, nqueues, xl_rq_place);
		case XLOG_RQ_GROUP_DROP:
			return HAS(xl_rq_group_drop);
		case XLOG_RQ_TRIM:
			return HAS_WITH(xl_rq_trim, count, xl_rq_queue_start);
		case XLOG_RQ_SYNC:
			return HAS(xl_rq_sync);
	}
	return true;
}

static bool
is_within_bounds(uint8 info, const void *data, uint64 len)
{
	switch (info & ~XLR_INFO_MASK)
	{
		case XLOG_RQ_APPEND:
			return append_fits(data, len);
		case XLOG_RQ_ENQUEUE:
			return enqueue_fits(data);
		case XLOG_RQ_RESOLVE:
			return resolve_fits(data);
		case XLOG_RQ_OFFSET:
			return offset_fits(data);
		case XLOG_RQ_SETTLE:
			return ((const xl_rq_settle *) data)->committed <= RQ_NUMBER_MAX;
		case XLOG_RQ_TOPIC:
			return topic_fits(data);
		case XLOG_RQ_GROUP:
			return group_fits(data, len);
		case XLOG_RQ_TRIM:
			return trim_fits(data);
	}
	return true;
}

const char *
rq_wal_check(uint8 info, const void *data, uint64 len)
{
	if (rq_wal_identify(info) == NULL)
		return "it is of an unrecognized type";
	if (!is_long_enough(info, data, len))
		return "it is too short";
	if (!is_within_bounds(info, data, len))
		return "its numbers are out of bounds";
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
desc_append(StringInfo buf, const xl_rq_append *rec)
{
	appendStringInfo(buf, "pos " UINT64_FORMAT " end " UINT64_FORMAT " frames %u",
					 rec->pos, rec->pos + rec->span, rec->nframes);
}

static void
desc_enqueue(StringInfo buf, const xl_rq_enqueue *rec)
{
	desc_queue(buf, rec->key, rec->queue_id);
	appendStringInfo(buf, " offset " UINT64_FORMAT " count %u xid " UINT64_FORMAT,
					 rec->offset, rec->count, rec->xid);
}

static void
desc_resolve(StringInfo buf, const xl_rq_resolve *rec)
{
	desc_queue(buf, rec->key, rec->queue_id);
	appendStringInfo(buf, " from " UINT64_FORMAT " to " UINT64_FORMAT " aborted ranges %u",
					 rec->from, rec->to, rec->nranges);
}

static void
desc_offset(StringInfo buf, const xl_rq_offset *rec)
{
	desc_queue(buf, rec->key, rec->queue_id);
	appendStringInfo(buf, " group %u base " UINT64_FORMAT " next " UINT64_FORMAT " xid " UINT64_FORMAT,
					 rec->group_id, rec->base, rec->next, rec->xid);
}

static void
desc_settle(StringInfo buf, const xl_rq_settle *rec)
{
	desc_queue(buf, rec->key, rec->queue_id);
	appendStringInfo(buf, " group %u committed " UINT64_FORMAT,
					 rec->group_id, rec->committed);
}

static void
desc_topic(StringInfo buf, const xl_rq_topic *rec)
{
	desc_key(buf, rec->key);
	appendStringInfo(buf, " queues %u xid " UINT64_FORMAT,
					 rec->nqueues, rec->xid);
	if (rec->retention_s != RQ_RETENTION_DEFAULT)
		appendStringInfo(buf, " retention %d", rec->retention_s);
	if (rec->alter_xid != 0)
		appendStringInfo(buf, " resize to %u retention %d xid " UINT64_FORMAT,
						 rec->resize_to, rec->retention_to, rec->alter_xid);
}

static void
desc_group(StringInfo buf, const xl_rq_group *rec)
{
	desc_key(buf, rec->key);
	appendStringInfo(buf, " group %u queues %u xid " UINT64_FORMAT " name ",
					 rec->group_id, rec->nqueues, rec->xid);
	rq_append_ascii(buf, (const char *) rec + SizeOfRqGroup +
					rec->nqueues * sizeof(xl_rq_place), rec->name_len);
}

void
rq_wal_desc(StringInfo buf, XLogReaderState *record)
{
	const void *rec = XLogRecGetData(record);
	uint8		info = XLogRecGetInfo(record);
	const char *problem = rq_wal_check(info, rec, XLogRecGetDataLen(record));

	if (problem)
	{
		appendStringInfo(buf, "damaged: %s", problem);
		return;
	}
	switch (info & ~XLR_INFO_MASK)
	{
		case XLOG_RQ_APPEND:
			desc_append(buf, rec);
			break;
		case XLOG_RQ_ENQUEUE:
			desc_enqueue(buf, rec);
			break;
		case XLOG_RQ_RESOLVE:
			desc_resolve(buf, rec);
			break;
		case XLOG_RQ_OFFSET:
			desc_offset(buf, rec);
			break;
		case XLOG_RQ_SETTLE:
			desc_settle(buf, rec);
			break;
		case XLOG_RQ_TOPIC:
			desc_topic(buf, rec);
			break;
		case XLOG_RQ_TOPIC_DROP:
			desc_key(buf, ((const xl_rq_topic_drop *) rec)->key);
			break;
		case XLOG_RQ_GROUP:
			desc_group(buf, rec);
			break;
		case XLOG_RQ_GROUP_DROP:
			desc_key(buf, ((const xl_rq_group_drop *) rec)->key);
			appendStringInfo(buf, " group %u xid " UINT64_FORMAT,
							 ((const xl_rq_group_drop *) rec)->group_id,
							 ((const xl_rq_group_drop *) rec)->xid);
			break;
		case XLOG_RQ_TRIM:
			appendStringInfo(buf, "log start " UINT64_FORMAT " queues %u",
							 ((const xl_rq_trim *) rec)->log_start,
							 ((const xl_rq_trim *) rec)->count);
			break;
		case XLOG_RQ_SYNC:
			appendStringInfo(buf, "redo %X/%X log start " UINT64_FORMAT " end " UINT64_FORMAT,
							 LSN_FORMAT_ARGS(((const xl_rq_sync *) rec)->redo),
							 ((const xl_rq_sync *) rec)->log_start,
							 ((const xl_rq_sync *) rec)->log_end);
			break;
	}
}
