/*
 * rq_publication.h
 *	  Publications do not carry messages, and must not seem to.
 */
#ifndef RQ_PUBLICATION_H
#define RQ_PUBLICATION_H

#include "nodes/pg_list.h"

/*
 * All topics of the database (InvalidOid), or those that are in a schema or
 * partitions of a table that is.  Reads pg_class as a whole.
 */
extern List *rq_topics_in(Oid nspid);

extern void rq_publication_created(Oid pub);
extern void rq_publication_got_schema(Oid member);
extern void rq_publication_got_table(Oid member);
extern void rq_publication_topic_created(const char *topic, Oid nspid);
extern void rq_publication_schema_changed(Oid relid, Oid new_nspid);
extern void rq_publication_child_comes(Oid child, Oid parent);

#endif							/* RQ_PUBLICATION_H */
