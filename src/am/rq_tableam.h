/*
 * rq_tableam.h
 *	  The table access method rocketq: a topic is a table.
 */
#ifndef RQ_TABLEAM_H
#define RQ_TABLEAM_H

/* Install the hook that notices dropped topics; from _PG_init. */
extern void rq_tableam_init(void);

#endif							/* RQ_TABLEAM_H */
