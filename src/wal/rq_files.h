/*
 * rq_files.h
 *	  Are the files there that the state file describes, and no others?
 */
#ifndef RQ_FILES_H
#define RQ_FILES_H

#include "base/rq_base.h"

/*
 * All has been replayed, or replay is consistent: are the files there by now
 * that were missing when the state was loaded?  If not, reports that at this
 * level and returns false, unless the server is to go on without them.
 * Whoever comes first checks: the startup process, or the keeper, when there
 * was no WAL to be replayed.
 */
extern bool rq_files_check_replayed(int elevel);

/*
 * Note on disk that the state file is the last word: all is synced, nobody
 * adds anything any more, and no files are left of what was dropped.
 * Called by the keeper; throws if the note cannot be made.
 */
extern void rq_files_note_closed(void);

/*
 * Remove that note, before anything is added or tidied up, by whoever comes
 * first: the startup process or the keeper.  Throws if it cannot be removed.
 */
extern void rq_files_forget_closed(void);

#endif							/* RQ_FILES_H */
