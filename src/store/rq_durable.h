/*
 * rq_durable.h
 *	  Files and directories of the store: create, fsync, replace, remove.
 */
#ifndef RQ_DURABLE_H
#define RQ_DURABLE_H

#include "base/rq_base.h"

/* FATAL if one of the store's directories is a symbolic link. */
extern void rq_refuse_links(void);

/* Make the store's directories if they are missing. */
extern void rq_make_directories(void);

/*
 * Create a file of "size" bytes, allocated and zero-filled, that begins with
 * "header" (may be NULL), under its name only once it is complete.  With
 * "sync" it is durable, name included.  A file that another process has put
 * there concurrently is left alone.  Returns 0 or an errno.
 */
extern int	rq_create_segment(const char *path, uint64 size,
							  const void *header, uint32 header_len,
							  bool sync);

/* Allocate the bytes [from, to) of a file, and write zeros; 0 or an errno. */
extern int	rq_fill_zeros(int fd, uint64 from, uint64 to);

/* Zero the bytes [from, size) of an existing segment; returns 0 or an errno. */
extern int	rq_zero_tail(const char *path, uint64 from, uint64 size);

/* pg_fsync(), and pg_stat_activity says so. */
extern int	rq_fsync_fd(int fd);

/*
 * Give the space of [from, from + len) of a file back, where the file system
 * can do that; then the bytes are zeros.  Best effort, reports nothing.
 */
extern void rq_punch_hole(int fd, uint64 from, uint64 len);

/* Statistics of rq_fsync_path(): files only, no directories. */
typedef struct RqFsyncs
{
	uint64		files;
	uint64		longest_us;
} RqFsyncs;

extern RqFsyncs rq_fsyncs;

/* fsync a file or directory; PANIC on failure, false if it does not exist. */
extern bool rq_fsync_path(const char *path, bool isdir);

/*
 * Have the kernel begin to write [from, to) of a file to its disk.  A hint:
 * does nothing if the file cannot be opened or no longer exists.
 */
extern void rq_flush_path(const char *path, uint64 from, uint64 to);

/*
 * Give a segment's space back at once, also under mappings others still have
 * (they read zeros), then remove it.  A missing file is fine.  If it is still
 * there, reports that in the server log and returns false.
 */
extern bool rq_remove_segment(const char *path);

/*
 * Call "visit" for each name in a directory; a missing one has none.  If the
 * directory cannot be read, or not to its end, reports that in the server log
 * and returns false: "visit" has not been called for all names.
 */
typedef void (*RqDirVisit) (const char *dir, const char *name, void *arg);
extern bool rq_visit_dir(const char *dir, RqDirVisit visit, void *arg);

/* Remove temporary files that a crash left in a directory. */
extern void rq_remove_temporaries(const char *dir);

/* Make a small file with this text, durably, if there is none. */
extern void rq_make_note(const char *path, const char *note);

#endif							/* RQ_DURABLE_H */
