/*
 * make_corpus.c
 *	  Write the corpora of the targets "redo" and "walrec".
 *
 *		make_corpus DIRECTORY
 *
 * State files and WAL records are structs, which get other fields now and
 * then; and bytes of an earlier layout are refused before they reach what they
 * are meant to try.  So the samples are no files, but made here from the structs
 * as they are.  What is meant to be right must pass the checks of format/, and
 * what is meant to be wrong must not.  There must be a right sample of each
 * WAL record and of each kind of record of a state file.
 */
#include "fuzz_format.h"

#include <unistd.h>

#include "format/rq_statefmt.h"
#include "format/rq_walrec.h"

#define WILD32		PG_UINT32_MAX
#define WILD64		PG_UINT64_MAX
#define LOG_END		(1024 * 1024)

static const RqKey key = {.db = 5, .rel = 16384};

static const char *directory;
static bool has_record[RQ_WAL_EXT_INDEX(256)];
static bool has_kind[RQ_STATE_KINDS];

static RqTopicSettings
settings(int32 nqueues)
{
	RqTopicSettings s;

	rq_settings_init(&s);
	s.nqueues = nqueues;
	return s;
}

static void
check(const char *name, const char *part, bool right, const char *problem)
{
	if (right == (problem == NULL))
		return;
	fprintf(stderr, "corpus sample %s: the %s is %s\n", name, part,
			right ? problem : "right, and should not be");
	exit(1);
}

static void
write_sample(const char *target, const char *name, const StringInfoData *bytes)
{
	char	   *path = psprintf("%s/%s/%s", directory, target, name);
	FILE	   *f = fopen(path, "wb");

	if (f == NULL || fwrite(bytes->data, 1, bytes->len, f) != (Size) bytes->len ||
		fclose(f) != 0)
	{
		perror(path);
		exit(1);
	}
	pfree(path);
}

/* ---- records ---- */

typedef struct Record
{
	uint8		info;
	StringInfoData data;
} Record;

static Record
record(uint8 info, const void *data, Size size)
{
	Record		r = {.info = info};

	initStringInfo(&r.data);
	appendBinaryStringInfo(&r.data, data, size);
	return r;
}

/* With "nbytes" of the "span". */
static Record
append(uint64 pos, uint32 span, uint16 segment_mb, int nbytes)
{
	const xl_rq_append rec = {.pos = pos, .span = span, .nframes = 1,
	.segment_mb = segment_mb};
	Record		r = record(XLOG_RQ_APPEND, &rec, sizeof(rec));

	while (nbytes-- > 0)
		appendStringInfoChar(&r.data, 'm');
	return r;
}

/* With "n" entries, whatever "count" says. */
static Record
enqueue(uint32 queue_id, uint64 offset, uint32 count, uint64 xid, int n)
{
	const xl_rq_enqueue rec = {.key = key, .queue_id = queue_id,
	.count = count, .offset = offset, .xid = xid, .enqueued_at = 1000};
	Record		r = record(XLOG_RQ_ENQUEUE, &rec, sizeof(rec));

	for (int i = 0; i < n; i++)
	{
		const xl_rq_entry e = {.pos = 64 + 80 * i, .tag_hash = 7 * i,
		.len_flags = 10};

		appendBinaryStringInfo(&r.data, (const char *) &e, sizeof(e));
	}
	return r;
}

/* Of [0, 2), with "n" ranges, whatever "nranges" says. */
static Record
resolve(uint32 nranges, uint64 first, uint64 count, int n)
{
	const xl_rq_resolve rec = {.key = key, .nranges = nranges, .to = 2};
	const xl_rq_range range = {.first = first, .count = count};
	Record		r = record(XLOG_RQ_RESOLVE, &rec, sizeof(rec));

	while (n-- > 0)
		appendBinaryStringInfo(&r.data, (const char *) &range, sizeof(range));
	return r;
}

/* With "n" items, whatever "count" says, of this queue and those after it. */
static Record
offset(uint32 group_id, uint32 queue_id, uint32 count, uint64 next, int n)
{
	const xl_rq_offset rec = {.key = key, .group_id = group_id,
	.count = count, .xid = 700};
	Record		r = record(XLOG_RQ_OFFSET, &rec, sizeof(rec));

	for (int i = 0; i < n; i++)
	{
		const xl_rq_move move = {.queue_id = queue_id + i, .next = next};

		appendBinaryStringInfo(&r.data, (const char *) &move, sizeof(move));
	}
	return r;
}

static Record
settle(uint32 queue_id, uint32 count, uint64 committed, int n)
{
	const xl_rq_settle rec = {.key = key, .group_id = 1, .count = count};
	Record		r = record(XLOG_RQ_SETTLE, &rec, sizeof(rec));

	for (int i = 0; i < n; i++)
	{
		const xl_rq_settled settled = {.queue_id = queue_id + i,
		.committed = committed};

		appendBinaryStringInfo(&r.data, (const char *) &settled, sizeof(settled));
	}
	return r;
}

static Record
topic(Oid rel, uint32 nslots, int32 committed, int32 staged, uint64 alter_xid)
{
	const xl_rq_topic rec = {.key = {.db = 5, .rel = rel}, .spc = 1663,
		.nslots = nslots, .alter_xid = alter_xid,
	.committed = settings(committed), .staged = settings(staged)};

	return record(XLOG_RQ_TOPIC, &rec, sizeof(rec));
}

static Record
topic_drop(Oid rel)
{
	const xl_rq_topic_drop rec = {.key = {.db = 5, .rel = rel}};

	return record(XLOG_RQ_TOPIC_DROP, &rec, sizeof(rec));
}

/* With "n" places, and all of the name, whatever the numbers say. */
static Record
group(uint32 id, uint32 nqueues, int n, const char *name, uint32 name_len)
{
	const xl_rq_group rec = {.key = key, .group_id = id, .nqueues = nqueues,
	.name_len = name_len};
	const xl_rq_place place = {0};
	Record		r = record(XLOG_RQ_GROUP, &rec, sizeof(rec));

	while (n-- > 0)
		appendBinaryStringInfo(&r.data, (const char *) &place, sizeof(place));
	appendStringInfoString(&r.data, name);
	return r;
}

static Record
group_drop(uint32 id)
{
	const xl_rq_group_drop rec = {.kind = RQ_EXT_GROUP_DROP, .group_id = id,
	.key = key};

	return record(XLOG_RQ_EXT, &rec, sizeof(rec));
}

/* With "n" queues, whatever "count" says. */
static Record
trim(uint64 log_start, uint32 count, uint64 start, int n)
{
	const xl_rq_trim rec = {.log_start = log_start, .count = count};
	Record		r = record(XLOG_RQ_TRIM, &rec, sizeof(rec));

	for (int i = 0; i < n; i++)
	{
		const xl_rq_queue_start s = {.key = key, .queue_id = i,
		.start = start, .bytes_start = start};

		appendBinaryStringInfo(&r.data, (const char *) &s, sizeof(s));
	}
	return r;
}

static Record
sync_done(uint64 log_start, uint64 log_end)
{
	const xl_rq_sync rec = {.kind = RQ_EXT_SYNC, .redo = 1,
	.log_start = log_start, .log_end = log_end};

	return record(XLOG_RQ_EXT, &rec, sizeof(rec));
}

static Record
ext_unknown(void)
{
	const uint16 kind[20] = {PG_UINT16_MAX};

	return record(XLOG_RQ_EXT, kind, sizeof(kind));
}

/* ---- state files ---- */

/* A file of one batch. */
typedef struct State
{
	RqStateHeader h;
	RqStateBatch b;
	StringInfoData records;
	bool		has[RQ_STATE_KINDS];
} State;

/* An empty store, whose log has one segment. */
static State
state_empty(void)
{
	State		s = {.h = {.segment_mb = 1, .id = 7, .store = 8},
	.b = {.flags = RQ_STATE_END, .id = 7, .at = sizeof(RqStateHeader), .seq = 1,
	.upto = 5, .meta_lsn = 5, .log_end = LOG_END, .extent_seq = 20, .extent_chunks = 2,
	.next_group_id = 10}};

	initStringInfo(&s.records);
	return s;
}

static void
add_record(State *s, uint32 kind, uint32 slot, const void *copy)
{
	const RqStateRecord r = {.kind = kind, .slot = slot, .is_free = copy == NULL};

	appendBinaryStringInfo(&s->records, (const char *) &r, sizeof(r));
	if (copy != NULL)
		appendBinaryStringInfo(&s->records, copy, rq_state_slot_size(kind));
	if (kind < RQ_STATE_KINDS)
		s->has[kind] = true;
}

static void
add_gap(State *s, uint64 start, uint64 end)
{
	const RqStateGap gap = {.start = start, .end = end};

	add_record(s, RQ_STATE_GAP, 0, &gap);
}

/* The queue is number "id" of the topic in slot 0. */
static void
add_queue(State *s, uint32 id, uint64 start, uint64 end, uint64 bytes_end)
{
	const RqStateQueue q = {.topic = 0, .id = id, .start = start, .end = end,
	.lsn = 1, .born = 1, .bytes_start = 1, .bytes_end = bytes_end};

	add_record(s, RQ_SLOT_QUEUE, 5 + id, &q);
}

/* In slot 0, with "n" queues, whatever "nslots" says. */
static void
add_topic(State *s, Oid rel, uint32 nslots, int32 nqueues, int n)
{
	const RqStateTopic t = {.key = {.db = 5, .rel = rel}, .spc = 1663,
		.nslots = nslots, .lsn = 1, .alter_lsn = 1,
	.committed = settings(nqueues), .staged = settings(nqueues)};

	add_record(s, RQ_SLOT_TOPIC, 0, &t);
	for (int i = 0; i < n; i++)
		add_queue(s, i, 0, 0, 1);
}

/* In slot "id", with two offsets. */
static void
add_group(State *s, uint32 topic, uint32 id, uint32 pend_op, uint32 name_len)
{
	const RqStateGroup g = {.topic = topic, .id = id,
	.nqueues = 2, .pend_op = pend_op, .name_len = name_len, .name = "g"};

	add_record(s, RQ_SLOT_GROUP, id, &g);
	for (uint32 i = 0; i < 2; i++)
	{
		const RqStateOffset o = {.group = id, .queue_id = i, .lsn = 1};

		add_record(s, RQ_SLOT_OFFSET, 2 * id + i, &o);
	}
}

/* A topic of two queues with a group, and a gap in the log. */
static State
state_used(void)
{
	State		s = state_empty();

	add_gap(&s, 256, 512);
	add_topic(&s, key.rel, 2, 2, 2);
	add_group(&s, 0, 1, 0, 1);
	return s;
}

/* One topic with one queue, which is to be added. */
static State
state_of_queue(void)
{
	State		s = state_empty();

	add_topic(&s, key.rel, 1, 1, 0);
	return s;
}

static bool
read_bytes(void *file, uint64 at, void *to, uint64 size)
{
	const StringInfoData *bytes = file;

	if (at > (uint64) bytes->len || size > (uint64) bytes->len - at)
		return false;
	memcpy(to, bytes->data + at, size);
	return true;
}

/* Add a sync with these records to a file. */
static void
add_sync(StringInfo file, const State *s, uint64 seq)
{
	RqStateBatch b = s->b;
	int			at = file->len;

	b.seq = seq;
	b.at = at;
	b.bytes = sizeof(b) + s->records.len;
	appendBinaryStringInfo(file, (const char *) &b, sizeof(b));
	appendBinaryStringInfo(file, s->records.data, s->records.len);
	rq_state_seal_batch(file->data + at);
}

static const char *
problem_of_file(StringInfo file, RqStateFound *found)
{
	const RqStateSource source = {.file = file, .length = file->len,
	.read = read_bytes};

	return rq_state_check(&source, found);
}

static StringInfoData
file_of(const State *s)
{
	RqStateHeader h = s->h;
	StringInfoData bytes;

	rq_state_seal_header(&h);
	initStringInfo(&bytes);
	appendBinaryStringInfo(&bytes, (const char *) &h, sizeof(h));
	add_sync(&bytes, s, 1);
	return bytes;
}

static const char *
problem_of(const State *s)
{
	StringInfoData bytes = file_of(s);
	RqStateFound found;

	return problem_of_file(&bytes, &found);
}

/* ---- samples ---- */

static void
walrec(const char *name, bool right, Record r)
{
	StringInfoData bytes;

	check(name, "record", right, rq_wal_check(r.info, r.data.data, r.data.len));
	if (right)
		has_record[rq_wal_index(r.info, r.data.data, r.data.len)] = true;
	initStringInfo(&bytes);
	appendStringInfoChar(&bytes, (char) r.info);
	appendBinaryStringInfo(&bytes, r.data.data, r.data.len);
	write_sample("walrec", name, &bytes);
}

/* A state file, and records that follow it: see fuzz_redo.c. */
static void
redo(const char *name, bool right, State s, const Record *records, int n)
{
	uint16		len = sizeof(s.h) + sizeof(s.b) + s.records.len;
	StringInfoData bytes;

	check(name, "state file", right, problem_of(&s));
	for (int i = 0; right && i < RQ_STATE_KINDS; i++)
		has_kind[i] |= s.has[i];
	initStringInfo(&bytes);
	appendBinaryStringInfo(&bytes, (const char *) &len, sizeof(len));
	appendBinaryStringInfo(&bytes, (const char *) &s.h, sizeof(s.h));
	appendBinaryStringInfo(&bytes, (const char *) &s.b, sizeof(s.b));
	appendBinaryStringInfo(&bytes, s.records.data, s.records.len);
	for (int i = 0; i < n; i++)
	{
		len = records[i].data.len;
		appendStringInfoChar(&bytes, (char) records[i].info);
		appendBinaryStringInfo(&bytes, (const char *) &len, sizeof(len));
		appendBinaryStringInfo(&bytes, records[i].data.data, len);
	}
	write_sample("redo", name, &bytes);
}

/* A record alone; and, between others, on a store that it could be about. */
static void
both(const char *name, bool right, Record r)
{
	const Record around[] = {append(64, 80, 1, 80), enqueue(0, 0, 2, 700, 2),
	r, settle(0, 1, 2, 1)};

	walrec(name, right, r);
	redo(name, true, state_used(), around, lengthof(around));
}

static void
make_records(void)
{
	both("append", true, append(64, 80, 1, 80));
	both("append-filler", true, append(64, 8000, 1, 64));
	both("append-at-end", false, append(WILD64 - 79, 72, 1, 64));
	both("append-long", false, append(64, 79, 1, 80));
	both("append-other-segment", true, append(3 * LOG_END + 64, 80, 1, 80));
	both("append-over-end", false, append(LOG_END - 64, 128, 1, 128));
	both("append-size-0", false, append(64, 80, 0, 80));
	both("enqueue", true, enqueue(0, 2, 2, 700, 2));
	both("enqueue-edge", true, enqueue(0, 2047, 2, 0, 2));
	both("enqueue-far", false, enqueue(0, WILD64, 1, 0, 1));
	both("enqueue-around", false, enqueue(0, WILD64, 2, 0, 2));
	both("enqueue-many", false, enqueue(0, 0, WILD32, 0, 1));
	both("resolve", true, resolve(1, 0, 1, 1));
	both("resolve-many", false, resolve(WILD32, 0, 0, 0));
	both("resolve-wild", false, resolve(1, 1, WILD64, 1));
	both("offset", true, offset(1, 0, 2, 2, 2));
	both("offset-alien", true, offset(99, 0, 1, 2, 1));
	both("offset-alien-queue", true, offset(1, 1, 2, 2, 2));
	both("offset-0", false, offset(1, 0, 0, 2, 1));
	both("offset-many", false, offset(1, 0, WILD32, 2, 1));
	both("offset-more", false, offset(1, 0, RQ_OFFSETS_MAX + 1, 2,
									  RQ_OFFSETS_MAX + 1));
	both("offset-short", false, offset(1, 0, 3, 2, 2));
	both("offset-wild", false, offset(1, 0, 2, WILD64, 2));
	both("settle", true, settle(0, 2, 0, 2));
	both("settle-alien-queue", true, settle(70000, 1, 0, 1));
	both("settle-0", false, settle(0, 0, 0, 1));
	both("settle-many", false, settle(0, WILD32, 0, 1));
	both("settle-more", false, settle(0, RQ_OFFSETS_MAX + 1, 0,
									  RQ_OFFSETS_MAX + 1));
	both("settle-short", false, settle(0, 3, 0, 2));
	both("settle-wild", false, settle(0, 1, WILD64, 1));
	both("topic", true, topic(16400, 3, 3, 3, 0));
	both("topic-alter", true, topic(key.rel, 4, 2, 4, 701));
	both("topic-shrink", true, topic(key.rel, 1, 1, 1, 0));
	both("topic-wild", false, topic(key.rel, WILD32, -1, -1, 0));
	both("topic-slots", false, topic(key.rel, 2, 2, 3, 701));
	both("topic-drop", true, topic_drop(key.rel));
	both("topic-drop-0", false, topic_drop(InvalidOid));
	both("group", true, group(2, 2, 2, "billing", 7));
	both("group-0", false, group(0, 2, 2, "zero", 4));
	both("group-name", false, group(2, 1, 1, "b", WILD32));
	both("group-wild", false, group(2, WILD32, 1, "billing", 7));
	both("group-drop", true, group_drop(1));
	both("group-drop-0", false, group_drop(0));
	both("trim", true, trim(LOG_END, 2, 1, 2));
	both("trim-many", false, trim(0, WILD32, 0, 0));
	both("trim-wild", false, trim(UINT64CONST(1) << 63, 1, WILD64, 1));
	both("sync", true, sync_done(0, LOG_END));
	both("sync-backwards", false, sync_done(2, 1));
	both("short", false, record(XLOG_RQ_GROUP, "abc", 3));
	both("unknown", false, record(0x80, "", 0));
	both("ext-short", false, record(XLOG_RQ_EXT, "a", 1));
	both("ext-unknown", false, ext_unknown());
}

/* Stores that live on. */
static void
make_lives(void)
{
	const Record life[] = {append(64, 80, 1, 80), enqueue(0, 0, 2, 700, 2),
		resolve(1, 0, 1, 1), offset(1, 0, 2, 2, 2), settle(0, 2, 2, 2),
		group(2, 2, 2, "billing", 7), topic(16400, 3, 3, 3, 0),
		topic(key.rel, 4, 2, 4, 701), trim(LOG_END, 2, 1, 2), group_drop(1),
	topic_drop(key.rel), sync_done(0, LOG_END)};
	const Record altered[] = {topic(key.rel, 4, 2, 4, 701),
		group(2, 4, 4, "meanwhile", 9), topic(key.rel, 2, 2, 2, 0),
		enqueue(3, 0, 1, 0, 1), topic(key.rel, 4, 2, 4, 702),
	topic(key.rel, 4, 4, 4, 0), settle(3, 1, 3, 1)};
	const Record first[] = {topic(key.rel, 2, 2, 2, 0), append(64, 80, 1, 80),
		enqueue(0, 0, 1, 700, 1), group(1, 2, 2, "g", 1), offset(1, 0, 1, 1, 1),
	settle(0, 1, 1, 1), resolve(1, 0, 1, 1)};
	const Record sizeless = append(64, 80, 0, 80);
	State		empty = state_empty();

	empty.b.log_end = 0;
	redo("life", true, state_used(), life, lengthof(life));
	redo("alter-there-and-back", true, state_used(), altered, lengthof(altered));
	redo("empty", true, empty, first, lengthof(first));
	redo("empty-append-size-0", true, empty, &sizeless, 1);
}

static void
state(const char *name, bool right, State s)
{
	const Record records[] = {append(64, 80, 1, 80), enqueue(0, 0, 2, 700, 2)};

	redo(name, right, s, records, lengthof(records));
}

static void
make_headers(void)
{
	const RqStateRecord high = {.kind = RQ_SLOT_QUEUE, .is_free = 1,
	.slot = RQ_STATE_SLOTS_MAX};
	State		s = state_used();

	s.h.segment_mb = 0;
	state("state-segment-0", false, s);
	s.h.segment_mb = WILD32;
	state("state-segment-wild", false, s);
	s = state_used();
	s.b.log_end = WILD64;
	state("state-log-end", false, s);
	s = state_used();
	s.b.extent_seq = WILD64;
	state("state-extent-seq", false, s);
	s = state_used();
	s.b.extent_chunks = WILD32;
	state("state-extent-chunks", false, s);
	s = state_used();
	s.b.flags = 0;
	state("state-no-end", false, s);
	s = state_used();
	add_record(&s, RQ_STATE_KINDS, 0, NULL);
	state("state-kind-unknown", false, s);
	s = state_used();
	appendBinaryStringInfo(&s.records, (const char *) &high, sizeof(high));
	state("state-slot-high", false, s);
	s = state_used();
	appendStringInfoString(&s.records, "too long");
	state("state-longer", false, s);
	s = state_used();
	s.records.len -= 8;
	state("state-short", false, s);
}

static void
make_topics(void)
{
	State		s = state_empty();

	add_gap(&s, 512, 256);
	state("state-gap-backwards", false, s);
	s = state_empty();
	add_topic(&s, InvalidOid, 1, 1, 1);
	state("state-topic-0", false, s);
	s = state_empty();
	add_topic(&s, key.rel, 1, 2, 1);
	state("state-slots", false, s);
	s = state_empty();
	add_topic(&s, key.rel, 2, 2, 2);
	add_record(&s, RQ_SLOT_TOPIC, 0, NULL);
	state("state-topic-gone", true, s);
	s = state_empty();
	add_topic(&s, key.rel, 40, 40, 40);
	state("state-many-queues", true, s);
	s = state_of_queue();
	state("state-queue-missing", true, s);
	s = state_of_queue();
	add_queue(&s, 0, 0, 0, 0);
	state("state-queue-bytes", false, s);
	s = state_of_queue();
	add_queue(&s, 0, 2, 1, 1);
	state("state-queue-order", false, s);
	s = state_of_queue();
	add_queue(&s, 0, 0, WILD64, 1);
	state("state-queue-wild", false, s);
	s = state_of_queue();
	add_queue(&s, 1, 0, 0, 1);
	state("state-queue-number", true, s);
}

/* A topic of two queues, and two groups, of which the second is as told. */
static void
state_group(const char *name, bool right, uint32 topic, uint32 id, uint32 pend_op,
			uint32 name_len)
{
	State		s = state_used();

	add_group(&s, topic, id, pend_op, name_len);
	state(name, right, s);
}

static void
make_groups(void)
{
	state_group("state-groups", true, 0, 2, 1, 1);
	state_group("state-group-alien", true, 77, 2, 0, 1);
	state_group("state-group-0", false, 0, 0, 0, 1);
	state_group("state-group-next", true, 0, 10, 0, 1);
	state_group("state-group-op", false, 0, 2, 9, 1);
	state_group("state-group-name", false, 0, 2, 0, WILD32);
}

/* ---- tails ---- */

static void
expect(const char *what, int n, bool right)
{
	if (right)
		return;
	fprintf(stderr, "state file, %s %d: not as it should be\n", what, n);
	exit(1);
}

/*
 * A file of three syncs that is cut, or has a byte changed, at each place: up to
 * the last sync that is whole it is good if no later one follows.
 */
static void
check_tails(void)
{
	State		s = state_used();
	StringInfoData whole = file_of(&s);
	int			ends[3] = {whole.len};
	RqStateFound found;

	for (int i = 1; i < 3; i++)
	{
		add_sync(&whole, &s, i + 1);
		ends[i] = whole.len;
	}
	for (int n = 0; n <= whole.len; n++)
	{
		StringInfoData cut = whole;
		int			last = n >= ends[2] ? 2 : n >= ends[1] ? 1 : 0;
		const char *problem;

		cut.len = n;
		problem = problem_of_file(&cut, &found);
		expect("cut to", n, (problem == NULL) == (n >= ends[0]));
		expect("cut to", n, problem != NULL || found.length == (uint64) ends[last]);
	}
	for (int n = 0; n < whole.len; n++)
	{
		const char *problem;

		whole.data[n] ^= 0x10;
		problem = problem_of_file(&whole, &found);
		whole.data[n] ^= 0x10;
		expect("changed at", n, (problem == NULL) == (n >= ends[1]));
		expect("changed at", n, problem != NULL || found.length == (uint64) ends[1]);
	}
}

/*
 * A second sync of two batches counts only if they are of one attempt, and of
 * the sync.
 */
static void
check_attempts(void)
{
	for (int i = 0; i < 4; i++)
	{
		State		s = state_used();
		StringInfoData whole = file_of(&s);
		int			image = whole.len;
		uint32		attempt = i & 1;
		uint32		seq = 2 + (i >> 1);
		RqStateFound found;

		s.b.attempt = 7;
		s.b.flags = 0;
		add_sync(&whole, &s, 2);
		s.b.attempt += attempt;
		s.b.flags = RQ_STATE_END;
		add_sync(&whole, &s, seq);
		expect("attempt", i, (problem_of_file(&whole, &found) == NULL) == (seq == 2));
		expect("attempt", i, seq != 2 ||
			   found.length == (uint64) (attempt == 0 ? whole.len : image));
	}
}

/* ---- all ---- */

static void
check_all_there(void)
{
#define CHECK_RECORD(NAME, name, info, redo) \
	check(#NAME, "record", true, \
		  has_record[RQ_WAL_INDEX(info)] ? NULL : "without a right sample");
#define CHECK_EXT(NAME, name, kind, redo) \
	check(#NAME, "record", true, \
		  has_record[RQ_WAL_EXT_INDEX(kind)] ? NULL : "without a right sample");
	RQ_WAL_RECORDS(CHECK_RECORD)
	RQ_WAL_EXT_KINDS(CHECK_EXT)
	for (int i = 0; i < RQ_STATE_KINDS; i++)
		check(psprintf("%d", i), "kind of slot", true,
			  has_kind[i] ? NULL : "without a right sample");
}

int
main(int argc, char **argv)
{
	if (argc != 2)
	{
		fprintf(stderr, "usage: make_corpus DIRECTORY\n");
		return 2;
	}
	directory = argv[1];
	make_records();
	make_lives();
	make_headers();
	make_topics();
	make_groups();
	check_tails();
	check_attempts();
	check_all_there();
	return 0;
}
