/*
 * rq_am_private.h
 *	  Between the files of the access method.
 */
#ifndef RQ_AM_PRIVATE_H
#define RQ_AM_PRIVATE_H

#include "access/tableam.h"

#include "am/rq_values.h"
#include "base/rq_compat.h"

/* The routine; a relation is a topic if it has this one. */
extern const TableAmRoutine rq_table_am;

/* ---- rq_slot.c ---- */

extern const TupleTableSlotOps *rq_slot_ops(void);

/*
 * Put a message into a cleared slot of ours.  Its frame is read when a column
 * that needs it is asked for, so a query that wants none never looks at the
 * log.
 */
extern void rq_slot_store(TupleTableSlot *slot, Oid relid, uint32 queue_id,
						  RqOff offset, const RqEntry *entry);

/*
 * For ANALYZE, which keeps many rows: of what is too long for statistics, give
 * no more than it takes to be seen as too long.
 */
extern void rq_slot_shorten(TupleTableSlot *slot);

/*
 * Row identifiers.  The offset number is the queue plus one; the block is the
 * queue offset, modulo RQ_TID_BLOCKS.  So a ctid is unique among the messages
 * a topic holds as long as no queue holds more than RQ_TID_BLOCKS at a time,
 * and a message keeps its ctid for ever.
 */
#define RQ_TID_BLOCKS		((uint64) MaxBlockNumber)

/* The block of a row whose offset is given at commit only. */
#define RQ_TID_UNKNOWN		MaxBlockNumber

StaticAssertDecl(RQ_QUEUES_MAX <= PG_UINT16_MAX, "queue ids fit an OffsetNumber");

static inline void
rq_tid_set(ItemPointer tid, uint32 queue_id, RqOff offset)
{
	ItemPointerSet(tid, (BlockNumber) (offset % RQ_TID_BLOCKS), queue_id + 1);
}

/* ---- rq_scan.c ---- */

extern TableScanDesc rq_scan_begin(Relation rel, Snapshot snapshot, int nkeys,
								   struct ScanKeyData *key,
								   ParallelTableScanDesc pscan, uint32 flags);
extern void rq_scan_end(TableScanDesc scan);
extern void rq_scan_rescan(TableScanDesc scan, struct ScanKeyData *key,
						   bool set_params, bool allow_strat,
						   bool allow_sync, bool allow_pagemode);
extern bool rq_scan_getnextslot(TableScanDesc scan, ScanDirection direction,
								TupleTableSlot *slot);
extern void rq_scan_set_tidrange(TableScanDesc scan, ItemPointer min,
								 ItemPointer max);

/* ---- rq_parallel.c ---- */

extern Size rq_parallelscan_estimate(Relation rel);
extern Size rq_parallelscan_initialize(Relation rel,
									   ParallelTableScanDesc pscan);
extern void rq_parallelscan_reinitialize(Relation rel,
										 ParallelTableScanDesc pscan);

/* ---- rq_tidscan.c ---- */

extern bool rq_tuple_fetch_row_version(Relation rel, ItemPointer tid,
									   Snapshot snapshot,
									   TupleTableSlot *slot);
extern bool rq_tuple_tid_valid(TableScanDesc scan, ItemPointer tid);
extern void rq_tuple_get_latest_tid(TableScanDesc scan, ItemPointer tid);

/* ---- rq_sample.c ---- */

extern bool rq_scan_sample_next_block(TableScanDesc scan,
									  struct SampleScanState *state);
extern bool rq_scan_sample_next_tuple(TableScanDesc scan,
									  struct SampleScanState *state,
									  TupleTableSlot *slot);
extern bool rq_scan_analyze_next_block(RQ_ANALYZE_BLOCK_ARGS);
extern bool rq_scan_analyze_next_tuple(TableScanDesc scan,
									   TransactionId oldest_xmin,
									   double *live, double *dead,
									   TupleTableSlot *slot);
extern uint64 rq_relation_size(Relation rel, ForkNumber fork);

/* ---- rq_estimate.c ---- */

extern void rq_relation_estimate_size(Relation rel, int32 *attr_widths,
									  BlockNumber *pages, double *tuples,
									  double *allvisfrac);

/* Messages that the topic has, without those whose outcome is unknown. */
extern uint64 rq_relation_count(uint32 topic);

/* ---- rq_insert.c ---- */

/* Columns that a producer cannot give. */
#define RQ_NCOMPUTED	5
extern const RqColumn rq_computed[RQ_NCOMPUTED];

extern void rq_tuple_insert(Relation rel, TupleTableSlot *slot, CommandId cid,
							int options, struct BulkInsertStateData *bistate);
extern void rq_multi_insert(Relation rel, TupleTableSlot **slots, int nslots,
							CommandId cid, int options,
							struct BulkInsertStateData *bistate);

/* ---- rq_ddl.c ---- */

extern void rq_set_new_filelocator(Relation rel,
								   const RelFileLocator *newrlocator,
								   char persistence,
								   TransactionId *freezeXid,
								   MultiXactId *minmulti);
extern void rq_nontransactional_truncate(Relation rel);

/* Say that topics have no tablespace. */
extern void rq_tell_of_tablespace(const char *topic);

/* The name of a column of rocketq.message. */
extern const char *rq_column_name(RqColumn column);

/* Is the column, by its number, name and type, one of rocketq.message? */
extern bool rq_column_fits(const FormData_pg_attribute *att);

/* Throw if the column is to get values that only rocketq gives it. */
extern void rq_check_computed(const FormData_pg_attribute *att);
extern void rq_check_default(Oid relid, int attnum);

/* ---- rq_label.c ---- */

extern void rq_label_init(void);

/* A topic was created, with this storage: keep its settings. */
extern void rq_label_created(Oid relid, RqKey key);

/*
 * What its label says; without one, the defaults.  For a topic without storage:
 * a new one, or one in a copied database that nobody has used yet.
 */
extern RqTopicSettings rq_label_settings(Oid relid);

/* ---- rq_access_hook.c ---- */

extern void rq_access_hook_install(void);

/* Is there a committed or own relation with this OID that is a topic? */
extern bool rq_oid_is_topic(Oid relid);

/* ---- rq_routed.c ---- */

/*
 * Throw if what is inserted into this topic, which the caller has locked so,
 * goes elsewhere.
 */
extern void rq_refuse_routed(Relation rel, LOCKMODE lockmode);

/* ---- rq_executor_hook.c ---- */

extern void rq_executor_hook_install(void);

/*
 * Copies of messages with a sharding key come into this topic: do they keep
 * their queues?  They do unless the statement that runs takes them from a topic
 * with another number of queues, or from something that does not tell.
 */
extern bool rq_copies_keep_queues(Relation topic);

/* ---- rq_utility_hook.c ---- */

extern void rq_utility_hook_install(void);

/* Is this process in ANALYZE, or in VACUUM, which can be with it? */
extern bool rq_is_analyzing(void);

/* ---- rq_topic_name.c ---- */

/* Refuse a topic of this name in this schema, or throw because one is too long. */
extern void rq_topic_name_check(const char *name, Oid nspid);

/* The same for a new name of a schema, if it has topics. */
extern void rq_topic_name_check_schema(const char *name, Oid nspid);

/* ---- rq_publication.c ---- */

/*
 * All topics of the database (InvalidOid), or those that are in a schema or
 * partitions of a table that is.  Reads pg_class as a whole.
 */
extern List *rq_topics_in(Oid nspid);

extern void rq_publication_created(Oid pub);
extern void rq_publication_got_schema(Oid member);
extern void rq_publication_got_table(Oid member);
extern void rq_publication_topic_created(const char *topic, Oid nspid);
extern void rq_publication_schema_changed(Oid relid, Oid new_nspid);
extern void rq_publication_child_comes(Oid child, Oid parent);

/* ---- rq_tableam.c ---- */

extern RQ_NORETURN void rq_refuse_delete(void);
extern RQ_NORETURN void rq_refuse_update(void);
extern RQ_NORETURN void rq_refuse_lock(void);
extern RQ_NORETURN void rq_refuse_foreign_key(void);

#endif							/* RQ_AM_PRIVATE_H */
