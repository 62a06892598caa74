/*
 * rq_rmgr.h
 *	  The WAL resource manager.
 */
#ifndef RQ_RMGR_H
#define RQ_RMGR_H

/*
 * Register it, and wrap the redo of checkpoints and of ends of transactions.
 * From _PG_init.
 */
extern void rq_rmgr_register(void);

#endif							/* RQ_RMGR_H */
