/*
 * rq_columns.c
 *	  The columns of rocketq.message, which every topic has.
 *
 * Functions return messages as rocketq.message, and rows are laid out for its
 * columns (rq_tuple.c).  So a topic has exactly these columns, in this order and
 * of these types.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

#include "base/rq_compat.h"
#include "value/rq_columns.h"
#include "value/rq_relation.h"

const RqColumn rq_computed[RQ_NCOMPUTED] = {
	RQ_COL_QUEUE_OFFSET,
	RQ_COL_MESSAGE_ID,
	RQ_COL_BORN_AT,
	RQ_COL_STORED_AT,
	RQ_COL_DELIVERY_ATTEMPT
};

typedef struct ColumnSpec
{
	const char *name;
	Oid			type;
} ColumnSpec;

static const ColumnSpec columns[RQ_NCOLUMNS] = {
	[RQ_COL_QUEUE_ID] = {"queue_id", INT4OID},
	[RQ_COL_QUEUE_OFFSET] = {"queue_offset", INT8OID},
	[RQ_COL_MESSAGE_ID] = {"message_id", INT8OID},
	[RQ_COL_TAG] = {"tag", TEXTOID},
	[RQ_COL_KEYS] = {"keys", TEXTARRAYOID},
	[RQ_COL_SHARDING_KEY] = {"sharding_key", TEXTOID},
	[RQ_COL_PROPERTIES] = {"properties", JSONBOID},
	[RQ_COL_BORN_AT] = {"born_at", TIMESTAMPTZOID},
	[RQ_COL_STORED_AT] = {"stored_at", TIMESTAMPTZOID},
	[RQ_COL_DELIVERY_ATTEMPT] = {"delivery_attempt", INT4OID},
	[RQ_COL_BODY] = {"body", BYTEAOID},
};

const char *
rq_column_name(RqColumn column)
{
	return columns[column].name;
}

bool
rq_column_fits(const FormData_pg_attribute *att)
{
	int			i = att->attnum - 1;

	return i >= 0 && i < RQ_NCOLUMNS && !att->attisdropped &&
		strcmp(NameStr(att->attname), columns[i].name) == 0 &&
		att->atttypid == columns[i].type && att->atttypmod == -1;
}

/*
 * Is it a column that a producer cannot set?  If its definition supplied a
 * value, or required one, every INSERT would fail, unless it copies a message.
 */
static bool
is_computed(int attnum)
{
	for (int i = 0; i < RQ_NCOMPUTED; i++)
		if (attnum == rq_computed[i] + 1)
			return true;
	return false;
}

/* "message" is a format string with one %s, for the name of the column. */
static void
refuse_value(const char *message, const char *column)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg(message, column),
			 errdetail("rocketq sets this column when the message enters its queue."),
			 errhint("Define the column as in rocketq.message, without a primary key.")));
}

static void
refuse_not_null(int attnum)
{
	refuse_value(gettext_noop("column \"%s\" of a topic cannot be declared NOT NULL"),
				 rq_column_name((RqColumn) (attnum - 1)));
}

void
rq_check_computed(const FormData_pg_attribute *att)
{
	if (rq_column_is_virtual(att))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("column \"%s\" of a topic cannot be a virtual generated column",
						NameStr(att->attname)),
				 errdetail("Consumers would not see its values."),
				 errhint("Use STORED.")));
	if (!is_computed(att->attnum))
		return;
	if (att->attidentity != '\0')
		refuse_value(gettext_noop("column \"%s\" of a topic cannot be an identity column"),
					 NameStr(att->attname));
	if (att->attgenerated != '\0')
		refuse_value(gettext_noop("column \"%s\" of a topic cannot be a generated column"),
					 NameStr(att->attname));
	if (att->attnotnull)
		refuse_not_null(att->attnum);
}

void
rq_check_not_null(int attnum)
{
	if (is_computed(attnum))
		refuse_not_null(attnum);
}

void
rq_check_default(Oid relid, int attnum)
{
	if (is_computed(attnum) && rq_oid_is_topic(relid))
		refuse_value(gettext_noop("column \"%s\" of a topic cannot have a default"),
					 rq_column_name((RqColumn) (attnum - 1)));
}

/*
 * The first column that differs is reported: the others often differ only because
 * it is missing.
 */
void
rq_check_columns(Relation rel)
{
	TupleDesc	desc = RelationGetDescr(rel);
	const char *wrong = NULL;

	for (int i = 0; i < RQ_NCOLUMNS && wrong == NULL; i++)
	{
		if (i >= desc->natts)
			wrong = psprintf(_("Column \"%s\" of type %s is missing."),
							 columns[i].name, format_type_be(columns[i].type));
		else if (!rq_column_fits(TupleDescAttr(desc, i)))
			wrong = psprintf(_("Column %d is \"%s\" of type %s, and must be \"%s\" of type %s."),
							 i + 1, NameStr(TupleDescAttr(desc, i)->attname),
							 format_type_with_typemod(TupleDescAttr(desc, i)->atttypid,
													  TupleDescAttr(desc, i)->atttypmod),
							 columns[i].name, format_type_be(columns[i].type));
	}
	if (wrong == NULL && desc->natts > RQ_NCOLUMNS)
		wrong = psprintf(_("Column \"%s\" is not one of them."),
						 NameStr(TupleDescAttr(desc, RQ_NCOLUMNS)->attname));
	if (wrong != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
				 errmsg("columns of topic \"%s\" do not match those of rocketq.message",
						RelationGetRelationName(rel)),
				 errdetail_internal("%s", wrong),
				 errhint("Use CREATE TABLE name (LIKE rocketq.message) USING rocketq, or rocketq.create_topic().")));
	for (int i = 0; i < RQ_NCOLUMNS; i++)
		rq_check_computed(TupleDescAttr(desc, i));
}
