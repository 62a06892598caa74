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

/*
 * Make again, without what they held, the segments that the log and the queues
 * end in, where they are missing.  Called by the keeper if the server is to go on
 * without, before anybody uses the store; throws if a file cannot be made.
 */
extern void rq_files_make_lost(void);

/*
 * Say on disk that the state file is the last word: all is synced, nobody adds
 * anything any more, and no files are left of what is gone.  Called by the
 * keeper; throws if it cannot be.
 */
extern void rq_files_note_closed(void);

/*
 * Take that back on disk, before anything is added or tidied up, by whoever comes
 * first: the startup process or the keeper.  Throws if it cannot be.
 */
extern void rq_files_forget_closed(void);

/*
 * Call "visit" for each name in a directory; a missing one has none.  False if
 * the directory could not be read.
 */
typedef void (*RqFileVisit) (const char *dir, const char *name, void *arg);
extern bool rq_files_visit(const char *dir, RqFileVisit visit, void *arg);

/*
 * Remove what nobody will ever need: temporary files, what was put away to be
 * removed, segments that are trimmed, queues and topics that do not exist.  With
 * "all" also segments beyond the ends, which redo may still come to; then nobody
 * else may use the store yet.  Called by the startup process before it replays,
 * and by the keeper after recovery.
 */
extern void rq_files_tidy(bool all);

/*
 * Remove what is left of topics and queues that are gone (topic/rq_trash.c).
 * False if there is still something, or may be.  Takes the meta lock.
 */
extern bool rq_files_tidy_leftovers(void);

#endif							/* RQ_FILES_H */
