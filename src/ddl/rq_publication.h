/*
 * rq_publication.h
 *	  Keep topics out of publications, which do not replicate messages.
 */
#ifndef RQ_PUBLICATION_H
#define RQ_PUBLICATION_H

#include "nodes/pg_list.h"

/*
 * All topics of the database (InvalidOid), or those that are in a schema or
 * partitions of a table that is.  Reads pg_class as a whole.
 */
extern List *rq_topics_in(Oid nspid);

/*
 * CREATE PUBLICATION: throw if it names a topic, or a partitioned table that has
 * one; warn if it covers topics by being for all tables or for a schema.
 */
extern void rq_publication_created(Oid pub);

/*
 * ALTER PUBLICATION added a schema (a row of pg_publication_namespace): warn if
 * that has topics.
 */
extern void rq_publication_got_schema(Oid member);

/*
 * ALTER PUBLICATION added a table (a row of pg_publication_rel): throw if it is a
 * topic or has one as a partition.
 */
extern void rq_publication_got_table(Oid member);

/* A topic was created in this schema: warn if a publication covers it. */
extern void rq_publication_topic_created(const char *topic, Oid nspid);

/*
 * A topic, or a table that may have topics as partitions, was moved to another
 * schema: warn if a publication covers that.
 */
extern void rq_publication_schema_changed(Oid relid, Oid new_nspid);

/*
 * A table is being attached to a parent: throw if it is or has a topic and an
 * ancestor is published, warn if an ancestor's schema is.
 */
extern void rq_publication_child_comes(Oid child, Oid parent);

#endif							/* RQ_PUBLICATION_H */
