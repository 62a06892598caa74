/*
 * rq_map.h
 *	  This process's mappings of segments.
 *
 * The only place that maps and unmaps.  Each process keeps mappings that it
 * has used lately; a pointer from here is good until the second call after it
 * that is for another segment of the same kind; of an area file, until the
 * RQ_MAP_AREAS_KEPT-th that is for another area file or mode.
 *
 * Readers map read-only, so no stray pointer of theirs can harm a message.
 */
#ifndef RQ_MAP_H
#define RQ_MAP_H

#include "base/rq_base.h"

#define RQ_MAP_AREAS_KEPT	8

typedef enum RqMapMode
{
	RQ_MAP_READ,
	RQ_MAP_WRITE,
	RQ_MAP_PROBE,				/* as for reading; NULL instead of an error */
	RQ_MAP_PROBE_WRITE			/* the same for writing */
} RqMapMode;

static inline bool
rq_map_probes(RqMapMode mode)
{
	return mode == RQ_MAP_PROBE || mode == RQ_MAP_PROBE_WRITE;
}

/*
 * The commit log segment with this number, NULL if its file does not exist.
 * Throws when it can't be mapped or has not its full size; with "repair" (for
 * redo) a short file is extended instead.
 */
extern char *rq_map_log(uint64 segno, uint64 size, RqMapMode mode, bool repair);

/*
 * A segment of the log mapped for reading, if it is the one that was asked for
 * last; else NULL.
 */
extern char *rq_map_log_again(uint64 segno);

/*
 * An area file, mapped with the size that it can have; NULL if it does not
 * exist.  It has to be "least" bytes long.  Those beyond its end may be touched
 * once it has grown.
 */
extern char *rq_map_area(uint32 area, uint64 least, RqMapMode mode);

/* Is an area file mapped for this?  Takes no part in what rq_map_area() promises. */
extern bool rq_map_has_area(uint32 area, RqMapMode mode);

/* So many mappings of area files are no longer there. */
extern uint64 rq_map_areas_gone;

/*
 * Keep a mapping, which must be the one that rq_map_log() has returned last,
 * until the next call.  NULL keeps none.  Can't throw.
 */
extern void rq_map_pin_log(const char *base);

#endif							/* RQ_MAP_H */
