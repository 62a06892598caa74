/*
 * rq_stateload.h
 *	  Load the state file, or begin an empty store.
 */
#ifndef RQ_STATELOAD_H
#define RQ_STATELOAD_H

/*
 * Load the state file into fresh shared memory, or begin an empty store.
 * Called by the postmaster in shmem_startup_hook; FATAL if it is damaged.
 */
extern void rq_state_load(void);

/* NULL if the state file can be read and is sound, else the problem. */
extern const char *rq_state_probe(void);

#endif							/* RQ_STATELOAD_H */
