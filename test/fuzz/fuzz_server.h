/*
 * fuzz_server.h
 *	  As much of a server as redo needs: memory, tables, and reports that end
 *	  the round.
 */
#ifndef FUZZ_SERVER_H
#define FUZZ_SERVER_H

#include "postgres.h"

#include <setjmp.h>

#include "base/rq_compat.h"

/* Where a report of ERROR or above jumps to, once set by sigsetjmp(). */
extern sigjmp_buf fuzz_round;

RQ_NORETURN extern void fuzz_end_round(void);

/* Fresh shared memory of rocketq. */
extern void fuzz_start_server(void);

/* Free it, and everything that the round left behind. */
extern void fuzz_stop_server(void);

/* Free a malloc'ed piece at the end of the round. */
extern void fuzz_free_later(void *piece);

#endif							/* FUZZ_SERVER_H */
