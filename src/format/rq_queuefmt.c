/*
 * rq_queuefmt.c
 *	  Tags in consume queue entries: their hash, and what a tag can be.
 */
#include "postgres.h"

#include "common/hashfn.h"

#include "format/rq_queuefmt.h"

/*
 * 0 is the hash of no tag, so a tag that has it gets another one.  The hash is
 * on disk, as those of hash indexes are, so hash_bytes() has to give the same
 * result for as long as the data directory lasts.
 */
uint32
rq_tag_hash(const char *tag, uint32 len)
{
	uint32		h = hash_bytes((const unsigned char *) tag, (int) len);

	return h == 0 ? 1 : h;
}

/*
 * What is refused here could be stored, but no consumer could ask for it.  Only
 * ASCII is looked for, byte by byte: in encodings that a database can have, no
 * other character has such bytes in it.
 */
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
