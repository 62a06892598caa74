/*
 * rq_tidy.h
 *	  Remove files that a crash has left, or a base backup has brought.
 */
#ifndef RQ_TIDY_H
#define RQ_TIDY_H

/*
 * Remove what nobody will ever need: temporary files, what was put away to be
 * removed, segments that are trimmed, queues and topics that do not exist.
 * With "all" also segments beyond the ends, which is too early as long as redo
 * may come to them.  Nobody else may use the store yet.  Called by the startup
 * process before it replays, and by the keeper after recovery.
 */
extern void rq_files_tidy(bool all);

/*
 * Remove what is left of topics and queues that no longer exist
 * and of what was trimmed.  False if there is, or may be,
 * something that the next start would take for messages.  Takes the meta lock.
 */
extern bool rq_files_tidy_leftovers(void);

#endif							/* RQ_TIDY_H */
