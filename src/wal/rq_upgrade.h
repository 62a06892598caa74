/*
 * rq_upgrade.h
 *	  Can this library work with the store, and the WAL that follows it?
 */
#ifndef RQ_UPGRADE_H
#define RQ_UPGRADE_H

/*
 * Before the state is loaded, and anything is replayed: FATAL if another library
 * has written the store and this one cannot go on with it; else the store is made
 * one that this library could have written.  A state file that is missing or
 * damaged is left to others.
 */
extern void rq_store_upgrade(void);

#endif							/* RQ_UPGRADE_H */
