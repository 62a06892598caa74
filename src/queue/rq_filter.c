/*
 * rq_filter.c
 *	  Tag filters.  The hash in the entry sorts out most messages without
 *	  touching the log; the tag itself decides.
 */
#include "postgres.h"

#include "queue/rq_filter.h"

typedef struct FilterTag
{
	const char *tag;
	uint32		len;
	uint32		hash;
} FilterTag;

const char *
rq_tag_problem(const char *tag, uint32 len)
{
	if (len == 0)
		return "A tag cannot be empty.";
	if (len > RQ_TAG_MAX)
		return "A tag cannot have more than " CppAsString2(RQ_TAG_MAX) " bytes.";
	if (len == 1 && tag[0] == '*')
		return "A tag cannot be *, which alone stands for every message.";
	if (rq_is_blank(tag[0]) || rq_is_blank(tag[len - 1]))
		return "A tag cannot begin or end with a blank, which filters leave out.";
	if (memchr(tag, '|', len))
		return "A tag cannot contain |, which joins tags in filters.";
	return NULL;
}

struct RqFilter
{
	int			ntags;			/* 0 = every message */
	FilterTag	tags[FLEXIBLE_ARRAY_MEMBER];
};

static void
report_malformed(const char *expression, const char *why)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid tag filter \"%s\"", expression),
			 errdetail_internal("%s", _(why)),
			 errhint("Write '*' for every message, or tags joined by ||, such as 'paid || shipped'.")));
}

static void
add_tag(RqFilter *f, const char *expression, const char *from, const char *to)
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

RqFilter *
rq_filter_parse(const char *expression)
{
	int			n = 1;
	RqFilter   *f;
	const char *from = expression;
	const char *bar;

	for (const char *p = expression; (p = strstr(p, "||")) != NULL; p += 2)
		n++;
	f = palloc0(offsetof(RqFilter, tags) + n * sizeof(FilterTag));
	if (strcmp(expression, "*") == 0)
		return f;
	while ((bar = strstr(from, "||")) != NULL)
	{
		add_tag(f, expression, from, bar);
		from = bar + 2;
	}
	add_tag(f, expression, from, from + strlen(from));
	return f;
}

bool
rq_filter_entry(const RqFilter *f, const RqEntry *e)
{
	for (int i = 0; i < f->ntags; i++)
		if (f->tags[i].hash == e->tag_hash)
			return true;
	return f->ntags == 0;
}

bool
rq_filter_message(const RqFilter *f, const RqParts *m)
{
	for (int i = 0; i < f->ntags; i++)
		if (m->tag != NULL && f->tags[i].len == m->tag_len &&
			memcmp(f->tags[i].tag, m->tag, m->tag_len) == 0)
			return true;
	return f->ntags == 0;
}

uint32
rq_filter_tags(const RqFilter *f, uint32 *hashes, uint32 max)
{
	if ((uint32) f->ntags > max)
		return 0;
	for (int i = 0; i < f->ntags; i++)
		hashes[i] = f->tags[i].hash;
	return f->ntags;
}
