/*
 * rq_storage.h
 *	  Storage of topics: create and truncate.
 */
#ifndef RQ_STORAGE_H
#define RQ_STORAGE_H

#include "utils/rel.h"

#include "base/rq_compat.h"

extern void rq_set_new_filelocator(Relation rel,
								   const RelFileLocator *newrlocator,
								   char persistence,
								   TransactionId *freezeXid,
								   MultiXactId *minmulti);
extern void rq_nontransactional_truncate(Relation rel);

/* Say that topics have no tablespace. */
extern void rq_report_no_tablespace(const char *topic);

#endif							/* RQ_STORAGE_H */
