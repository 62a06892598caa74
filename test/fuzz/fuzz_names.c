/*
 * fuzz_names.c
 *	  The parsers of file names: whatever they accept must be the name that the
 *	  same numbers give.
 */
#include "fuzz_format.h"

#include "format/rq_segfmt.h"

/* Is "name" the last part of "path"? */
static void
must_end(const char *path, const char *name)
{
	const char *last = strrchr(path, '/');

	if (last == NULL || strcmp(last + 1, name) != 0)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8 *data, size_t size)
{
	char	   *name = malloc(size + 1);
	char		path[MAXPGPATH];
	uint64		segno;
	uint32		area;

	memcpy(name, data, size);
	name[size] = '\0';
	if (rq_parse_log_name(name, &segno))
	{
		rq_log_path(path, segno);
		must_end(path, name);
	}
	if (rq_parse_area_name(name, &area))
	{
		rq_area_path(path, area);
		must_end(path, name);
	}
	free(name);
	return 0;
}
