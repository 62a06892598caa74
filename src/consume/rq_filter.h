/*
 * rq_filter.h
 *	  Which messages a reader wants.
 *
 * A kind of filter is a set of functions, so that consuming need not know how
 * it decides.  It is asked in two steps: by the entry, for which the message
 * need not be read, and then by the message.  Tags are one kind
 * (rq_tagfilter.h).
 */
#ifndef RQ_FILTER_H
#define RQ_FILTER_H

#include "format/rq_queuefmt.h"
#include "format/rq_framefmt.h"
#include "topic/rq_waiters.h"

/* The first member of each kind's own struct.  Functions may be NULL. */
typedef struct RqFilter RqFilter;
struct RqFilter
{
	/*
	 * Filters with the same id match the same messages; those who match the
	 * same can have different ids.  0 is for every message.
	 */
	uint64		id;

	/* Could the entry's message match?  Decides without reading it. */
	bool		(*match_entry) (const RqFilter *f, const RqEntry *e);

	/* Does the message match?  Its parts last for the call.  May throw. */
	bool		(*match_message) (const RqFilter *f, const RqParts *m);

	/*
	 * Add tags such that each message that matches has one of them, for those
	 * who wake waiters.  None stands for every message.  Can't throw.
	 */
	void		(*wake_tags) (const RqFilter *f, RqWakeTags *tags);
};

static inline bool
rq_filter_entry(const RqFilter *f, const RqEntry *e)
{
	return f->match_entry == NULL || f->match_entry(f, e);
}

static inline bool
rq_filter_message(const RqFilter *f, const RqParts *m)
{
	return f->match_message == NULL || f->match_message(f, m);
}

static inline void
rq_filter_wake_tags(const RqFilter *f, RqWakeTags *tags)
{
	if (f->wake_tags != NULL)
		f->wake_tags(f, tags);
}

#endif							/* RQ_FILTER_H */
