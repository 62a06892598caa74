/*
 * rq_area.h
 *	  Area files: the chunks that extents of queues lie in.
 *
 * An area file only grows while the server runs, and each process that needs
 * one maps it with the size that it can have, beyond its present end.  Nobody
 * touches a chunk that has not been filled.
 */
#ifndef RQ_AREA_H
#define RQ_AREA_H

#include "port/atomics.h"

#include "format/rq_extfmt.h"
#include "store/rq_map.h"

/*
 * The chunk in memory.  How long the pointer is good is said in rq_map.h.
 * Throws when the file is missing, too short or can't be mapped; a mode that
 * probes gives NULL then.
 */
extern char *rq_area_chunk(uint32 chunk, RqMapMode mode);

/* Has this process its file mapped for that? */
extern bool rq_area_is_mapped(uint32 chunk, RqMapMode mode);

/* In a chunk in memory: the headers, by place, and the entries of one extent. */
static inline RqExtentHeader *
rq_area_header(char *chunk, uint32 place)
{
	return (RqExtentHeader *) chunk + place;
}

static inline RqEntry *
rq_area_entries(char *chunk, int class, uint32 place)
{
	return (RqEntry *) (chunk + rq_ext_offset(class, place));
}

/*
 * Make the chunk one of this class and this store: allocate and zero it, fsync,
 * then write its header and fsync that.  It must be raw or not exist, and no
 * other process may fill or raze chunks at the same time.  Returns 0 or an errno;
 * the chunk is as it was then, but the file may be longer.
 */
extern int	rq_area_fill(uint32 chunk, int class, uint64 store);

/*
 * Make the chunk raw and give its space back, as far as the file system can.
 * Nothing in it is anybody's, but others may have it mapped, and read zeros.
 * Returns 0, or an errno if it is not raw.
 */
extern int	rq_area_raze(uint32 chunk);

/* Which area files have been stored to; all clean in zeroed memory. */
typedef struct RqAreaMarks
{
	pg_atomic_uint32 dirty[RQ_AREAS_MAX];
} RqAreaMarks;

/*
 * Something has been stored in the chunk.  To be called after the store and
 * before the lock is released that the copier of the state takes
 * (wal/rq_state.c).  Can't throw.
 */
extern void rq_area_mark(RqAreaMarks *marks, uint32 chunk);

/*
 * Have the kernel begin to write the area files that are marked, as those will be
 * fsynced soon.  A hint; what is stored meanwhile is marked as ever.
 */
extern void rq_area_flush(RqAreaMarks *marks);

/*
 * fsync the area files that are marked and clear the marks; returns how many.
 * PANIC if fsync fails, unless data_sync_retry is on: then it throws, and what
 * is not on disk is marked again.  Only after the slots of queues have been
 * copied: whatever the copies rely on is marked by then.
 */
extern uint32 rq_area_sync(RqAreaMarks *marks);

/* What a chunk is that is of no class. */
#define RQ_AREA_RAW			(-1)
#define RQ_AREA_DAMAGED		(-2)	/* its header is */
#define RQ_AREA_FOREIGN		(-3)	/* it is another one, perhaps of another
									 * store */
#define RQ_AREA_BEHEADED	(-4)	/* its header is zeros, others are not */

/*
 * Before anybody maps: call "visit" with the headers of each chunk, places 1 to
 * n.  If it returns true it has changed them, and they are written back.  A chunk
 * that is of no class, and has no headers, is visited, too.  FATAL if a file
 * can't be opened, read or written.
 *
 * With rocketq.ignore_missing_files what can't be read is logged, and is damaged:
 * a chunk, if it is its header; else these headers, which are not written back,
 * and of which no bit is zero.  "whole" is false if there are such.
 */
typedef bool (*RqChunkVisit) (uint32 chunk, int class, RqExtentHeader *headers,
							  uint32 n, bool whole, void *arg);
extern void rq_area_visit(uint64 store, RqChunkVisit visit, void *arg);

/*
 * Before anybody maps: read entries of an extent, or write them and fsync.  FATAL
 * if that fails; but with rocketq.ignore_missing_files entries that can't be read
 * are logged, and it is false.
 */
extern bool rq_area_read_entries(uint32 chunk, int class, uint32 place,
								 RqEntry *entries, uint32 n);
extern void rq_area_write_entries(uint32 chunk, int class, uint32 place,
								  const RqEntry *entries, uint32 n);

/*
 * Before anybody maps, if nothing is missing: cut raw chunks off the ends of area
 * files, and remove files with nothing else.  What cannot be cut stays.
 */
extern void rq_area_cut(void);

#endif							/* RQ_AREA_H */
