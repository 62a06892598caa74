/*
 * rq_rates.h
 *	  How fast queues grow and groups go on.
 */
#ifndef RQ_RATES_H
#define RQ_RATES_H

#include "shmem/rq_shmem.h"
#include "topic/rq_tables.h"

/* Entries and bytes per second since a moment. */
typedef struct RqRate
{
	TimestampTz since;
	double		count;
	double		bytes;
	bool		is_missing;		/* it grows, but nothing has been noted */
} RqRate;

/* Take the samples that are due.  Janitor only. */
extern void rq_rates_sample(void);

/*
 * What has been enqueued, and how far a group has moved.  False when there is
 * no sample yet that is old enough, as always on a standby, or no room for one.
 */
extern bool rq_rates_of_queue(RqQueue *q, TimestampTz now, RqRate *rate);
extern bool rq_rates_of_offset(RqOffset *o, TimestampTz now, RqRate *rate);

#endif							/* RQ_RATES_H */
