/*
 * rq_storage.h
 *	  Storage of topics: create and truncate.
 */
#ifndef RQ_STORAGE_H
#define RQ_STORAGE_H

#include "utils/rel.h"

#include "base/rq_compat.h"

/*
 * Callback of the access method for CREATE TABLE and TRUNCATE: create empty storage
 * that is dropped if the transaction aborts; TRUNCATE keeps settings and groups.
 * Throws if the relation cannot be a topic.
 */
extern void rq_set_new_filelocator(Relation rel,
								   const RelFileLocator *newrlocator,
								   char persistence,
								   TransactionId *freezeXid,
								   MultiXactId *minmulti);

/*
 * Callback of the access method for TRUNCATE of a topic whose storage was created
 * in the same subtransaction.
 */
extern void rq_nontransactional_truncate(Relation rel);

/* Notify the client that the tablespace of a topic is ignored. */
extern void rq_report_no_tablespace(const char *topic);

#endif							/* RQ_STORAGE_H */
