/*
 * rq_tidy.h
 *	  Remove segments of the log that a crash has left, or a base backup has
 *	  brought.
 */
#ifndef RQ_TIDY_H
#define RQ_TIDY_H

/*
 * Remove what nobody will ever need: temporary files, and segments of the log that
 * are trimmed.  With "all" also those beyond its end, which is too early as long
 * as redo may come to them.  Nobody else may use the store yet.  Called by the
 * startup process before it replays, and by the keeper after recovery.
 */
extern void rq_files_tidy(bool all);

/*
 * Remove what could not be removed when it was trimmed.  False if there is, or may
 * be, something that the next start would take for messages.
 */
extern bool rq_files_tidy_leftovers(void);

#endif							/* RQ_TIDY_H */
