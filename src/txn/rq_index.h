/*
 * rq_index.h
 *	  Lists that grow with what a transaction does, and where in one of them a
 *	  queue is.
 */
#ifndef RQ_INDEX_H
#define RQ_INDEX_H

#include "utils/hsearch.h"

#include "base/rq_base.h"

/* Up to this many queues are searched one by one, without an index. */
#define RQ_INDEX_FROM		16

/* Make room for one more element of a growing array in the given context. */
#define RQ_GROW(cxt, array, count, max) \
	do { \
		if ((count) == (max)) \
		{ \
			int			more_ = Max(8, (max) * 2); \
			array = (array) == NULL ? \
				MemoryContextAlloc((cxt), more_ * sizeof(*(array))) : \
				repalloc((array), more_ * sizeof(*(array))); \
			max = more_; \
		} \
	} while (0)

/* "of" is the packed key of a topic or the id of a group.  May throw. */
extern HTAB *rq_index_create(MemoryContext cxt, const char *name);
extern void rq_index_add(HTAB *index, uint64 of, uint32 queue_id, int at);

/* -1 = it is not there. */
extern int	rq_index_find(HTAB *index, uint64 of, uint32 queue_id);

#endif							/* RQ_INDEX_H */
