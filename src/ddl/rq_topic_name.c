/*
 * rq_topic_name.c
 *	  How long the names of a topic and of its schema may be.
 *
 * When a name is read as regclass, as by every function that takes a topic,
 * PostgreSQL silently truncates it to NAMEDATALEN - 1 bytes: a message could end
 * up in the topic that has the truncated name.  Truncation keeps whole
 * characters, so at least NAMEDATALEN - MAX_MULTIBYTE_CHAR_LEN bytes remain.  The
 * name of a topic is always shorter, hence never a truncated one.
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

/* The new name is in a catalog row that only this transaction sees. */
void
rq_topic_name_check_schema(const char *name, Oid nspid)
{
	if (strlen(name) > RQ_TOPIC_NAME_MAX && rq_topics_in(nspid) != NIL)
		refuse_long_name(gettext_noop("schema name \"%s\" is too long"), name);
}
