/*
 * rq_tagfilter.h
 *	  Tag filters: "*", or tags joined by ||.
 */
#ifndef RQ_TAGFILTER_H
#define RQ_TAGFILTER_H

#include "consume/rq_filter.h"

/* Each entry that is read is compared with them. */
#define RQ_FILTER_TAGS_MAX	1000

/*
 * Parse an expression; palloc'd.  Throws when it is malformed, or has more than
 * RQ_FILTER_TAGS_MAX tags.
 */
extern RqFilter *rq_tagfilter_parse(const char *expression);

#endif							/* RQ_TAGFILTER_H */
