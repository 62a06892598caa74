/*
 * fuzz_settings.c
 *	  The text of a topic's settings, as anybody can put it into a label: what
 *	  is taken for a list must be one when it is printed, and say the same.
 */
#include "fuzz_format.h"

#include "format/rq_settings.h"

static void
check_printed(const RqTopicSettings *s)
{
	RqTopicSettings again;
	StringInfoData buf;

	if (rq_settings_find_wrong(s) != NULL)
		abort();
	initStringInfo(&buf);
	rq_settings_print(&buf, s);
	if (rq_settings_parse(buf.data, &again) != NULL ||
		!rq_settings_equal(s, &again))
		abort();
	pfree(buf.data);
}

int
LLVMFuzzerTestOneInput(const uint8 *data, size_t size)
{
	char	   *list = malloc(size + 1);
	char	   *problem;
	RqTopicSettings s;

	memcpy(list, data, size);
	list[size] = '\0';
	problem = rq_settings_parse(list, &s);
	if (problem == NULL)
		check_printed(&s);
	else
		pfree(problem);
	free(list);
	return 0;
}
