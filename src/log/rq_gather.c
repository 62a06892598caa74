/*
 * rq_gather.c
 *	  Small messages of one statement share a reservation and a WAL record.
 *
 * Given a statement that calls produce() for each of many rows, how do its
 * messages go to the log together, although each produce() returns a position?
 * After some messages the statement reserves a chunk of the log, which fixes
 * the positions of the frames to come, and gathers them in memory.  When the
 * chunk is full, or the statement ends, they are stored and logged at once,
 * and what is left of the chunk becomes a filler.  The chunk is in flight all
 * that time, as any reservation is until it is logged: rq_log_written_end() stays
 * below it, and after a crash it is a gap.
 *
 *		- Nothing refers to a gathered frame: the transaction writes the chunk
 *		  before it enqueues entries.
 *		- A process announces one reservation: what is appended in another way
 *		  writes the chunk first.
 *		- A chunk ends with its statement; otherwise an idle transaction would
 *		  hold back rq_log_written_end().  When a function runs for long, the
 *		  statements in it end a chunk that is old.
 *		- Writing it cannot fail, because a rollback has to do it as well: the
 *		  chunk has been given out, and nobody else can log it.  Its segment is
 *		  pinned in this process's mappings until then.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/timestamp.h"

#include "base/rq_fault.h"
#include "log/rq_gather_private.h"
#include "log/rq_reserve_private.h"
#include "store/rq_map.h"

/*
 * A chunk is at most a CHUNK_SHARE-th of what its statement has appended so
 * far.  What a filler takes is counted against that CHUNK_SHARE times, so all
 * fillers together stay within this share, too.  And it is at most CHUNK_MAX,
 * which the cache next to a processor easily takes.
 */
#define CHUNK_SHARE			4
#define CHUNK_MAX			(32 * 1024)

/* A chunk for fewer frames is not worth the filler that can be left of it. */
#define CHUNK_MIN_FRAMES	8

/* When a chunk is old, in microseconds. */
#define CHUNK_AGE			100000

static struct
{
	char	   *base;			/* of its segment, NULL = there is no chunk */
	RqPos		start;
	RqPos		end;
	TimestampTz begun;
	uint32		used;			/* bytes of frames */
	uint32		nframes;
	union
	{
		RqFrame		align;
		char		bytes[CHUNK_MAX];
	}			frames;
}			chunk;

/* How many executors are running, one within another. */
static int	depth = 0;

/*
 * Bytes that the outermost executor's statement has appended, less what its
 * fillers have cost.
 */
static uint64 credit = 0;

static void
write_if_old(TimestampTz now)
{
	if (now - chunk.begun >= CHUNK_AGE)
		rq_log_gather_write();
}

void
rq_log_gather_begin(void)
{
	if (depth++ == 0)
		credit = 0;
}

void
rq_log_gather_end(bool write)
{
	depth--;
	if (!write || chunk.base == NULL)
		return;
	if (depth == 0)
		rq_log_gather_write();
	else
		write_if_old(GetCurrentTimestamp());
}

/* What the chunk has left then must be nothing, or room for a filler. */
static bool
fits(uint32 len)
{
	uint64		rest = chunk.end - chunk.start - chunk.used;

	return len == rest || len + RQ_FRAME_HEADER_SIZE <= rest;
}

/*
 * Leaves the gate with the reservation still in flight; rq_log_gather_write()
 * enters it again, even if it has been closed since.
 */
static void
open_chunk(uint32 size, TimestampTz now)
{
	RqPlace		p = rq_log_reserve(&size, 1);

	chunk.base = p.base;
	chunk.start = p.start;
	chunk.end = p.end;
	chunk.begun = now;
	chunk.used = chunk.nframes = 0;
	rq_map_pin_log(p.base);
	rq_log_leave(&p);
}

/*
 * Outside an executor nothing is gathered, since no statement would end the
 * chunk.  The frame is sealed here already, as its position is known.
 */
bool
rq_log_gather(char *frame, uint32 len, RqPos *pos)
{
	TimestampTz now = ((RqFrame *) frame)->stored_at;

	if (depth == 0)
		return false;
	if (chunk.base != NULL)
		write_if_old(now);
	if (!fits(len))
		rq_log_gather_write();
	if (chunk.base == NULL)
	{
		/* No filler is left if all frames that come are as long as this one. */
		uint32		frames = Min(credit / CHUNK_SHARE, CHUNK_MAX) / len;

		if (frames >= CHUNK_MIN_FRAMES)
			open_chunk(frames * len, now);
	}
	credit += len;
	if (chunk.base == NULL)
		return false;
	*pos = chunk.start + chunk.used;
	rq_frame_seal(frame, *pos);
	memcpy(chunk.frames.bytes + chunk.used, frame, len);
	chunk.used += len;
	chunk.nframes++;
	RQ_FAULT("gather-take");
	return true;
}

/*
 * The same steps as in rq_append.c, in two records: frames, then the filler.
 * The reservation ends after both.
 *
 * Called by a statement's end, before another append, before entries are
 * written (produce/rq_touched.c), and by the end of a transaction or a
 * rollback to a savepoint (txn/rq_txn.c).  Frames of what is rolled back are
 * written, too, but get no entries.
 */
void
rq_log_gather_write(void)
{
	RqPos		end = chunk.start + chunk.used;

	if (chunk.base == NULL)
		return;
	rq_gate_enter_again();
	START_CRIT_SECTION();

	/* 1. store and 2. log */
	rq_log_write(chunk.base, chunk.start, chunk.frames.bytes, chunk.used,
				 chunk.nframes);
	RQ_FAULT("gather-write");
	if (end < chunk.end)
		rq_log_write_filler(chunk.base, end, chunk.end - end);
	credit -= Min(credit, CHUNK_SHARE * (chunk.end - end));

	/* 3. publish */
	rq_log_published();
	rq_map_pin_log(NULL);
	chunk.base = NULL;
	END_CRIT_SECTION();
	rq_gate_leave();
}
