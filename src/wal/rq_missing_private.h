/*
 * rq_missing_private.h
 *	  Between rq_missing.c and rq_files.c.
 */
#ifndef RQ_MISSING_PRIVATE_H
#define RQ_MISSING_PRIVATE_H

#include "base/rq_base.h"

/* A segment; of the log if "key" is zeros. */
typedef struct RqStoreFile
{
	RqKey		key;
	uint32		queue_id;
	uint64		segno;
	bool		there;			/* it was when the state was loaded, but too
								 * short or perhaps not whole */
} RqStoreFile;

#define RQ_IS_OF_LOG(f)		((f)->key.rel == InvalidOid)

extern void rq_store_file_path(char *path, const RqStoreFile *f);

/*
 * Note on disk that these are missing, in place of what was noted before; call
 * "visit" for each that is noted; forget the note, if there is one.  They throw.
 */
extern void rq_missing_write(const RqStoreFile *files, uint64 n);
extern void rq_missing_read(void (*visit) (RqStoreFile f));
extern void rq_missing_forget(void);

#endif							/* RQ_MISSING_PRIVATE_H */
