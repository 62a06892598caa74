/*
 * rq_text.h
 *	  Names whose bytes may be in another encoding than the current database's.
 *
 * Shared memory, WAL and file names hold names as bytes.  What a session shows
 * has to be text in the encoding of its database; workers are in no database.
 */
#ifndef RQ_TEXT_H
#define RQ_TEXT_H

#include "lib/stringinfo.h"

/*
 * Append bytes in ASCII, whatever they are: those beyond ASCII, and
 * backslashes, as \x and two hexadecimal digits.
 */
extern void rq_append_ascii(StringInfo buf, const char *bytes, size_t len);

/*
 * A name that was given in database "db" (InvalidOid: in none), as text for the
 * current one, palloc'd: unchanged if its bytes certainly mean the same here,
 * else in ASCII.  Reads no catalog, so it may be called while a lock is held.
 */
extern char *rq_text_from(Oid db, const char *bytes);

#endif							/* RQ_TEXT_H */
