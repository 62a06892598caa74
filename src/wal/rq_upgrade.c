/*
 * rq_upgrade.c
 *	  Can this library work with the store, and the WAL that follows it?
 *
 * Given a store that another build or another version of rocketq has written,
 * what is to be done before the server can start?  The header of the state file
 * says what it was, and can be read whatever the version.
 *
 *	  - A newer store: nothing, since we don't know what is in it.
 *	  - An older one: each step makes of a store of one version one of the next.
 *	  - WAL of a version that redo does not know, or of another resource manager
 *		id: nothing either, as long as some is to be replayed.
 *
 * Whether the store is refused for what the header says is known before anything
 * is changed.  A step can be interrupted anywhere, and is done again by the next
 * start, since only with the header that is written after it the store has the
 * next version.
 */
#include "postgres.h"

#include <ctype.h>
#include <fcntl.h>
#include <unistd.h>

#include "storage/fd.h"

#include "base/rq_fault.h"
#include "format/rq_segfmt.h"
#include "format/rq_statefmt.h"
#include "store/rq_durable.h"
#include "store/rq_stream.h"
#include "wal/rq_control.h"
#include "wal/rq_upgrade.h"

#define COPY_BYTES	(64 * 1024)

/* ---- steps ---- */

/*
 * Makes of the files of version "from" files of the next, durably.  Files can be
 * so already, and nothing has been checked.  What others still have to read
 * in the old format need not be changed.  A version that has other records in
 * the state file is to write these, too.
 */
typedef struct Step
{
	uint32		from;
	void		(*upgrade_files) (const RqStateHeader *header);
} Step;

#ifdef RQ_TESTING

static void
upgrade_segment(const char *dir, const char *name, void *header)
{
	char		path[MAXPGPATH];
	uint64		segno;
	RqSegHeader h;
	uint32		mb = ((const RqStateHeader *) header)->segment_mb;
	int			fd;

	if (!rq_parse_log_name(name, &segno))
		return;
	rq_log_path(path, segno);
	rq_seg_header_init(&h, mb, segno * mb * 1024 * 1024);
	fd = BasicOpenFile(path, O_RDWR | PG_BINARY);
	if (fd < 0 || pg_pwrite(fd, &h, sizeof(h), 0) != sizeof(h))
		ereport(FATAL,
				(errcode_for_file_access(),
				 errmsg("could not upgrade file \"%s\": %m", path)));
	close(fd);
	rq_fsync_path(path, false);
	RQ_FAULT("upgrade-file");
}

/*
 * Version 0 never was: in a store of the tests it is that of the headers of
 * segments.
 */
static void
upgrade_from_0(const RqStateHeader *header)
{
	if (!rq_visit_dir(RQ_LOG_DIR, upgrade_segment, unconstify(RqStateHeader *, header)))
		ereport(FATAL,
				(errcode(ERRCODE_IO_ERROR),
				 errmsg("could not upgrade the files in \"%s\"", RQ_LOG_DIR)));
}

#endif

static const Step steps[] = {
#ifdef RQ_TESTING
	{0, upgrade_from_0},
#endif
	{RQ_STORE_VERSION, NULL}
};

static const Step *
step_from(uint32 version)
{
	const Step *step = steps;

	while (step->upgrade_files != NULL && step->from != version)
		step++;
	if (RQ_FAULT_FAILS("upgrade-step"))
		return NULL;
	return step->upgrade_files != NULL ? step : NULL;
}

/* ---- read and write the header ---- */

/* False if there is none that is sound. */
static bool
read_state_header(RqStateHeader *header)
{
	RqStateSource s = {.read = rq_reader_read};
	bool		found;

	s.file = rq_reader_open(RQ_STATE_FILE, &s.length);
	if (s.file == NULL)
		return false;
	found = rq_state_read_header(&s, header) == NULL;
	rq_reader_close(s.file);
	return found;
}

static void
copy_records(RqReader *from, uint64 length, RqWriter *to)
{
	char	   *buf = palloc(COPY_BYTES);

	for (uint64 at = sizeof(RqStateHeader); at < length;)
	{
		uint64		n = Min(COPY_BYTES, length - at);

		if (!rq_reader_read(from, at, buf, n))
			ereport(FATAL,
					(errcode_for_file_access(),
					 errmsg("could not read file \"%s\": %m", RQ_STATE_FILE)));
		rq_writer_add(to, buf, n);
		at += n;
	}
	pfree(buf);
}

/*
 * Put a file in the place of the state file that has this header and is the same
 * otherwise.
 */
static void
write_header(RqStateHeader *header)
{
	uint64		length;
	RqReader   *from = rq_reader_open(RQ_STATE_FILE, &length);
	RqWriter   *to = rq_writer_begin(RQ_STATE_FILE, 0);

	rq_state_reseal_header(header);
	rq_writer_add(to, header, sizeof(*header));
	copy_records(from, length, to);
	rq_writer_finish(to);
	rq_writer_end(to);
	rq_reader_close(from);
}

/* ---- refuse ---- */

/* Who has written the store, as far as it is a version; palloc'd. */
static char *
writer_of(const RqStateHeader *h)
{
	size_t		len = 0;

	while (len < sizeof(h->writer) &&
		   (isalnum((unsigned char) h->writer[len]) || h->writer[len] == '.'))
		len++;
	return pnstrdup(h->writer, len);
}

static void
refuse_newer(const RqStateHeader *h)
{
	ereport(FATAL,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("the rocketq store was written by a newer version of rocketq"),
			 errdetail("It has version %u, written by rocketq %s.  This is rocketq %s, which knows stores up to version %u.",
					   h->version, writer_of(h), RQ_LIBRARY_VERSION, RQ_STORE_VERSION),
			 errhint("Install rocketq %s, or a newer version, and start the server again.",
					 writer_of(h))));
}

static void
refuse_older(const RqStateHeader *h)
{
	ereport(FATAL,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("the rocketq store was written by a version of rocketq that is too old"),
			 errdetail("It has version %u, written by rocketq %s.  This is rocketq %s, which cannot upgrade it to version %u.",
					   h->version, writer_of(h), RQ_LIBRARY_VERSION, RQ_STORE_VERSION),
			 errhint("Start and stop the server with a version of rocketq in between.")));
}

static void
refuse_wal(const RqStateHeader *h)
{
	ereport(FATAL,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("WAL of another version of rocketq is to be replayed"),
			 errdetail("Its records have version %u, written by rocketq %s.  This is rocketq %s, which knows versions %u to %u.",
					   h->wal_version, writer_of(h), RQ_LIBRARY_VERSION, RQ_WAL_OLDEST, RQ_WAL_VERSION),
			 errhint("Start the server with rocketq %s, stop it with mode \"fast\" or \"smart\", and then install this version.  "
					 "Make a standby anew from a base backup.", writer_of(h))));
}

static void
refuse_rmgr(const RqStateHeader *h)
{
	ereport(FATAL,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("rocketq's WAL to be replayed has resource manager id %u, and the library was built with %u",
					h->rmgr_id, rq_rmgr_id),
			 errhint("Start the server with a library that was built with RMGR_ID=%u, stop it with mode \"fast\" or \"smart\", and then install this one.  "
					 "Make a standby anew from a base backup.", h->rmgr_id)));
}

/* What the header says matters only if something is to be replayed. */
static void
check_wal(const RqStateHeader *h)
{
	bool		replay;

	(void) rq_redo_start(&replay);
	if (!replay)
		return;
	if (h->wal_version < RQ_WAL_OLDEST || h->wal_version > RQ_WAL_VERSION)
		refuse_wal(h);
	if (h->rmgr_id != rq_rmgr_id)
		refuse_rmgr(h);
}

static void
check_steps(const RqStateHeader *h)
{
	if (h->version > RQ_STORE_VERSION)
		refuse_newer(h);
	for (uint32 version = h->version; version < RQ_STORE_VERSION; version++)
		if (step_from(version) == NULL)
			refuse_older(h);
}

/* ---- upgrade ---- */

static void
upgrade(RqStateHeader *h)
{
	while (h->version < RQ_STORE_VERSION)
	{
		ereport(LOG,
				(errmsg("upgrading the rocketq store from version %u to %u",
						h->version, h->version + 1)));
		step_from(h->version)->upgrade_files(h);
		RQ_FAULT("upgrade-files");
		h->version++;
		write_header(h);
	}
}

/*
 * That the header has been written is also what later starts rely on: until then
 * no record of ours is in WAL, and it says what redo will come across.
 */
void
rq_store_upgrade(void)
{
	RqStateHeader h;

	if (!read_state_header(&h))
		return;
	if (h.version == RQ_STORE_VERSION && h.wal_version == RQ_WAL_VERSION &&
		h.rmgr_id == rq_rmgr_id)
		return;
	check_steps(&h);
	check_wal(&h);
	upgrade(&h);
	if (h.wal_version != RQ_WAL_VERSION)
		ereport(LOG,
				(errmsg("rocketq's WAL records have version %u from now on, before %u",
						RQ_WAL_VERSION, h.wal_version)));
	if (h.rmgr_id != rq_rmgr_id)
		ereport(LOG,
				(errmsg("rocketq's WAL records have resource manager id %u from now on, before %u",
						rq_rmgr_id, h.rmgr_id)));
	rq_state_seal_header(&h);
	write_header(&h);
}
