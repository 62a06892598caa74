/*
 * rq_base.h
 *	  Names, units and limits that every layer shares.
 *
 * A position (RqPos) is a byte offset in the commit log; it is never reused
 * and doubles as the message id.  An offset (RqOff) is an entry number in one
 * queue.  The two are never mixed.
 */
#ifndef RQ_BASE_H
#define RQ_BASE_H

#include "access/transam.h"
#include "mb/pg_wchar.h"

typedef uint64 RqPos;			/* byte position in the commit log */
typedef uint64 RqOff;			/* entry number in one queue */

#define RQ_INVALID_POS		PG_UINT64_MAX

/* No position or offset is larger: SQL shows them as bigint. */
#define RQ_NUMBER_MAX		((uint64) PG_INT64_MAX)

/*
 * What a topic's storage is keyed by: the relation's own file, so that
 * TRUNCATE and every rewrite start with an empty store.
 */
typedef struct RqKey
{
	Oid			db;
	Oid			rel;			/* relfilenumber */
} RqKey;

#define RQ_KEY_EQ(a, b)		((a).db == (b).db && (a).rel == (b).rel)
#define RQ_KEY_PACK(k)		(((uint64) (k).db << 32) | (k).rel)

/* Limits of one message and of the names around it, in bytes unless said. */
#define RQ_TAG_MAX				127
/* Of a topic and its schema; ddl/rq_topic_name.c says why. */
#define RQ_TOPIC_NAME_MAX		(NAMEDATALEN - MAX_MULTIBYTE_CHAR_LEN - 1)
#define RQ_GROUP_NAME_MAX		120
#define RQ_SHARDING_KEY_MAX		1024
#define RQ_KEYS_MAX				1024	/* keys of one message */
#define RQ_QUEUES_MAX			65535	/* queues of one topic */
#define RQ_SLOTS_BLOCK			8	/* queues, or a group's offsets, are given
									 * out by so many; shmem/rq_slots.h */
#define RQ_BATCH_MAX			1000000 /* messages one call may ask for */
#define RQ_SEGMENT_MB_MAX		1024	/* of a commit log segment, in MB */
#define RQ_SEGMENT_MB_OK(mb) \
	((mb) > 0 && (mb) <= RQ_SEGMENT_MB_MAX && ((mb) & ((mb) - 1)) == 0)

/*
 * A name with a control character can look like another one, and breaks the
 * lines of the server log.  Bytes below 128 are ASCII in every encoding that a
 * database can have.
 */
static inline bool
rq_is_control(char c)
{
	return (unsigned char) c < ' ' || c == 0x7f;
}

/* White space, which is ignored around the tags of a filter. */
static inline bool
rq_is_blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Have a line of memory in the processor's cache soon; any address will do. */
static inline void
rq_prefetch(const void *at)
{
	__builtin_prefetch(at);
}

/* Directories and files below the data directory. */
#define RQ_DIR				"pg_rocketq"
#define RQ_LOG_DIR			RQ_DIR "/log"
#define RQ_QUEUE_DIR		RQ_DIR "/queue"
#define RQ_STATE_FILE		RQ_DIR "/state"
#define RQ_CLOSED_FILE		RQ_DIR "/closed"	/* the state file is the last
												 * word */
#define RQ_MADE_FILE		RQ_DIR ".made"	/* there has been a store */
#define RQ_MISSING_FILE		RQ_DIR ".missing"	/* what of it was missing when
												 * recovery began */

/*
 * The last field of LOCKTAG_ADVISORY for the locks of consume/rq_owner.c, with
 * what stands before it; applications use 1 and 2 there.
 */
#define RQ_LOCK_QUEUE		0x5251	/* database, group id, queue id */
#define RQ_LOCK_GROUP		0x5252	/* database, group id, 0 */
#define RQ_LOCK_SAVEPOINT	0x5253	/* database, process number, number of the
									 * savepoint */

#endif							/* RQ_BASE_H */
