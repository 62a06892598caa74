/*
 * rq_disk.h
 *	  How full the file system of the store is, and what follows from it.
 */
#ifndef RQ_DISK_H
#define RQ_DISK_H

#include "base/rq_base.h"
#include "shmem/rq_parts.h"

extern const RqPart rq_disk_part;

/*
 * Check how full it is, and report it in the server log when a threshold is
 * crossed.
 * For the allocator and the janitor.
 */
extern void rq_disk_look(void);

/* The file system of the store. */
typedef struct RqDisk
{
	uint64		size;			/* in bytes, what only root may use left out */
	uint64		used;
	double		percent;
} RqDisk;

/* Measure it; false if the operating system does not tell. */
extern bool rq_disk_measure(RqDisk *d);

/* Are producers refused, as the workers last found? */
extern bool rq_disk_refuses(void);

/* Bytes to free so that it is below rocketq.disk_trim_percent; 0 = it is. */
extern uint64 rq_disk_excess(void);

/* Throw disk_full if it is above rocketq.disk_refuse_percent. */
extern void rq_disk_check_produce(void);

#endif							/* RQ_DISK_H */
