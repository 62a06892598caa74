/*
 * rq_filter.h
 *	  Tag filters: "*", or tags joined by ||.
 */
#ifndef RQ_FILTER_H
#define RQ_FILTER_H

#include "format/rq_cqfmt.h"
#include "format/rq_framefmt.h"

typedef struct RqFilter RqFilter;

/* Each entry that is read is compared with them. */
#define RQ_FILTER_TAGS_MAX	1000

/*
 * Why nobody could filter for this tag; NULL if somebody can.  A sentence for an
 * error's detail.
 */
extern const char *rq_tag_problem(const char *tag, uint32 len);

/*
 * Parse an expression; palloc'd.  Throws when it is malformed, or has more than
 * RQ_FILTER_TAGS_MAX tags.
 */
extern RqFilter *rq_filter_parse(const char *expression);

/* Could the entry's message match? */
extern bool rq_filter_entry(const RqFilter *f, const RqEntry *e);

/* Does the message match? */
extern bool rq_filter_message(const RqFilter *f, const RqParts *m);

/*
 * The hashes of its tags; returns how many.  0 stands for every message, and
 * for more than "max" tags.
 */
extern uint32 rq_filter_tags(const RqFilter *f, uint32 *hashes, uint32 max);

#endif							/* RQ_FILTER_H */
