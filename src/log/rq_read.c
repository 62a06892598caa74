/*
 * rq_read.c
 *	  Read frames of the commit log.
 *
 * Given that readers take no lock, how do they know that the bytes at a
 * position are a frame, whole and still there?  They have the position from a
 * queue entry, which is published after its frame; or they walk the log no
 * further than where it is known to be complete.  A frame can be trimmed away
 * under a reader: its bytes are then zero, but the log's start was raised
 * before.  So whoever copies from a frame checks the start again afterwards,
 * and what is wrong with a frame counts only if it has not been trimmed.
 */
#include "postgres.h"

#include "base/rq_error.h"
#include "base/rq_fault.h"
#include "format/rq_segfmt.h"
#include "log/rq_log.h"
#include "shmem/rq_shmem.h"
#include "store/rq_map.h"

#define CACHE_LINE		64
#define PREFETCH_MAX	(8 * CACHE_LINE)

static const char no_segment[] = "the segment's file is missing, too short or cannot be read";

static const char *
missing_segment(RqPos pos)
{
	char		path[MAXPGPATH];

	rq_log_path(path, rq_log_segno(pos));
	return psprintf("file \"%s\" is missing", path);
}

/*
 * Map and check a frame.  NULL if it is a message of this length, else what is
 * wrong, which may be only that it has been trimmed.
 */
static const char *
find_frame(RqPos pos, uint32 len, RqMapMode mode, RqFrame *frame, RqParts *parts)
{
	const uint64 size = rq_log->segment_size;
	uint64		in_segment = rq_log_in_segment(pos);
	const char *problem;
	char	   *base;

	base = rq_map_log(rq_log_segno(pos), size, mode, false);
	if (base == NULL)
		return mode == RQ_MAP_PROBE ? no_segment : missing_segment(pos);
	problem = rq_frame_check(base + in_segment, size - in_segment, pos, parts);
	if (problem)
		return problem;
	memcpy(frame, base + in_segment, sizeof(*frame));
	if (frame->kind != RQ_FRAME_MESSAGE)
		return "the frame is filler, not a message";
	if (frame->len != len)
		return "the frame has another length than its queue entry says";
	return NULL;
}

static bool
is_trimmed(RqPos pos)
{
	/*
	 * What was read so far before the log's start: bytes that a trim has
	 * zeroed are not seen without the start that it raised before.  Pairs
	 * with rq_log_remove_trimmed().
	 */
	pg_read_barrier();
	return pos < pg_atomic_read_u64(&rq_log->start);
}

void
rq_log_check_kept(RqPos pos)
{
	if (unlikely(is_trimmed(pos)))
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("message " UINT64_FORMAT " was removed by retention while it was being read",
						pos),
				 errhint("Repeat the query, or raise rocketq.retention_time.")));
}

/*
 * False with "*problem" NULL if the frame has been trimmed.  That is checked
 * before, so that the file of a trimmed frame is not missed, and again after
 * something was wrong, since a trim may have come in between.
 */
static bool
read_frame(RqPos pos, uint32 len, RqMapMode mode, RqFrame *frame,
		   RqParts *parts, const char **problem)
{
	*problem = NULL;
	/* An entry of zeros, never written, must not pass for a trimmed one. */
	if (pos % 8 != 0 || rq_log_in_segment(pos) < RQ_SEG_HEADER_SIZE)
		*problem = "the position is not that of a frame";
	if (*problem || is_trimmed(pos))
		return false;
	*problem = find_frame(pos, len, mode, frame, parts);
	if (*problem == NULL)
		return true;
	if (is_trimmed(pos))
		*problem = NULL;
	return false;
}

bool
rq_log_probe(RqPos pos, uint32 len, RqFrame *frame, RqParts *parts,
			 const char **problem)
{
	return read_frame(pos, len, RQ_MAP_PROBE, frame, parts, problem);
}

bool
rq_log_read(RqPos pos, uint32 len, RqFrame *frame, RqParts *parts)
{
	const char *problem;

	if (read_frame(pos, len, RQ_MAP_READ, frame, parts, &problem))
	{
		RQ_FAULT("message-found");
		return true;
	}
	if (problem)
		rq_report_corruption(psprintf("message " UINT64_FORMAT, pos), problem);
	return false;
}

/*
 * Only from the mapping that was used last: a hint must not map a file, nor
 * change which mappings are kept.
 */
void
rq_log_prefetch(RqPos pos, uint32 len)
{
	const char *base = rq_map_log_again(rq_log_segno(pos));

	if (base == NULL)
		return;
	base += rq_log_in_segment(pos);
	for (uint32 at = 0; at < Min(len, PREFETCH_MAX); at += CACHE_LINE)
		rq_prefetch(base + at);
}

bool
rq_log_peek(RqPos pos, uint32 len, RqFrame *frame)
{
	const uint64 size = rq_log->segment_size;
	uint64		in_segment = rq_log_in_segment(pos);
	char	   *base;

	if (pos % 8 != 0 || in_segment < RQ_SEG_HEADER_SIZE ||
		in_segment + sizeof(*frame) > size)
		return false;
	base = rq_map_log(rq_log_segno(pos), size, RQ_MAP_PROBE, false);
	if (base == NULL)
		return false;
	memcpy(frame, base + in_segment, sizeof(*frame));
	return frame->magic == RQ_FRAME_MAGIC && frame->pos == pos &&
		frame->kind == RQ_FRAME_MESSAGE && frame->len == len &&
		(uint64) frame->body_len + frame->properties_len + frame->keys_len <= len;
}

/*
 * After bytes that are no frame, nothing in the segment says where the next
 * frame begins; so the walk goes on with the next segment.
 */
bool
rq_log_walk(RqPos *pos, RqPos end, RqFrame *frame, RqPos *next,
			const char **problem)
{
	const uint64 size = rq_log->segment_size;
	uint64		in_segment;
	char	   *base;

	*pos = rq_log_frame_start(*pos);
	*problem = NULL;
	if (*pos >= end)
		return false;

	in_segment = rq_log_in_segment(*pos);
	*next = *pos - in_segment + size;
	base = rq_map_log(rq_log_segno(*pos), size, RQ_MAP_PROBE, false);
	if (base == NULL)
		*problem = no_segment;
	else
		*problem = rq_frame_check(base + in_segment, size - in_segment,
								  *pos, NULL);
	if (*problem == NULL)
	{
		memcpy(frame, base + in_segment, sizeof(*frame));
		*next = *pos + frame->len;
	}
	return true;
}
