/*
 * rq_walrec.c
 *	  Names and descriptions of WAL records, for pg_walinspect and the server
 *	  log.  They must not touch shared state.
 */
#include "postgres.h"

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
	appendStringInfo(buf, "pos " UINT64_FORMAT " end " UINT64_FORMAT " len %u frames %u",
					 rec->pos, rec->end, rec->len, rec->nframes);
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
	if (rec->resize_xid != 0)
		appendStringInfo(buf, " resize to %u xid " UINT64_FORMAT,
						 rec->resize_to, rec->resize_xid);
}

static void
desc_group(StringInfo buf, const xl_rq_group *rec)
{
	desc_key(buf, rec->key);
	appendStringInfo(buf, " group %u queues %u xid " UINT64_FORMAT " name %.*s",
					 rec->group_id, rec->nqueues, rec->xid,
					 (int) rec->name_len,
					 (const char *) rec + SizeOfRqGroup + rec->nqueues * sizeof(xl_rq_place));
}

void
rq_wal_desc(StringInfo buf, XLogReaderState *record)
{
	const void *rec = XLogRecGetData(record);

	switch (XLogRecGetInfo(record) & ~XLR_INFO_MASK)
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
