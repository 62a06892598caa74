/*
 * rq_stream.h
 *	  A file of any size that is read anywhere through a buffer of a fixed size,
 *	  and is lengthened or replaced.
 */
#ifndef RQ_STREAM_H
#define RQ_STREAM_H

#include "base/rq_base.h"

typedef struct RqReader RqReader;
typedef struct RqWriter RqWriter;

/*
 * Begin to read a file, which has "len" bytes; NULL if there is none.  Throws
 * when it can't be opened.  The reader is palloc'd; its file is open until
 * rq_reader_close(), which must be called whatever happens in between.
 */
extern RqReader *rq_reader_open(const char *path, uint64 *len);

/*
 * Bytes of the file; false when it ends before, or can't be read.  "reader" is an
 * RqReader; its type is that of RqStateSource, for which this reads.
 */
extern bool rq_reader_read(void *reader, uint64 at, void *to, uint64 size);
extern void rq_reader_close(RqReader *r);

/*
 * Begin to write to a file from byte "at" on; whatever it has there is cut off.
 * With 0 a new file is begun beside it, which takes its place when it is
 * finished.  The writer is palloc'd; rq_writer_end() must be called whatever
 * happens in between, and removes a new file that has not been finished.
 */
extern RqWriter *rq_writer_begin(const char *path, uint64 at);
extern void rq_writer_end(RqWriter *w);

/*
 * Write the next bytes, which may come to disk in any order, or not at all.
 * The disk begins to work on them as they become many, so that whoever waits for
 * all of them in the end does not wait long.  May throw when the disk is full.
 */
extern void rq_writer_add(RqWriter *w, const void *data, uint64 size);

/* Where in the file the next bytes go. */
extern uint64 rq_writer_at(const RqWriter *w);

/*
 * Have the kernel begin to write what has been added, or with "wait" have it on
 * disk; an error of the latter is one of a failed fsync.
 */
extern void rq_writer_flush(RqWriter *w, bool wait);

/* Make all that has been written durable, and a new file the file. */
extern void rq_writer_finish(RqWriter *w);

#endif							/* RQ_STREAM_H */
