/*
 * rq_settings.h
 *	  What the owner of a topic can set for it: values, ranges, and their text.
 *
 * A setting is a field of RqTopicSettings and a line of the table in
 * rq_settings.c, which is all that code without a use for the very setting
 * knows of it: it copies, compares, checks and prints the struct as a whole.
 * src/README says how to add one.
 *
 * The text is a list, "queues=8, retention_time=3600s", in any order, and is
 * what a topic's security label holds.
 */
#ifndef RQ_SETTINGS_H
#define RQ_SETTINGS_H

#include "lib/stringinfo.h"

#include "base/rq_base.h"

/*
 * The struct is part of WAL records and of the state file: another field is
 * another version of the section of topics (rq_statefmt.h).  All fields are int32,
 * so it has no padding.
 */
typedef struct RqTopicSettings
{
	int32		nqueues;
	int32		retention_s;	/* seconds, or one of these */
} RqTopicSettings;

#define RQ_RETENTION_FOREVER	(-1)
#define RQ_RETENTION_DEFAULT	(-2)	/* as rocketq.retention_time says */

/* How a value is written. */
typedef enum RqSettingType
{
	RQ_SETTING_NUMBER,			/* 8 */
	RQ_SETTING_SECONDS			/* 3600s; below zero without the unit */
} RqSettingType;

typedef struct RqSetting
{
	const char *name;
	Size		offset;			/* of its field */
	RqSettingType type;
	int32		lowest;			/* that can be asked for */
	int32		highest;
	int32		normal;			/* what it is unless asked for, in the range
								 * or not; or RQ_SETTING_REQUIRED */
} RqSetting;

#define RQ_SETTING_REQUIRED		PG_INT32_MIN

static inline bool
rq_settings_equal(const RqTopicSettings *a, const RqTopicSettings *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

/* Set each to its normal value; the caller has to set those required. */
extern void rq_settings_init(RqTopicSettings *s);

/* The first setting whose value no topic can have, NULL if there is none. */
extern const RqSetting *rq_settings_find_wrong(const RqTopicSettings *s);

/* Its range, as "between A and B"; palloc'd. */
extern char *rq_setting_range(const RqSetting *setting);

/* Append the text; a setting with its normal value is left out. */
extern void rq_settings_print(StringInfo buf, const RqTopicSettings *s);

/*
 * NULL if "list" is a list of settings: then "s" gets what it says, and the
 * normal value of each setting that it does not name.  A value has to be
 * written as it is printed.  Else the problem, a sentence in palloc'd memory.
 */
extern char *rq_settings_parse(const char *list, RqTopicSettings *s);

#endif							/* RQ_SETTINGS_H */
