/*
 * rq_topic_name.c
 *	  How long the names of a topic and of its schema may be.
 *
 * Wherever a name is read as regclass, as by every function that takes a topic,
 * PostgreSQL cuts what is longer than NAMEDATALEN - 1 bytes, without a notice: a
 * message would land in the topic whose name is what remains.  A cut ends with a
 * whole character, so at least NAMEDATALEN - MAX_MULTIBYTE_CHAR_LEN bytes remain.
 * A topic's name is always shorter, hence never what remains of another one.
 */
#include "postgres.h"

#include "utils/lsyscache.h"

#include "base/rq_base.h"
#include "ddl/rq_publication.h"
#include "ddl/rq_topic_name.h"

static void
refuse_long_name(const char *message, const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_NAME_TOO_LONG),
			 errmsg(message, name),
			 errdetail("The names of a topic and of its schema can have at most %d bytes, because PostgreSQL may truncate longer names when looking them up.",
					   RQ_TOPIC_NAME_MAX)));
}

void
rq_topic_name_check(const char *name, Oid nspid)
{
	const char *schema = get_namespace_name(nspid);

	if (strlen(name) > RQ_TOPIC_NAME_MAX)
		refuse_long_name(gettext_noop("topic name \"%s\" is too long"), name);
	if (schema != NULL && strlen(schema) > RQ_TOPIC_NAME_MAX)
		refuse_long_name(gettext_noop("schema name \"%s\" is too long"), schema);
}

/* A schema has got this name, which the caller alone sees yet. */
void
rq_topic_name_check_schema(const char *name, Oid nspid)
{
	if (strlen(name) > RQ_TOPIC_NAME_MAX && rq_topics_in(nspid) != NIL)
		refuse_long_name(gettext_noop("schema name \"%s\" is too long"), name);
}
