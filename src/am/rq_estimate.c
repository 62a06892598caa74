/*
 * rq_estimate.c
 *	  Estimate a topic's size for the planner.
 *
 * The number of messages is known.  Their lengths are measured on a few of them,
 * evenly spread: this happens each time a query is planned, so it has to be
 * cheap, and must not fail on damage that the query may never encounter.
 */
#include "postgres.h"

#include <math.h>

#include "optimizer/plancat.h"
#include "utils/array.h"
#include "utils/rel.h"

#include "am/rq_estimate.h"
#include "format/rq_framefmt.h"
#include "log/rq_log.h"
#include "queue/rq_entry.h"
#include "topic/rq_topic.h"
#include "value/rq_columns.h"
#include "value/rq_relation.h"

/* How many messages are measured, at most one more. */
#define MEASURED		24

/* Sums over the messages measured. */
typedef struct Measure
{
	int			count;
	double		frame_bytes;
	double		width[RQ_NCOLUMNS];
} Measure;

static uint64
count_queue(RqQueue *q, RqOff *start)
{
	uint64		stable = pg_atomic_read_u64(&q->stable);

	*start = pg_atomic_read_u64(&q->start);
	return stable > *start ? stable - *start : 0;
}

uint64
rq_relation_count(uint32 topic)
{
	uint64		count = 0;
	RqOff		start;

	if (topic == RQ_NO_SLOT)
		return 0;
	for (uint32 i = 0; i < rq_topic_nqueues(topic); i++)
		count += count_queue(rq_topic_queue(topic, i), &start);
	return count;
}

/* Add the widths of a message's variable-length columns; null has none. */
static void
add_message(Measure *m, RqQueue *q, RqOff off)
{
	RqEntry		e;
	RqFrame		f;

	if (!rq_queue_probe(q, off, &e) ||
		!rq_log_peek(e.pos, RQ_ENTRY_FRAME_LEN(&e), &f))
		return;
	m->count++;
	m->frame_bytes += f.len;
	m->width[RQ_COL_BODY] += VARHDRSZ + f.body_len;
	if (f.flags & RQ_FRAME_HAS_TAG)
		m->width[RQ_COL_TAG] += VARHDRSZ + f.tag_len;
	if (f.flags & RQ_FRAME_HAS_SHARDING)
		m->width[RQ_COL_SHARDING_KEY] += VARHDRSZ + f.sharding_len;
	if (f.flags & RQ_FRAME_HAS_KEYS)
		m->width[RQ_COL_KEYS] += ARR_OVERHEAD_NONULLS(1) + f.keys_len;
	if (f.flags & RQ_FRAME_HAS_PROPERTIES)
		m->width[RQ_COL_PROPERTIES] += VARHDRSZ + f.properties_len;
}

/* Measure messages at equal distances among the topic's "total" messages. */
static void
measure_messages(Measure *m, uint32 topic, uint64 total)
{
	uint64		each = Max(total / MEASURED, 1);
	uint64		next = each / 2;	/* the message to measure next */
	uint64		passed = 0;

	memset(m, 0, sizeof(*m));
	if (total == 0)
		return;
	for (uint32 i = 0; i < rq_topic_nqueues(topic); i++)
	{
		RqQueue    *q = rq_topic_queue(topic, i);
		RqOff		start;
		uint64		count = count_queue(q, &start);

		for (; next < Min(passed + count, total); next += each)
			add_message(m, q, start + (next - passed));
		passed += count;
	}
}

/* Fixed-width columns are left to PostgreSQL. */
static void
set_widths(const Measure *m, int32 *attr_widths)
{
	for (int i = 0; i < RQ_NCOLUMNS; i++)
	{
		bool		varies = i == RQ_COL_TAG || i == RQ_COL_KEYS ||
		i == RQ_COL_SHARDING_KEY || i == RQ_COL_PROPERTIES ||
		i == RQ_COL_BODY;

		if (varies)
			attr_widths[i + 1] = (int32) Max(rint(m->width[i] / m->count), 1.0);
	}
}

void
rq_relation_estimate_size(Relation rel, int32 *attr_widths,
						  BlockNumber *pages, double *tuples,
						  double *allvisfrac)
{
	uint32		topic;
	uint64		count;
	double		bytes;
	Measure		m;

	rq_require_preload();
	topic = rq_relation_topic(rel, RQ_STORAGE_OPTIONAL);
	count = rq_relation_count(topic);
	measure_messages(&m, topic, count);
	if (m.count > 0)
	{
		bytes = m.frame_bytes / m.count;
		if (attr_widths)
			set_widths(&m, attr_widths);
	}
	else
		bytes = get_rel_data_width(rel, attr_widths) + RQ_FRAME_HEADER_SIZE;
	bytes = count * (bytes + sizeof(RqEntry));
	*pages = (BlockNumber) Min(bytes / BLCKSZ + 1, MaxBlockNumber);
	*tuples = count;
	*allvisfrac = 0;
}
