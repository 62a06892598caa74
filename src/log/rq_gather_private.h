/*
 * rq_gather_private.h
 *	  Between rq_gather.c and rq_append.c.
 */
#ifndef RQ_GATHER_PRIVATE_H
#define RQ_GATHER_PRIVATE_H

#include "log/rq_log.h"

/*
 * Take a built frame into the chunk of this statement, and give its position;
 * false if it has to be appended by itself, after rq_log_gather_write().
 * Throws before anything is changed.
 */
extern bool rq_log_gather(char *frame, uint32 len, RqPos *pos);

#endif							/* RQ_GATHER_PRIVATE_H */
