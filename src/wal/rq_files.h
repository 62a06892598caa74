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

#endif							/* RQ_FILES_H */
