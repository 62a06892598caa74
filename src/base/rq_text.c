/*
 * rq_text.c
 *	  Names whose bytes may be in another encoding than the current database's.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"

#include "base/rq_text.h"

void
rq_append_ascii(StringInfo buf, const char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (IS_HIGHBIT_SET(bytes[i]) || bytes[i] == '\\')
			appendStringInfo(buf, "\\x%02x", (unsigned char) bytes[i]);
		else
			appendStringInfoChar(buf, bytes[i]);
}

/*
 * What is valid in the encoding of another database need not mean the same.
 * But bytes beyond ASCII that are valid UTF-8 are hardly ever anything else.
 */
static bool
means_the_same(Oid db, const char *bytes, size_t len)
{
	int			encoding = GetDatabaseEncoding();

	if (OidIsValid(MyDatabaseId) && db == MyDatabaseId)
		return pg_verify_mbstr(encoding, bytes, (int) len, true);
	if (encoding == PG_UTF8)
		return pg_verify_mbstr(PG_UTF8, bytes, (int) len, true);
	for (size_t i = 0; i < len; i++)
		if (IS_HIGHBIT_SET(bytes[i]))
			return false;
	return true;
}

char *
rq_text_from(Oid db, const char *bytes)
{
	size_t		len = strlen(bytes);
	StringInfoData buf;

	if (means_the_same(db, bytes, len))
		return pstrdup(bytes);
	initStringInfo(&buf);
	rq_append_ascii(&buf, bytes, len);
	return buf.data;
}
