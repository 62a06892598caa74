/*
 * fuzz_redo.c
 *	  A state file and WAL records of any bytes: load the one and replay the
 *	  others, with the server's own code and tables of a small size.
 *
 * The input begins with the length of the state file, 16 bits, and the file.
 * Records follow: type, 8 bits, length, 16 bits, and data.  The state file gets
 * the length and the checksum that it should have, and on demand (bit 15 of its
 * length) what else the header has to have.  A report of any level ends the
 * round, as it ends recovery.
 */
#include "fuzz_format.h"

#include "storage/fd.h"

#include "base/rq_guc.h"
#include "extent/rq_extmem.h"
#include "format/rq_statefmt.h"
#include "format/rq_walrec.h"
#include "fuzz_server.h"
#include "queue/rq_extload.h"
#include "store/rq_durable.h"
#include "store/rq_map.h"
#include "store/rq_stream.h"
#include "wal/rq_stateload.h"

/* For the table of functions that it registers with the server. */
#include "wal/rq_rmgr.c"

#define MAX_FILES	16
#define MAX_CHUNKS	8

bool		InRecovery = true;
bool		reachedConsistency = false;
bool		ArchiveRecoveryRequested = false;

static StringInfoData state;

/* ---- the store's files, in memory ---- */

typedef struct File
{
	uint64		segno;
	char	   *bytes;
}			StoreFile;

static StoreFile files[MAX_FILES];
static int	nfiles;

char *
rq_map_log(uint64 segno, uint64 size, RqMapMode mode, bool repair)
{
	StoreFile  *f;

	for (f = files; f < files + nfiles; f++)
		if (f->segno == segno)
			return f->bytes;
	if (nfiles == MAX_FILES || size > 1024 * 1024)
		fuzz_end_round();
	f = &files[nfiles++];
	f->segno = segno;
	f->bytes = calloc(1, size);
	return f->bytes;
}

/* ---- area files, by chunk ---- */

static char *chunks[MAX_CHUNKS];
uint64		rq_map_areas_gone = 0;

char *
rq_area_chunk(uint32 chunk, RqMapMode mode)
{
	return chunk < MAX_CHUNKS ? chunks[chunk] : NULL;
}

int
rq_area_fill(uint32 chunk, int class, uint64 store)
{
	if (chunk >= MAX_CHUNKS)
		fuzz_end_round();
	free(chunks[chunk]);
	chunks[chunk] = calloc(1, RQ_CHUNK_SIZE);
	return 0;
}

int
rq_area_raze(uint32 chunk)
{
	return 0;
}

void
rq_area_mark(RqAreaMarks *marks, uint32 chunk)
{
}

uint32
rq_area_sync(RqAreaMarks *marks)
{
	return 0;
}

void
rq_area_visit(uint64 store, RqChunkVisit visit, void *arg)
{
	for (uint32 i = 0; i < MAX_CHUNKS; i++)
		if (chunks[i] != NULL)
		{
			int			class = rq_chunk_class(i);

			visit(i, class, rq_area_header(chunks[i], 1),
				  class < 0 ? 0 : rq_ext_places[class], true, arg);
		}
}

void
rq_area_cut(void)
{
}

bool
rq_area_read_entries(uint32 chunk, int class, uint32 place,
					 RqEntry *entries, uint32 n)
{
	memcpy(entries, rq_area_entries(chunks[chunk], class, place),
		   n * sizeof(RqEntry));
	return true;
}

void
rq_area_write_entries(uint32 chunk, int class, uint32 place,
					  const RqEntry *entries, uint32 n)
{
	memcpy(rq_area_entries(chunks[chunk], class, place), entries,
		   n * sizeof(RqEntry));
}

/* The state file. */
struct RqReader
{
	int			unused;
};

RqReader *
rq_reader_open(const char *path, uint64 *len)
{
	*len = state.len;
	return memset(palloc(sizeof(RqReader)), 0, sizeof(RqReader));
}

bool
rq_reader_read(void *reader, uint64 at, void *to, uint64 size)
{
	if (at > (uint64) state.len || size > (uint64) state.len - at)
		return false;
	memcpy(to, state.data + at, size);
	return true;
}

void
rq_reader_close(RqReader *r)
{
	pfree(r);
}

/* There are no directories, and no files that could be missing. */
void
rq_refuse_links(void)
{
}

void
rq_make_directories(void)
{
}

void
rq_make_note(const char *path, const char *text)
{
}

void
rq_files_check_begin(bool found)
{
}

static void
is_missing(RqQueue *q, RqOff from, RqOff to, void *arg)
{
}

/* All that queues have is missing, so extents are made for it. */
void
rq_files_check_loaded(void)
{
	rq_extent_load_finish(rq_extent_load_begin(is_missing, NULL), true);
}

bool
rq_files_check_replayed(int elevel)
{
	return true;
}

DIR *
AllocateDir(const char *path)
{
	errno = ENOENT;
	return NULL;
}

static int	removed;

/* A trim of very many segments would take long and prove nothing. */
bool
rq_remove_segment(const char *path)
{
	if (++removed > 1000)
		fuzz_end_round();
	return true;
}

/* ---- rounds ---- */

static void
forget_files(void)
{
	while (nfiles > 0)
		free(files[--nfiles].bytes);
	for (int i = 0; i < MAX_CHUNKS; i++)
	{
		free(chunks[i]);
		chunks[i] = NULL;
	}
	removed = 0;
}

/*
 * Take the state file from the input: a header, and one batch, whose records are
 * all that follows.  Its place and length are put right, and checksums.
 */
static const uint8 *
take_state(const uint8 *data, const uint8 *end)
{
	uint16		len = data[0] | (data[1] & 0x7F) << 8;
	bool		help = (data[1] & 0x80) != 0;
	RqStateHeader *h;
	RqStateBatch *b;

	data += 2;
	len = Min(len, end - data);
	initStringInfo(&state);
	appendBinaryStringInfo(&state, (const char *) data, len);
	while (state.len < (int) (sizeof(*h) + sizeof(*b)))
		appendStringInfoChar(&state, '\0');
	h = (RqStateHeader *) state.data;
	b = (RqStateBatch *) (state.data + sizeof(*h));
	if (help)
	{
		h->segment_mb = 1;
		b->flags |= RQ_STATE_END;
		b->log_start %= 1 << 22;
		b->log_end %= 1 << 22;
		b->extent_seq %= 1 << 22;
		b->extent_chunks %= 4;
		b->next_group_id |= 0xFF00;
	}
	b->flags |= RQ_STATE_FINAL;
	b->id = h->id;
	b->at = sizeof(*h);
	b->seq = 1;
	b->bytes = state.len - sizeof(*h);
	rq_state_seal_header(h);
	rq_state_seal_batch((char *) b);
	return data + len;
}

static void
replay(const uint8 *data, const uint8 *end)
{
	XLogRecPtr	lsn = 1000;

	while (end - data >= 3)
	{
		XLogReaderState reader = {0};
		DecodedXLogRecord record = {0};
		uint16		len = data[1] | data[2] << 8;
		StringInfoData buf;

		len = Min(len, end - data - 3);
		record.header.xl_info = data[0];
		record.main_data = fuzz_copy_record(data + 3, len, RQ_WAL_VERSION);
		record.main_data_len = len + 1;
		reader.record = &record;
		reader.EndRecPtr = ++lsn;
		fuzz_free_later(record.main_data);
		initStringInfo(&buf);
		rocketq_rmgr.rm_desc(&buf, &reader);
		pfree(buf.data);
		rocketq_rmgr.rm_redo(&reader);
		data += 3 + len;
	}
}

int
LLVMFuzzerTestOneInput(const uint8 *data, size_t size)
{
	const uint8 *end = data + size;

	if (size < 2)
		return 0;
	rq_max_topics = 4;
	rq_max_queues = 16;
	rq_max_consumer_slots = 32;
	data = take_state(data, end);
	fuzz_start_server();
	if (sigsetjmp(fuzz_round, 0) == 0)
	{
		rq_state_load();
		replay(data, end);
	}
	forget_files();
	fuzz_stop_server();
	return 0;
}
