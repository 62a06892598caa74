/*
 * rq_cqfmt.c
 *	  Tags in consume queue entries: their hash, and what a tag can be.
 */
#include "postgres.h"

#include "common/hashfn.h"

#include "format/rq_cqfmt.h"

uint32
rq_tag_hash(const char *tag, uint32 len)
{
	uint32		h = hash_bytes((const unsigned char *) tag, (int) len);

	return h == 0 ? 1 : h;
}

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
