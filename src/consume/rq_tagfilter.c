/*
 * rq_tagfilter.c
 *	  Tag filters: "*", or tags joined by ||.
 *
 * The hash of the tag, which the entry has, sorts out most messages without
 * reading the log.  Tags can share a hash, so in the end the tag itself
 * decides.  A filter can have many tags, and is asked for each entry; so they
 * are in the order of their hashes, and searched by halving.
 */
#include "postgres.h"

#include "common/hashfn.h"

#include "consume/rq_tagfilter.h"

typedef struct FilterTag
{
	const char *tag;
	uint32		len;
	uint32		hash;
} FilterTag;

typedef struct TagFilter
{
	RqFilter	filter;
	int			ntags;			/* 0 = every message */
	FilterTag	tags[FLEXIBLE_ARRAY_MEMBER];	/* in order of their hashes */
} TagFilter;

static void
report_malformed(const char *expression, const char *why)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid tag filter \"%s\"", expression),
			 errdetail_internal("%s", _(why)),
			 errhint("Use '*' for all messages, or tags joined by ||, such as 'paid || shipped'.")));
}

static void
report_too_many(int ntags)
{
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("too many tags in tag filter"),
			 errdetail("The filter has %d tags, but only %d are allowed.",
					   ntags, RQ_FILTER_TAGS_MAX),
			 errhint("Use '*' and skip unwanted messages after reading them, or give messages that are read together a common tag.")));
}

static int
compare_hashes(const void *a, const void *b)
{
	const FilterTag *x = a;
	const FilterTag *y = b;

	return x->hash < y->hash ? -1 : x->hash > y->hash;
}

/* The first tag whose hash is not below this one, ntags if there is none. */
static int
first_from(const TagFilter *f, uint32 hash)
{
	int			low = 0;
	int			high = f->ntags;

	while (low < high)
	{
		int			mid = low + (high - low) / 2;

		if (f->tags[mid].hash < hash)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static void
add_tag(TagFilter *f, const char *expression, const char *from, const char *to)
{
	FilterTag  *t = &f->tags[f->ntags++];
	const char *problem;

	while (from < to && rq_is_blank(*from))
		from++;
	while (to > from && rq_is_blank(to[-1]))
		to--;
	problem = rq_tag_problem(from, to - from);
	if (problem != NULL)
		report_malformed(expression, problem);
	t->tag = from;
	t->len = to - from;
	t->hash = rq_tag_hash(t->tag, t->len);
}

/* ---- RqFilter ---- */

static bool
match_entry(const RqFilter *filter, const RqEntry *e)
{
	const TagFilter *f = (const TagFilter *) filter;
	int			i = first_from(f, e->tag_hash);

	return i < f->ntags && f->tags[i].hash == e->tag_hash;
}

/*
 * Several tags of the filter can have the message's hash: compare all of them.
 */
static bool
match_message(const RqFilter *filter, const RqParts *m)
{
	const TagFilter *f = (const TagFilter *) filter;
	uint32		hash;

	if (m->tag == NULL)
		return false;
	hash = rq_tag_hash(m->tag, m->tag_len);
	for (int i = first_from(f, hash);
		 i < f->ntags && f->tags[i].hash == hash; i++)
		if (f->tags[i].len == m->tag_len &&
			memcmp(f->tags[i].tag, m->tag, m->tag_len) == 0)
			return true;
	return false;
}

static void
wake_tags(const RqFilter *filter, RqWakeTags *tags)
{
	const TagFilter *f = (const TagFilter *) filter;

	for (int i = 0; i < f->ntags; i++)
		rq_wake_tags_add(tags, f->tags[i].hash);
}

/*
 * Of all the tags, with their lengths, so that no other filter has it: who
 * waits with the one is not woken when somebody with the other has been.
 */
static uint64
filter_id(const TagFilter *f)
{
	uint64		id = 0;

	for (int i = 0; i < f->ntags; i++)
		id = hash_combine64(id, hash_bytes_extended((const unsigned char *) f->tags[i].tag,
													(int) f->tags[i].len, f->tags[i].len));
	return id == 0 ? 1 : id;
}

/* "*" sets neither id nor functions: every message matches. */
RqFilter *
rq_tagfilter_parse(const char *expression)
{
	int			n = 1;
	TagFilter  *f;
	const char *from = expression;
	const char *bar;

	for (const char *p = expression; (p = strstr(p, "||")) != NULL; p += 2)
		n++;
	if (n > RQ_FILTER_TAGS_MAX)
		report_too_many(n);
	f = palloc0(offsetof(TagFilter, tags) + n * sizeof(FilterTag));
	if (strcmp(expression, "*") == 0)
		return &f->filter;
	f->filter.match_entry = match_entry;
	f->filter.match_message = match_message;
	f->filter.wake_tags = wake_tags;
	while ((bar = strstr(from, "||")) != NULL)
	{
		add_tag(f, expression, from, bar);
		from = bar + 2;
	}
	add_tag(f, expression, from, from + strlen(from));
	qsort(f->tags, f->ntags, sizeof(FilterTag), compare_hashes);
	f->filter.id = filter_id(f);
	return &f->filter;
}
