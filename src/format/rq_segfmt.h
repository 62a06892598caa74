/*
 * rq_segfmt.h
 *	  Header of a commit log segment, and the names of the store's files.
 *
 * A commit log segment begins with 64 bytes:
 *
 *		 0	u32	magic "RQSG"
 *		 4	u32	CRC-32C of bytes 8..63
 *		 8	u32	format version
 *		12	u32	segment size in MB
 *		16	u64	position of the segment's first byte
 *		24		zero
 *
 * The segment's number is position / segment size, and its file is
 * log/<number as 16 hex digits>.  An area file (rq_extfmt.h) is
 * queue/<number as 8 hex digits>.
 */
#ifndef RQ_SEGFMT_H
#define RQ_SEGFMT_H

#include "base/rq_base.h"

#define RQ_SEG_MAGIC		0x52515347
#define RQ_SEG_VERSION		1
#define RQ_SEG_HEADER_SIZE	64

typedef struct RqSegHeader
{
	uint32		magic;
	uint32		crc;
	uint32		version;
	uint32		size_mb;
	uint64		start;
	char		zero[40];
} RqSegHeader;

StaticAssertDecl(sizeof(RqSegHeader) == RQ_SEG_HEADER_SIZE, "on-disk layout");

extern void rq_seg_header_init(RqSegHeader *h, uint32 size_mb, RqPos start);

/* NULL if sound, else what is wrong. */
extern const char *rq_seg_header_check(const RqSegHeader *h, uint32 size_mb,
									   RqPos start);

extern void rq_log_path(char *path, uint64 segno);
extern void rq_area_path(char *path, uint32 area);

/* Parse a file name; false if it is not one of ours. */
extern bool rq_parse_log_name(const char *name, uint64 *segno);
extern bool rq_parse_area_name(const char *name, uint32 *area);

#endif							/* RQ_SEGFMT_H */
