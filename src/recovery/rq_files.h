/*
 * rq_files.h
 *	  The store's files, as names in its directories.
 */
#ifndef RQ_FILES_H
#define RQ_FILES_H

#include "base/rq_base.h"

/*
 * All has been replayed, or what is consistent: is there what was missing when
 * the state was loaded?  Tells at this level if not; and false unless the server
 * is to go on without.  Whoever comes first looks: the startup process, or the
 * keeper, when there was no WAL to be replayed.
 */
extern bool rq_files_check_replayed(int elevel);

/* Call "visit" for each name in a directory; a missing one has none. */
typedef void (*RqFileVisit) (const char *dir, const char *name, void *arg);
extern void rq_files_visit(const char *dir, RqFileVisit visit, void *arg);

/*
 * Remove what nobody will ever need: temporary files, what was put away to be
 * removed, segments that are trimmed, queues and topics that do not exist.  With
 * "all" also segments beyond the ends, which redo may still come to; then nobody
 * else may use the store yet.  Called by the startup process before it replays,
 * and by the keeper after recovery.
 */
extern void rq_files_tidy(bool all);

#endif							/* RQ_FILES_H */
