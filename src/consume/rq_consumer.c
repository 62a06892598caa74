/*
 * rq_consumer.c
 *	  Consumer groups by name: find, create, drop.
 *
 * Which groups exist can depend on transactions that have not ended
 * (rq_group.c).  Here their end is waited for, and a name that is wrong or
 * unknown is reported.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "miscadmin.h"
#include "storage/lmgr.h"

#include "base/rq_guc.h"
#include "consume/rq_consumer.h"
#include "consume/rq_owner.h"
#include "queue/rq_entry.h"
#include "queue/rq_resolve.h"
#include "topic/rq_group_create.h"
#include "topic/rq_group_txn.h"
#include "topic/rq_room.h"
#include "topic/rq_topic.h"
#include "txn/rq_txn.h"

static void
check_group_name(const char *name)
{
	size_t		len = strlen(name);
	bool		odd;

	if (len == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("consumer group name must not be empty")));
	if (len > RQ_GROUP_NAME_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_NAME_TOO_LONG),
				 errmsg("consumer group name is too long"),
				 errdetail("The name has %zu bytes, but only %d are allowed.",
						   len, RQ_GROUP_NAME_MAX)));
	odd = rq_is_blank(name[0]) || rq_is_blank(name[len - 1]);
	for (size_t i = 0; i < len; i++)
		odd |= rq_is_control(name[i]);
	if (odd)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("invalid consumer group name \"%s\"", name),
				 errdetail("The name of a group cannot begin or end with a blank, or contain control characters.")));
}

bool
rq_consumer_find_group(uint32 topic, const char *name, const char *hint,
					   RqGroupRef *group)
{
	uint64		xid;
	RqGroupState state;

	check_group_name(name);

	/*
	 * When one transaction has ended, another may be creating or dropping the
	 * group: check again.
	 */
	while ((state = rq_group_find(topic, name, group, &xid)) == RQ_GROUP_IN_DOUBT)
	{
		/* A standby cannot wait; it shows what was before the transaction. */
		if (RecoveryInProgress())
		{
			if (rq_groups[group->slot].pend_op == RQ_PEND_DROP)
				return true;
			state = RQ_GROUP_ABSENT;
			break;
		}
		XactLockTableWait((TransactionId) xid, NULL, NULL, XLTW_None);
	}
	if (state == RQ_GROUP_ABSENT && hint != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("consumer group \"%s\" does not exist", name),
				 errhint("%s", hint)));
	return state == RQ_GROUP_PRESENT;
}

const char *
rq_consumer_hint(void)
{
	if (rq_auto_create_groups)
		return NULL;
	return "The owner of the topic can create it with rocketq.create_group().";
}

RqOff
rq_consumer_start(RqQueue *q, const RqStart *start)
{
	rq_resolve_refresh(q);
	switch (start->kind)
	{
		case RQ_START_FIRST:
			return pg_atomic_read_u64(&q->start);
		case RQ_START_LAST:
			return pg_atomic_read_u64(&q->stable);
		case RQ_START_TIME:
			return rq_queue_offset_at(q, start->when);
	}
	return 0;
}

/*
 * The same place in all queues, zeros for slots of queues that a transaction
 * adds or removes; palloc'd.
 */
static xl_rq_place *
start_places(uint32 topic, const RqStart *start)
{
	uint32		n = rq_topic_nqueues(topic);
	xl_rq_place *places = palloc0(Max(rq_topic_nslots(topic), 1) *
								  sizeof(xl_rq_place));

	for (uint32 i = 0; i < n; i++)
		places[i].offset = rq_consumer_start(rq_topic_queue(topic, i), start);
	return places;
}

bool
rq_consumer_create_group_at(uint32 topic, const char *name, const xl_rq_place *places)
{
	RqGroupRef	group;

	rq_txn_check_open();

	/* Between the check and the creation somebody else can take the name. */
	do
	{
		if (rq_consumer_find_group(topic, name, NULL, &group))
			return false;
		rq_room_for_group(topic);
	} while (!rq_group_create_own(topic, name, places, &group));
	return true;
}

void
rq_consumer_create_group(uint32 topic, const char *name, const RqStart *start)
{
	if (!rq_consumer_create_group_at(topic, name, start_places(topic, start)))
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("consumer group \"%s\" already exists", name),
				 errhint("Use rocketq.reset_offset() to move it.")));
}

/*
 * The group is created at once (xid 0), and stays if we are rolled back: so
 * others who consume for it need not wait for our transaction to end.
 */
RqGroupRef
rq_consumer_find_or_create_group(uint32 topic, const char *name)
{
	const RqStart first = {.kind = RQ_START_FIRST};
	RqGroupRef	group;

	/* If somebody else creates it first, find that one. */
	while (!rq_consumer_find_group(topic, name, rq_consumer_hint(), &group))
	{
		xl_rq_place *places = start_places(topic, &first);

		rq_room_for_group(topic);

		/* The name is free only if our own drop of it commits. */
		if (rq_group_own_drop(topic, name) ?
			rq_group_create_own(topic, name, places, &group) :
			rq_group_create(topic, name, places, 0, true, &group))
			break;
	}
	return group;
}

void
rq_consumer_report_dropped(const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("consumer group \"%s\" was dropped concurrently", name)));
}

RqGroupRef
rq_consumer_lock_group(uint32 topic, const char *name)
{
	RqGroupRef	group;

	rq_txn_check_open();
	rq_consumer_find_group(topic, name, RQ_HINT_LIST_GROUPS, &group);
	if (!rq_owner_take_group(topic, group))
		rq_consumer_report_dropped(name);
	return group;
}

void
rq_consumer_drop_group(uint32 topic, const char *name)
{
	rq_group_drop(rq_consumer_lock_group(topic, name));
}
