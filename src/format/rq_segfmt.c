/*
 * rq_segfmt.c
 *	  Segment headers and file names.  Pure functions: no I/O, no locks.
 */
#include "postgres.h"

#include "port/pg_crc32c.h"

#include "format/rq_segfmt.h"

/* Covers all after the checksum itself; the magic number comes before it. */
static pg_crc32c
header_crc(const RqSegHeader *h)
{
	pg_crc32c	crc;

	INIT_CRC32C(crc);
	COMP_CRC32C(crc, (const char *) h + offsetof(RqSegHeader, version),
				sizeof(RqSegHeader) - offsetof(RqSegHeader, version));
	FIN_CRC32C(crc);
	return crc;
}

void
rq_seg_header_init(RqSegHeader *h, uint32 size_mb, RqPos start)
{
	memset(h, 0, sizeof(*h));
	h->magic = RQ_SEG_MAGIC;
	h->version = RQ_SEG_VERSION;
	h->size_mb = size_mb;
	h->start = start;
	h->crc = header_crc(h);
}

/*
 * The checksum before the fields that it covers: if it does not match, what
 * they say has no meaning.  A header that is whole can still be that of another
 * segment, whose file was put here.
 */
const char *
rq_seg_header_check(const RqSegHeader *h, uint32 size_mb, RqPos start)
{
	if (h->magic != RQ_SEG_MAGIC)
		return "the segment header has a wrong magic number";
	if (h->crc != header_crc(h))
		return "the segment header's checksum does not match";
	if (h->version != RQ_SEG_VERSION)
		return "the segment header has an unrecognized format version";
	if (h->size_mb != size_mb)
		return "the segment header has another segment size";
	if (h->start != start)
		return "the segment header belongs to another position";
	return NULL;
}

/* Digits are padded with zeros, so that names sort in the order of the log. */
void
rq_log_path(char *path, uint64 segno)
{
	snprintf(path, MAXPGPATH, RQ_LOG_DIR "/%016llX",
			 (unsigned long long) segno);
}

void
rq_area_path(char *path, uint32 area)
{
	snprintf(path, MAXPGPATH, RQ_QUEUE_DIR "/%08X", area);
}

/*
 * sscanf() accepts more than we write: blanks, signs, fewer digits, anything
 * that follows.  So a name is ours only if it is the one that its numbers are
 * written as.  The same goes for the names below.
 */
bool
rq_parse_log_name(const char *name, uint64 *segno)
{
	unsigned long long n;
	char		again[32];

	if (sscanf(name, "%16llX", &n) != 1)
		return false;
	snprintf(again, sizeof(again), "%016llX", n);
	*segno = n;
	return strcmp(again, name) == 0;
}

bool
rq_parse_area_name(const char *name, uint32 *area)
{
	char		again[16];

	if (sscanf(name, "%8X", area) != 1)
		return false;
	snprintf(again, sizeof(again), "%08X", *area);
	return strcmp(again, name) == 0;
}
