/*
 * rq_topic_name.h
 *	  How long the names of a topic and of its schema may be.
 */
#ifndef RQ_TOPIC_NAME_H
#define RQ_TOPIC_NAME_H

/* Throw if a topic of this name in this schema has a name that is too long. */
extern void rq_topic_name_check(const char *name, Oid nspid);

/* The same for a new name of a schema, if it has topics. */
extern void rq_topic_name_check_schema(const char *name, Oid nspid);

#endif							/* RQ_TOPIC_NAME_H */
