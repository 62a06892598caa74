/*
 * rq_cqfmt.c
 *	  Tag hash of consume queue entries.
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
