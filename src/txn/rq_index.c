/*
 * rq_index.c
 *	  Where in a transaction's list a queue is.
 *
 * Entries are never removed: a list that is cut back by a rollback keeps what
 * its owner knows of each queue.
 */
#include "postgres.h"

#include "txn/rq_index.h"

/* All of its bytes are compared (HASH_BLOBS), so it has no padding. */
typedef struct QueueIndexKey
{
	uint64		of;				/* key of the topic, or id of the group */
	uint32		queue_id;
	uint32		unused;
} QueueIndexKey;

typedef struct QueueIndexEntry
{
	QueueIndexKey key;
	int			at;
} QueueIndexEntry;

HTAB *
rq_index_create(MemoryContext cxt, const char *name)
{
	HASHCTL		info = {.keysize = sizeof(QueueIndexKey),
		.entrysize = sizeof(QueueIndexEntry),
	.hcxt = cxt};

	return hash_create(name, 256, &info, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

void
rq_index_add(HTAB *index, uint64 of, uint32 queue_id, int at)
{
	QueueIndexKey key = {of, queue_id};
	QueueIndexEntry *e = hash_search(index, &key, HASH_ENTER, NULL);

	e->at = at;
}

int
rq_index_find(HTAB *index, uint64 of, uint32 queue_id)
{
	QueueIndexKey key = {of, queue_id};
	QueueIndexEntry *e = hash_search(index, &key, HASH_FIND, NULL);

	return e == NULL ? -1 : e->at;
}
