/*
 * rq_stream.h
 *	  Files of any size that are read and replaced as a whole, through a buffer
 *	  of a fixed size.
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

/* The next bytes of the file; false when it ends before, or can't be read. */
extern bool rq_reader_read(RqReader *r, void *to, uint64 size);
extern void rq_reader_close(RqReader *r);

/*
 * Begin to replace a file by a header of "header_len" bytes and what is added
 * then.  Nothing is written as long as that is what the file holds already.
 * The writer is palloc'd; rq_writer_end() must be called whatever happens in
 * between, and takes back what has not been put in place.
 */
extern RqWriter *rq_writer_begin(const char *path, uint32 header_len);
extern void rq_writer_end(RqWriter *w);

/* May throw when the disk is full; so may the two below. */
extern void rq_writer_add(RqWriter *w, const void *data, uint64 size);

/*
 * All has been added: is that, the header left out, what the file holds?  Then
 * "old_header" gets the file's header.
 */
extern bool rq_writer_same(RqWriter *w, void *old_header);

/* How long the file is with all that has been added. */
extern uint64 rq_writer_length(const RqWriter *w);

/* CRC-32C, not finished, of what has been added. */
extern uint32 rq_writer_crc(const RqWriter *w);

/* Put the new file in the old one's place, durably. */
extern void rq_writer_replace(RqWriter *w, const void *header);

#endif							/* RQ_STREAM_H */
