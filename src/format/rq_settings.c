/*
 * rq_settings.c
 *	  What the owner of a topic can set for it: values, ranges, and their text.
 *
 * Given a setting that code which stores, logs or checks settings has never
 * heard of, how does it treat it?  All of that goes through the table below,
 * which knows each field by its offset.
 */
#include "postgres.h"

#include "format/rq_settings.h"

#define FIELD(name)		offsetof(RqTopicSettings, name)

static const RqSetting settings[] = {
	{"queues", FIELD(nqueues), RQ_SETTING_NUMBER,
	1, RQ_QUEUES_MAX, RQ_SETTING_REQUIRED},
	{"retention_time", FIELD(retention_s), RQ_SETTING_SECONDS,
	RQ_RETENTION_FOREVER, PG_INT32_MAX, RQ_RETENTION_DEFAULT},
};

/* Each field has a line, and there is nothing between them. */
StaticAssertDecl(sizeof(RqTopicSettings) == lengthof(settings) * sizeof(int32),
				 "a field of RqTopicSettings is not in the table");

/* Enough for any value as text. */
#define VALUE_SIZE		16

static int32
value_of(const RqTopicSettings *s, const RqSetting *setting)
{
	return *(const int32 *) ((const char *) s + setting->offset);
}

static void
set_value(RqTopicSettings *s, const RqSetting *setting, int32 value)
{
	*(int32 *) ((char *) s + setting->offset) = value;
}

static bool
is_in_range(const RqSetting *setting, int64 value)
{
	return value >= setting->lowest && value <= setting->highest;
}

void
rq_settings_init(RqTopicSettings *s)
{
	for (int i = 0; i < lengthof(settings); i++)
		set_value(s, &settings[i], settings[i].normal);
}

/*
 * The normal value is right even if it lies outside the range: then it stands
 * for "ask the server's setting" and cannot be asked for.  Used on bytes from
 * disk and WAL as well, so any value may come.
 */
const RqSetting *
rq_settings_find_wrong(const RqTopicSettings *s)
{
	for (int i = 0; i < lengthof(settings); i++)
	{
		const RqSetting *setting = &settings[i];
		int32		value = value_of(s, setting);

		if (!is_in_range(setting, value) &&
			(value != setting->normal || value == RQ_SETTING_REQUIRED))
			return setting;
	}
	return NULL;
}

/* ---- text ---- */

static void
print_value(char *buf, const RqSetting *setting, int32 value)
{
	switch (setting->type)
	{
		case RQ_SETTING_NUMBER:
			snprintf(buf, VALUE_SIZE, "%d", value);
			break;
		case RQ_SETTING_SECONDS:
			snprintf(buf, VALUE_SIZE, value < 0 ? "%d" : "%ds", value);
			break;
	}
}

char *
rq_setting_range(const RqSetting *setting)
{
	char		lowest[VALUE_SIZE];
	char		highest[VALUE_SIZE];

	print_value(lowest, setting, setting->lowest);
	print_value(highest, setting, setting->highest);
	return psprintf("between %s and %s", lowest, highest);
}

/*
 * In the order of the table, whatever order the settings were given in, so equal
 * settings have the same text.
 */
void
rq_settings_print(StringInfo buf, const RqTopicSettings *s)
{
	const char *separator = "";

	for (int i = 0; i < lengthof(settings); i++)
	{
		const RqSetting *setting = &settings[i];
		char		value[VALUE_SIZE];

		if (value_of(s, setting) == setting->normal)
			continue;
		print_value(value, setting, value_of(s, setting));
		appendStringInfo(buf, "%s%s=%s", separator, setting->name, value);
		separator = ", ";
	}
}

/*
 * Only what print_value() makes of a value is accepted: no unit but the
 * setting's own, no plus sign or leading zero, nothing after it.  A number that
 * is too large for strtoll() becomes its largest, which no range holds.
 */
static bool
parse_value(const char *string, const RqSetting *setting, int32 *value)
{
	char		again[VALUE_SIZE];
	long long	number = strtoll(string, NULL, 10);

	if (!is_in_range(setting, number))
		return false;
	*value = (int32) number;
	print_value(again, setting, *value);
	return strcmp(string, again) == 0;
}

static const RqSetting *
find_setting(const char *name)
{
	for (int i = 0; i < lengthof(settings); i++)
		if (strcmp(settings[i].name, name) == 0)
			return &settings[i];
	return NULL;
}

/* One of the list, "name=value"; "item" is changed.  NULL or the problem. */
static char *
parse_item(char *item, RqTopicSettings *s, bool *given)
{
	const RqSetting *setting;
	char	   *value = strchr(item, '=');
	int32		number;

	if (value == NULL)
		return psprintf("\"%s\" is not a setting, \"=\" and a value.", item);
	*value++ = '\0';
	setting = find_setting(item);
	if (setting == NULL)
		return psprintf("There is no setting \"%s\".", item);
	if (given[setting - settings])
		return psprintf("Setting \"%s\" is given more than once.", item);
	if (!parse_value(value, setting, &number))
	{
		char	   *range = rq_setting_range(setting);
		char	   *problem = psprintf("Setting \"%s\" must be %s, not \"%s\".",
									   item, range, value);

		pfree(range);
		return problem;
	}
	given[setting - settings] = true;
	set_value(s, setting, number);
	return NULL;
}

/* A copy of that many bytes without the blanks around them. */
static char *
copy_trimmed(const char *string, Size len)
{
	while (len > 0 && rq_is_blank(string[len - 1]))
		len--;
	while (len > 0 && rq_is_blank(*string))
	{
		string++;
		len--;
	}
	return pnstrdup(string, len);
}

/*
 * The list is not changed: each item is copied, and its copy is cut in two.
 * Two commas with nothing between them are an item that is empty, and refused.
 */
char *
rq_settings_parse(const char *list, RqTopicSettings *s)
{
	bool		given[lengthof(settings)] = {false};

	rq_settings_init(s);
	for (;;)
	{
		Size		len = strcspn(list, ",");
		char	   *item = copy_trimmed(list, len);
		char	   *problem = parse_item(item, s, given);

		pfree(item);
		if (problem != NULL)
			return problem;
		if (list[len] == '\0')
			break;
		list += len + 1;
	}
	for (int i = 0; i < lengthof(settings); i++)
		if (!given[i] && settings[i].normal == RQ_SETTING_REQUIRED)
			return psprintf("Setting \"%s\" is missing.", settings[i].name);
	return NULL;
}
