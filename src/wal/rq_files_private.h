/*
 * rq_files_private.h
 *	  Are the files there that the state file describes, and no others?
 */
#ifndef RQ_FILES_PRIVATE_H
#define RQ_FILES_PRIVATE_H

#include "base/rq_base.h"

/*
 * How to go on without the messages; takes the store's directory and the note
 * of it.
 */
#define RQ_EMPTY_HINT \
	"To start with an empty store after a clean shutdown, remove \"%s\" and \"%s\"."

/*
 * Before anything is changed, "found" = there is a state file: FATAL if there
 * should be one.
 */
extern void rq_files_check_begin(bool found);

/*
 * The state has been loaded, nothing is replayed yet.  FATAL if the server was
 * shut down in order and the files are not those that the state describes, or
 * if a directory of theirs is missing.  Otherwise what is missing is noted for
 * rq_files_check_replayed() (rq_files.h), directories are made, and the queues
 * get their extents.
 */
extern void rq_files_check_loaded(void);

/* Does a segment of the log hold something? */
extern bool rq_log_file_holds_something(const char *path);

#endif							/* RQ_FILES_PRIVATE_H */
