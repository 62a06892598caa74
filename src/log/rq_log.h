/*
 * rq_log.h
 *	  The commit log: append frames, read them back, sync and trim segments.
 */
#ifndef RQ_LOG_H
#define RQ_LOG_H

#include "lib/ilist.h"

#include "format/rq_framefmt.h"
#include "format/rq_statefmt.h"
#include "format/rq_walrec.h"
#include "log/rq_logmem.h"
#include "shmem/rq_shmem.h"

/* ---- rq_append.c, rq_reserve.c, rq_gaps.c ---- */

/*
 * Append frames that stand one after the other at "frames", built but not
 * sealed, with these lengths.  They are sealed, stored and WAL-logged; their
 * positions go to "pos".  Must be called outside the gate; throws before
 * anything is changed (no room for the frame in a segment, disk full, store
 * closed).
 *
 * With "gather" a single frame may instead wait in memory, its position being
 * given all the same, until rq_log_gather_write().
 */
extern void rq_log_append(char *frames, const uint32 *lens, int n, RqPos *pos,
						  bool gather);

/*
 * The transaction that appended has ended: nothing needs its frames any more
 * but entries.  Can't throw.
 */
extern void rq_log_forget_xact(void);

/* Largest frame that a segment can take, in bytes. */
extern uint64 rq_log_max_frame(void);

/*
 * Everything below the result is WAL-logged or filler: no backend is still
 * writing there.
 */
extern RqPos rq_log_written_end(void);

/*
 * The same below what redo knows to be missing: complete, without a hole, and
 * never changed again.
 */
extern RqPos rq_log_complete_end(void);

/*
 * Write and WAL-log fillers over what redo knows to be missing, so that the log
 * has no holes but those in flight.  Keeper only, before it opens the gate.
 */
extern void rq_log_fill_gaps(void);

/* An RqWalRedo. */
extern void rq_log_redo_append(const void *data, uint32 len, XLogRecPtr lsn);

/* ---- rq_gaps.c ---- */

/*
 * Stretches that redo found reserved but not written.  Written by the startup
 * process, filled by the keeper before it opens the gate; others read "first"
 * only.
 */
typedef struct RqGaps
{
	uint32		n;
	uint32		max;
	pg_atomic_uint64 first;		/* where the lowest begins, RQ_INVALID_POS =
								 * there is none; read by anybody */
	RqStateGap	gaps[FLEXIBLE_ARRAY_MEMBER];
} RqGaps;

extern RqGaps *rq_gaps;

extern const RqPart rq_gaps_part;

/*
 * For the state file: how many gaps there can be at most; copy those below
 * "log_end", and return how many; and what was copied, into a new log, or FATAL.
 */
extern uint32 rq_log_gaps_max(void);
extern uint32 rq_log_gaps_copy(RqStateGap *to, RqPos log_end);
extern void rq_log_gaps_load(const RqStateGap *from, uint32 n);

/* ---- rq_gather.c ---- */

/*
 * An executor begins, or has ended: frames are gathered in between.  When the
 * outermost one ends, with "write", they are written; without after an error,
 * which leaves that to the end of the (sub)transaction.  Neither can throw.
 */
extern void rq_log_gather_begin(void);
extern void rq_log_gather_end(bool write);

/*
 * Store and log what has been gathered, before anything refers to it.  Can't
 * throw, also while a transaction is rolled back.  Must be called outside the
 * gate.
 */
extern void rq_log_gather_write(void);

/* ---- rq_read.c ---- */

/*
 * Read the message frame at "pos", "len" bytes long.  True with "frame" and
 * "parts" filled; the pointers in "parts" are good until the process reads
 * another segment.  False when the frame has been trimmed away.  Throws when
 * the bytes are not such a frame.
 */
extern bool rq_log_read(RqPos pos, uint32 len, RqFrame *frame, RqParts *parts);

/*
 * Throw if the frame at "pos" has been trimmed: to be called once what was
 * read of it has been copied, which could then have been zeros.
 */
extern void rq_log_check_kept(RqPos pos);

/* Like rq_log_read() without throwing: what is wrong goes to "problem". */
extern bool rq_log_probe(RqPos pos, uint32 len, RqFrame *frame, RqParts *parts,
						 const char **problem);

/*
 * Copy the header of a frame without verifying the checksum; false if there is
 * no such frame, for whatever reason.  For estimates.
 */
extern bool rq_log_peek(RqPos pos, uint32 len, RqFrame *frame);

/*
 * The frame will be read soon: have its first bytes come from memory.  Only a
 * hint, for a frame in the segment that was read last.
 */
extern void rq_log_prefetch(RqPos pos, uint32 len);

/*
 * Walk the log: give the frame at or after "pos" and where the next one
 * begins.  False at "end".  A stretch that holds no valid frame ends the
 * segment's walk: "problem" says why and "next" is the next segment.
 */
extern bool rq_log_walk(RqPos *pos, RqPos end, RqFrame *frame, RqPos *next,
						const char **problem);

/* ---- rq_reader.c ---- */

/* A pin on the log; lives in the memory context it was set in. */
typedef struct RqReadPin
{
	dlist_node	node;
	RqPos		pos;
	bool		active;
	MemoryContextCallback at_reset;
} RqReadPin;

/*
 * Keep the log from being trimmed under what is read from now on, until
 * rq_log_unpin() or the end of the current memory context.  Takes the meta
 * lock while a trim is under way.
 */
extern RqReadPin *rq_log_pin(void);
extern void rq_log_unpin(RqReadPin *pin);

/*
 * Announce a trim; false if a reader needs what would go.  The caller holds
 * the meta lock exclusively, raises the log's start and ends the trim.
 */
extern bool rq_log_begin_trim(RqPos to, bool despite_readers);
extern void rq_log_end_trim(void);

/* ---- rq_logfile.c ---- */

static inline uint64
rq_log_segno(RqPos pos)
{
	return pos >> rq_log->segment_bits;
}

static inline uint64
rq_log_in_segment(RqPos pos)
{
	return pos & (rq_log->segment_size - 1);
}

static inline RqPos
rq_log_segment_start(uint64 segno)
{
	return segno << rq_log->segment_bits;
}

/*
 * The first position at or after "pos" where a frame can begin: a segment's
 * header and a tail too short for a frame hold none.
 */
extern RqPos rq_log_frame_start(RqPos pos);

/* Create the segment's file if it is missing; returns 0 or an errno. */
extern int	rq_log_create_segment(uint64 segno, bool sync);

/* Have the kernel begin to bring [from, to) to disk. */
extern void rq_log_flush(RqPos from, RqPos to);

/* fsync the segments that hold [from, to), and the directory. */
extern void rq_log_sync(RqPos from, RqPos to);

/*
 * Raise the log's start, if it is lower; returns what it was.  The segments
 * from there to the new start are for rq_log_remove_trimmed() to remove.
 */
extern RqPos rq_log_trim_apply(RqPos new_start);
extern void rq_log_remove_trimmed(RqPos from);

#endif							/* RQ_LOG_H */
