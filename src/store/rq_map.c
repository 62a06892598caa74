/*
 * rq_map.c
 *	  This process's mappings of segments.
 *
 * Given more segments than a process can keep mapped, which ones does it keep?
 * There is a hash table by segment, and for each kind a list, whose oldest
 * mapping goes first.  One that has been used since it came to the list's head
 * gets another turn (second chance).  The one that was asked for last stays:
 * the caller may be using it together with the one that is now being mapped.
 *
 * A file is at least as long as its mapping when it is mapped.  If somebody
 * cuts it later, or the disk cannot read a page, the kernel sends SIGBUS to
 * the process that accesses it.  See bus_error().
 */
#include "postgres.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/ilist.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "base/rq_error.h"
#include "base/rq_fault.h"
#include "base/rq_waits.h"
#include "format/rq_extfmt.h"
#include "format/rq_segfmt.h"
#include "store/rq_durable.h"
#include "store/rq_map.h"

typedef enum MapKind
{
	MAP_LOG,
	MAP_AREA
} MapKind;

#define MAP_KINDS		2

/*
 * Most mappings of a kind that one process keeps.  It uses few segments of the
 * log at a time.  Area files are few but large: their number limits page tables.
 */
static const int map_limit[MAP_KINDS] = {64, 128};

typedef struct MapKey
{
	uint64		segno;			/* or of an area file */
	uint32		kind;
	uint32		mode;
} MapKey;

typedef struct Mapping
{
	MapKey		key;
	char	   *base;
	bool		used;			/* since it came to the list's head */
	uint64		asked;			/* area files: a number that rises with each
								 * call for another one */
	uint64		size;
	dlist_node	node;
	char		path[64];
} Mapping;

/*
 * Process-local, so no lock; the handler of SIGBUS uses them, too, but that
 * interrupts only accesses to mapped bytes, never code of this file.
 */
static HTAB *maps = NULL;
static dlist_head list[MAP_KINDS];	/* newest first */
static int	nmaps[MAP_KINDS];
static Mapping *last_hit[MAP_KINDS];
static Mapping *pinned = NULL;	/* stays whatever comes */

uint64		rq_map_areas_gone = 0;

/* So many calls for another area file there were. */
static uint64 areas_asked = 0;

/* Those of area files by number and mode: every entry is looked up there. */
static Mapping *areas[RQ_AREAS_MAX][2];

static void forget_mapping(Mapping *m);

/*
 * The mapping that holds an address, NULL if none of ours does.  Searches them
 * all: it is called once for each error of a disk.
 */
static Mapping *
find_address(const char *at)
{
	for (int kind = 0; kind < MAP_KINDS; kind++)
	{
		dlist_iter	iter;

		dlist_foreach(iter, &list[kind])
		{
			Mapping    *m = dlist_container(Mapping, node, iter.cur);

			if (at >= m->base && at < m->base + m->size)
				return m;
		}
	}
	return NULL;
}

/*
 * A page of a mapped file cannot be read.  The signal comes from an access of
 * our own, not in the middle of other code, so an error can be raised from
 * here, as PostgreSQL does for SIGFPE.  In a critical section, or if the
 * address is in no mapping of ours or in the pinned one, the process ends as
 * it would without us: the default action is restored, and the access that is
 * repeated on return meets it.
 *
 * The mapping is forgotten, so that the next access maps the file again and
 * checks its length.
 */
static void
bus_error(int signo, siginfo_t *info, void *context)
{
	Mapping    *m = CritSectionCount > 0 ? NULL : find_address(info->si_addr);
	char		path[MAXPGPATH];

	if (m == NULL || m == pinned)
	{
		signal(SIGBUS, SIG_DFL);
		return;
	}
	strlcpy(path, m->path, sizeof(path));
	forget_mapping(m);
	rq_report_corruption(psprintf("file \"%s\"", path),
						 "it was cut short while it was mapped, or cannot be read from disk");
}

/*
 * SA_NODEFER because the handler does not return: PG_CATCH() is reached by a
 * longjmp that does not restore the signal mask, and SIGBUS would stay
 * blocked.
 */
static void
catch_bus_errors(void)
{
	struct sigaction action = {.sa_sigaction = bus_error,
	.sa_flags = SA_SIGINFO | SA_NODEFER};

	sigemptyset(&action.sa_mask);
	sigaction(SIGBUS, &action, NULL);
}

static void
create_table(void)
{
	HASHCTL		info = {.keysize = sizeof(MapKey),
		.entrysize = sizeof(Mapping),
	.hcxt = TopMemoryContext};

	maps = hash_create("rocketq mappings", 256, &info,
					   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	for (int i = 0; i < MAP_KINDS; i++)
		dlist_init(&list[i]);
	catch_bus_errors();
}

/*
 * Pointers into it are invalid afterwards; the head of rq_map.h says for how
 * long callers may rely on theirs.
 */
static void
forget_mapping(Mapping *m)
{
	int			kind = m->key.kind;

	Assert(m != pinned);
	munmap(m->base, m->size);
	dlist_delete(&m->node);
	nmaps[kind]--;
	if (last_hit[kind] == m)
		last_hit[kind] = NULL;
	if (kind == MAP_AREA)
	{
		areas[m->key.segno][m->key.mode] = NULL;
		rq_map_areas_gone++;
	}
	hash_search(maps, &m->key, HASH_REMOVE, NULL);
}

/*
 * Make an existing file as long as a segment must be, with zeros.  Only redo
 * does: a crash, or a base backup, can have left a file that is too short, and
 * WAL has whatever was in the rest.  Space is allocated before anything is
 * written, as in fill_segment() of rq_durable.c.
 */
static void
extend_file(int fd, const char *path, uint64 have, uint64 size)
{
	int			err;

	rq_wait_start(RQ_WAIT_FILE_ALLOCATE);
	do
		err = posix_fallocate(fd, 0, size);
	while (err == EINTR);
	rq_wait_end();
	if (err == 0 || err == EOPNOTSUPP || err == EINVAL)
		err = rq_zero_tail(path, have, size);
	if (err != 0)
	{
		close(fd);
		errno = err;
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not extend file \"%s\": %m", path)));
	}
}

/*
 * Map a file if nothing is wrong with it; else return NULL.  For callers that
 * must not throw, and leave it to others to report what is wrong.
 */
static char *
probe_file(const char *path, uint64 least, uint64 size, RqMapMode mode)
{
	bool		write = mode == RQ_MAP_PROBE_WRITE;
	int			fd = BasicOpenFile(path, (write ? O_RDWR : O_RDONLY) | PG_BINARY);
	struct stat st;
	char	   *base = MAP_FAILED;

	if (fd < 0)
		return NULL;
	if (fstat(fd, &st) == 0 && (uint64) st.st_size >= least)
		base = mmap(NULL, size, PROT_READ | (write ? PROT_WRITE : 0),
					MAP_SHARED, fd, 0);
	close(fd);
	return base == MAP_FAILED ? NULL : base;
}

/*
 * Map a file; NULL if there is none.  Its length, "least", is checked now,
 * because an access past the file's end would be a SIGBUS later, when nothing
 * but the address is known.  A file can be longer than the mapping.  The mapping stays
 * when the descriptor is closed, so mapped files do not count against
 * max_files_per_process.
 */
static char *
map_file(const char *path, uint64 least, uint64 size, RqMapMode mode,
		 bool repair)
{
	int			flags = mode == RQ_MAP_WRITE ? O_RDWR : O_RDONLY;
	int			prot = PROT_READ | (mode == RQ_MAP_WRITE ? PROT_WRITE : 0);
	int			fd = BasicOpenFile(path, flags | PG_BINARY);
	struct stat st;
	char	   *base;

	if (fd < 0)
	{
		if (errno == ENOENT)
			return NULL;
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not open file \"%s\": %m", path)));
	}
	if (fstat(fd, &st) != 0)
		st.st_size = 0;
	if ((uint64) st.st_size < least)
	{
		if (!repair)
		{
			close(fd);
			rq_report_corruption(psprintf("file \"%s\"", path),
								 psprintf("it has %lld bytes instead of %llu",
										  (long long) st.st_size,
										  (unsigned long long) least));
		}
		extend_file(fd, path, st.st_size, least);
	}
	base = mmap(NULL, size, prot, MAP_SHARED, fd, 0);
	close(fd);
	if (base == MAP_FAILED)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("could not map file \"%s\": %m", path),
				 errhint("The kernel setting vm.max_map_count limits the mappings of one process.")));
	return base;
}

/*
 * The last one asked for is found without the table, and nothing is written:
 * most calls are for it.
 */
static Mapping *
find(const MapKey *key)
{
	Mapping    *m = last_hit[key->kind];

	if (m && memcmp(&m->key, key, sizeof(*key)) == 0)
		return m;
	if (maps == NULL)
		create_table();
	m = hash_search(maps, key, HASH_FIND, NULL);
	if (m)
	{
		m->used = true;
		last_hit[key->kind] = m;
	}
	return m;
}

/* May the caller rely on its pointer?  The head of rq_map.h says how long. */
static bool
is_kept(const Mapping *m)
{
	if (m == pinned || m == last_hit[m->key.kind])
		return true;
	return m->key.kind == MAP_AREA && areas_asked - m->asked < RQ_MAP_AREAS_KEPT;
}

/*
 * Forget the oldest mapping that has not been used since it came to the list's
 * head.  Ends, since each round clears a flag, and the limits are larger than
 * the few that always stay.
 */
static void
forget_oldest(int kind)
{
	for (;;)
	{
		Mapping    *m = dlist_container(Mapping, node,
										dlist_tail_node(&list[kind]));

		if (!m->used && !is_kept(m))
		{
			forget_mapping(m);
			return;
		}
		m->used = false;
		dlist_move_head(&list[kind], &m->node);
	}
}

/*
 * The file is mapped before there is an entry for it, since mapping it can
 * throw.  Then another one is forgotten if there are too many, but not the one
 * that was asked for before: last_hit still is that one.
 */
static char *
get(const MapKey *key, const char *path, uint64 least, uint64 size,
	RqMapMode mode, bool repair)
{
	char	   *base = rq_map_probes(mode) ?
	probe_file(path, least, size, mode) :
	map_file(path, least, size, mode, repair);
	Mapping    *m;

	if (base == NULL)
		return NULL;
	if (nmaps[key->kind] >= map_limit[key->kind])
		forget_oldest(key->kind);
	m = hash_search(maps, key, HASH_ENTER, NULL);
	m->base = base;
	m->used = true;
	m->size = size;
	strlcpy(m->path, path, sizeof(m->path));
	dlist_push_head(&list[key->kind], &m->node);
	nmaps[key->kind]++;
	last_hit[key->kind] = m;
	return base;
}

/*
 * Probing shares the mappings of those who read or write.  Reading and writing
 * do not share theirs: a process that does both maps the file twice, and what
 * it writes through one is seen through the other.
 */
static uint32
key_mode(RqMapMode mode)
{
	switch (mode)
	{
		case RQ_MAP_PROBE:
			return RQ_MAP_READ;
		case RQ_MAP_PROBE_WRITE:
			return RQ_MAP_WRITE;
		default:
			return mode;
	}
}

char *
rq_map_log(uint64 segno, uint64 size, RqMapMode mode, bool repair)
{
	MapKey		key = {.segno = segno, .kind = MAP_LOG,
	.mode = key_mode(mode)};
	Mapping    *m = find(&key);
	char		path[MAXPGPATH];

	if (m)
		return m->base;
	rq_log_path(path, segno);
	return get(&key, path, size, size, mode, repair);
}

/*
 * Neither looks into the table nor counts as a use.  The last mapping can be
 * one for writing; that is not given to a reader.
 */
char *
rq_map_log_again(uint64 segno)
{
	const Mapping *m = last_hit[MAP_LOG];

	return m && m->key.segno == segno && m->key.mode == RQ_MAP_READ ? m->base : NULL;
}

/*
 * Whoever fills a chunk of the log (log/rq_gather.c) has to write it even
 * while it rolls back, when mapping the segment again could fail.
 */
void
rq_map_pin_log(const char *base)
{
	pinned = base == NULL ? NULL : last_hit[MAP_LOG];
	Assert(pinned == NULL || pinned->base == base);
}

/* False if a test wants it to fail, which who probes must not throw for. */
static bool
may_map_area(RqMapMode mode)
{
	if (rq_map_probes(mode))
		return !RQ_FAULT_FAILS("extent-map");
	RQ_FAULT("extent-map");
	return true;
}

/*
 * The length is checked only when the file is mapped.  After that it grows, and
 * nobody is told of a chunk before it is there.
 */
char *
rq_map_area(uint32 area, uint64 least, RqMapMode mode)
{
	MapKey		key = {.segno = area, .kind = MAP_AREA,
	.mode = key_mode(mode)};
	Mapping   **place = &areas[area][key.mode];
	char		path[MAXPGPATH];

	Assert(area < RQ_AREAS_MAX && least <= RQ_AREA_SIZE);
	if (*place == NULL)
	{
		if (maps == NULL)
			create_table();
		rq_area_path(path, area);
		if (!may_map_area(mode) ||
			get(&key, path, least, RQ_AREA_SIZE, mode, false) == NULL)
			return NULL;
		*place = last_hit[MAP_AREA];
		(*place)->asked = ++areas_asked;
	}
	else if (last_hit[MAP_AREA] != *place)
	{
		(*place)->used = true;
		(*place)->asked = ++areas_asked;
		last_hit[MAP_AREA] = *place;
	}
	return (*place)->base;
}

bool
rq_map_has_area(uint32 area, RqMapMode mode)
{
	Assert(area < RQ_AREAS_MAX);
	return areas[area][key_mode(mode)] != NULL;
}
