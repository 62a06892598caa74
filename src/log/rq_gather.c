/*
 * rq_gather.c
 *	  Small messages of one statement share a reservation and a WAL record.
 *
 * A statement that calls produce() for each of many rows would go to the log
 * for each of them.  From some messages on it reserves a chunk of the log
 * instead and gathers frames, whose positions are known by that, in memory.
 * When the chunk is full, or the statement ends, they are stored and logged at
 * once, and what is left of the chunk becomes a filler.  The chunk is in flight
 * all that time, as any reservation is until it is logged: whole for nobody,
 * and a hole after a crash.
 *
 *		- Nothing refers to a gathered frame: the transaction writes the chunk
 *		  before it enqueues entries.
 *		- A process has one reservation: whoever appends in another way writes
 *		  the chunk first.
 *		- A chunk ends with its statement, or else a transaction that sits idle
 *		  would hold back up to where the log is whole.  When a function runs
 *		  for long, the statements in it end a chunk that is old.
 *		- Writing it cannot fail, because a rollback has to do it as well.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/timestamp.h"

#include "base/rq_fault.h"
#include "log/rq_gather_private.h"
#include "log/rq_reserve_private.h"
#include "store/rq_map.h"

/*
 * A chunk has this share of what its statement has appended so far, less what
 * fillers stand for, so that all that remains of chunks is no greater share; and
 * not more than the cache next to a processor takes easily.
 */
#define CHUNK_SHARE			4
#define CHUNK_MAX			(32 * 1024)

/* A chunk for fewer is not worth what can remain of it. */
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

/* Executors that are running, one within another. */
static int	depth = 0;

/*
 * What the outermost one's statement has appended and not yet paid for fillers,
 * in bytes.
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

/* What is left must be nothing, or room for a filler. */
static bool
fits(uint32 len)
{
	uint64		rest = chunk.end - chunk.start - chunk.used;

	return len == rest || len + RQ_FRAME_HEADER_SIZE <= rest;
}

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
		/* Nothing remains of it if all that come are like this one. */
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

void
rq_log_gather_write(void)
{
	RqPos		end = chunk.start + chunk.used;

	if (chunk.base == NULL)
		return;
	rq_gate_enter_again();
	START_CRIT_SECTION();
	rq_log_write(chunk.base, chunk.start, chunk.frames.bytes, chunk.used,
				 chunk.nframes);
	RQ_FAULT("gather-write");
	if (end < chunk.end)
		rq_log_write_filler(chunk.base, end, chunk.end - end);
	credit -= Min(credit, CHUNK_SHARE * (chunk.end - end));
	rq_log_published();
	rq_map_pin_log(NULL);
	chunk.base = NULL;
	END_CRIT_SECTION();
	rq_gate_leave();
}
