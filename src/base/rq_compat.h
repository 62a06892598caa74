/*
 * rq_compat.h
 *	  The one place that knows which PostgreSQL version this is.
 *
 * Each wrapper has the signature of the newest server and says which version
 * made it needed; it can go when that version is no longer supported.
 */
#ifndef RQ_COMPAT_H
#define RQ_COMPAT_H

#include "access/tableam.h"
#include "access/xlog_internal.h"
#include "access/xloginsert.h"
#include "common/relpath.h"
#include "storage/proc.h"
#include "storage/sinvaladt.h"
#include "utils/rel.h"
#include "utils/wait_event.h"

#if PG_VERSION_NUM < 150000
#error "rocketq needs PostgreSQL 15 or later"
#endif

/* 18 has a specifier in front of the declaration; before, an attribute. */
#if PG_VERSION_NUM < 180000
#define RQ_NORETURN __attribute__((noreturn))
#else
#define RQ_NORETURN pg_noreturn
#endif

/* Before 16 a relation's storage was named by a RelFileNode. */
#if PG_VERSION_NUM < 160000
#include "storage/relfilenode.h"
typedef RelFileNode RelFileLocator;
typedef Oid RelFileNumber;
#define RQ_LOCATOR_SPC(l)	((l).spcNode)
#define RQ_LOCATOR_DB(l)	((l).dbNode)
#define RQ_LOCATOR_REL(l)	((l).relNode)
#define rq_rel_locator(rel) ((rel)->rd_node)
#else
#include "storage/relfilelocator.h"
#define RQ_LOCATOR_SPC(l)	((l).spcOid)
#define RQ_LOCATOR_DB(l)	((l).dbOid)
#define RQ_LOCATOR_REL(l)	((l).relNumber)
#define rq_rel_locator(rel) ((rel)->rd_locator)
#endif

/* 18 takes const void *; before, the pointer had to be writable. */
#if PG_VERSION_NUM < 180000
#define rq_xlog_register(data, len) \
	XLogRegisterData((char *) (data), (len))
#else
#define rq_xlog_register(data, len) \
	XLogRegisterData((data), (len))
#endif

/* RegisterCustomRmgr takes a const pointer from 16 on. */
#if PG_VERSION_NUM < 160000
#define rq_register_rmgr(id, rmgr) \
	RegisterCustomRmgr((id), unconstify(RmgrData *, (rmgr)))
#else
#define rq_register_rmgr(id, rmgr) \
	RegisterCustomRmgr((id), (rmgr))
#endif

/* The number of this process's PGPROC. */
#if PG_VERSION_NUM < 170000
#define RQ_MY_PROC_NUMBER	(MyProc->pgprocno)
#define RQ_MY_LXID			(MyProc->lxid)
#define RQ_SET_MY_LXID(x)	(MyProc->lxid = (x))
#else
#define RQ_MY_PROC_NUMBER	MyProcNumber
#define RQ_MY_LXID			(MyProc->vxid.lxid)
#define RQ_SET_MY_LXID(x)	(MyProc->vxid.lxid = (x))
#endif

/*
 * The virtual id of the transaction that a process has locked by it, under its
 * fpInfoLock; 17 put the id into a struct.
 */
#if PG_VERSION_NUM < 170000
#define RQ_VXID_OF_LOCKS(vxid_dst, proc) \
	((vxid_dst).backendId = (proc)->backendId, \
	 (vxid_dst).localTransactionId = (proc)->fpLocalTransactionId)
#else
#define RQ_VXID_OF_LOCKS(vxid_dst, proc) \
	((vxid_dst).procNumber = (proc)->vxid.procNumber, \
	 (vxid_dst).localTransactionId = (proc)->fpLocalTransactionId)
#endif

/* 17 can ask for a stronger lock as well. */
#if PG_VERSION_NUM < 170000
#define rq_lock_held_by_me(tag, mode)	LockHeldByMe((tag), (mode))
#else
#define rq_lock_held_by_me(tag, mode)	LockHeldByMe((tag), (mode), false)
#endif

/*
 * Take a lock if it is free; else LOCKACQUIRE_NOT_AVAIL.  Throws if there is no
 * room in the lock table.
 */
#if PG_VERSION_NUM < 180000
#define rq_lock_try(tag, mode) \
	LockAcquireExtended((tag), (mode), false, true, true, NULL)
#else
#define rq_lock_try(tag, mode) \
	LockAcquireExtended((tag), (mode), false, true, true, NULL, false)
#endif

/* Before 16 an instr_time was a struct timespec. */
#if PG_VERSION_NUM < 160000
#define rq_instr_time_ns(t) \
	((uint64) (t).tv_sec * UINT64CONST(1000000000) + (uint64) (t).tv_nsec)
#else
#define rq_instr_time_ns(t)	((uint64) INSTR_TIME_GET_NANOSEC(t))
#endif

#if PG_VERSION_NUM < 160000
#define NS_PER_US	INT64CONST(1000)
#endif

/* Backends got a type of their own in 17. */
#if PG_VERSION_NUM < 170000
#include "postmaster/autovacuum.h"
#define rq_is_autovacuum_worker()	IsAutoVacuumWorkerProcess()
#else
#include "miscadmin.h"
#define rq_is_autovacuum_worker()	AmAutoVacuumWorkerProcess()
#endif

/* Custom wait events came with 17; before, one of the server's own. */
#if PG_VERSION_NUM < 170000
#define rq_wait_event_new(name, before_17)	(before_17)
#else
#define rq_wait_event_new(name, before_17)	WaitEventExtensionNew(name)
#endif

/* The path of a relation's main fork, palloc'd; 18 returns it in a struct. */
#if PG_VERSION_NUM < 170000
#define rq_relation_path(db, spc, rel) \
	GetRelationPath((db), (spc), (rel), InvalidBackendId, MAIN_FORKNUM)
#elif PG_VERSION_NUM < 180000
#define rq_relation_path(db, spc, rel) \
	GetRelationPath((db), (spc), (rel), INVALID_PROC_NUMBER, MAIN_FORKNUM)
#else
#define rq_relation_path(db, spc, rel) \
	pstrdup(GetRelationPath((db), (spc), (rel), INVALID_PROC_NUMBER, \
							MAIN_FORKNUM).str)
#endif

/* Tables and schemas got their checks from the general ones in 16. */
#if PG_VERSION_NUM < 160000
#define rq_class_ownercheck(relid, roleid) \
	pg_class_ownercheck((relid), (roleid))
#define rq_namespace_aclcheck(schema, roleid, mode) \
	pg_namespace_aclcheck((schema), (roleid), (mode))
#else
#define rq_class_ownercheck(relid, roleid) \
	object_ownercheck(RelationRelationId, (relid), (roleid))
#define rq_namespace_aclcheck(schema, roleid, mode) \
	object_aclcheck(NamespaceRelationId, (schema), (roleid), (mode))
#endif

/* Names that 16 changed when it separated file numbers from OIDs. */
#if PG_VERSION_NUM < 160000
#define RQ_AM_SET_NEW_FILELOCATOR	relation_set_new_filenode
#define rq_relation_set_new_filenumber(rel, persistence) \
	RelationSetNewRelfilenode((rel), (persistence))
#else
#define RQ_AM_SET_NEW_FILELOCATOR	relation_set_new_filelocator
#define rq_relation_set_new_filenumber(rel, persistence) \
	RelationSetNewRelfilenumber((rel), (persistence))
#endif

/* From 16 on tuple_update reports which kinds of indexes need an entry. */
#if PG_VERSION_NUM < 160000
typedef bool RqUpdateIndexes;
#else
typedef TU_UpdateIndexes RqUpdateIndexes;
#endif

/* Columns that are computed when they are read came with 18. */
#if PG_VERSION_NUM < 180000
#define rq_column_is_virtual(att)	false
#else
#define rq_column_is_virtual(att) \
	((att)->attgenerated == ATTRIBUTE_GENERATED_VIRTUAL)
#endif

/* NOT NULL is a constraint of domains from 17 on, of tables from 18 on. */
#if PG_VERSION_NUM < 170000
#define CONSTRAINT_NOTNULL	'n'
#endif

/* In 16 the rights a statement needs moved out of the range table entry. */
#if PG_VERSION_NUM < 160000
#define rq_required_perms(stmt, rte)	((rte)->requiredPerms)
#else
#include "parser/parse_relation.h"
#define rq_required_perms(stmt, rte) \
	((rte)->perminfoindex == 0 ? ACL_NO_RIGHTS : \
	 getRTEPermissionInfo((stmt)->permInfos, (rte))->requiredPerms)
#endif

/* The same, while a statement is made up. */
#if PG_VERSION_NUM < 160000
#define rq_set_range_table(query, pstate) \
	((query)->rtable = (pstate)->p_rtable)
#else
#define rq_set_range_table(query, pstate) \
	((query)->rtable = (pstate)->p_rtable, \
	 (query)->rteperminfos = (pstate)->p_rteperminfos)
#endif

/* Until 17 the executor had an argument that said whether it runs only once. */
#if PG_VERSION_NUM < 180000
#define RQ_EXECUTOR_RUN_ARGS \
	QueryDesc *query, ScanDirection direction, uint64 count, bool execute_once
#define RQ_EXECUTOR_RUN_PASS	query, direction, count, execute_once
#else
#define RQ_EXECUTOR_RUN_ARGS \
	QueryDesc *query, ScanDirection direction, uint64 count
#define RQ_EXECUTOR_RUN_PASS	query, direction, count
#endif

/*
 * ANALYZE reads by streams from 17 on; one can be asked for the number of the
 * next block, which then is not read.  InvalidBlockNumber is the end.
 */
#if PG_VERSION_NUM < 170000
#define RQ_ANALYZE_BLOCK_ARGS \
	TableScanDesc scan, BlockNumber blockno, BufferAccessStrategy bstrategy
#define RQ_ANALYZE_BLOCK_NUMBER()	(blockno)
#else
#include "storage/read_stream.h"
#define RQ_ANALYZE_BLOCK_ARGS \
	TableScanDesc scan, ReadStream *stream
#define RQ_ANALYZE_BLOCK_NUMBER()	rq_next_block_number(stream)

static inline BlockNumber
rq_next_block_number(struct ReadStream *stream)
{
	BufferAccessStrategy strategy;

	return read_stream_next_block(stream, &strategy);
}
#endif

/* A copied minimal tuple can have room in front of it from 18 on. */
#if PG_VERSION_NUM < 180000
#define RQ_COPY_MINIMAL_ARGS			TupleTableSlot *slot
#define RQ_COPY_MINIMAL_EXTRA			0
#define rq_virtual_copy_minimal(slot) \
	TTSOpsVirtual.copy_minimal_tuple(slot)
#else
#define RQ_COPY_MINIMAL_ARGS			TupleTableSlot *slot, Size extra
#define RQ_COPY_MINIMAL_EXTRA			extra
#define rq_virtual_copy_minimal(slot) \
	TTSOpsVirtual.copy_minimal_tuple((slot), extra)
#endif

/* What a failed assertion reports; in 16 its type went. */
#if PG_VERSION_NUM < 160000
#define RQ_EXCEPTIONAL_CONDITION_ARGS \
	const char *condition, const char *type, const char *file, int line
#else
#define RQ_EXCEPTIONAL_CONDITION_ARGS \
	const char *condition, const char *file, int line
#endif

/*
 * Is the client still connected?  From libpq/libpq.h, which includes headers of
 * GSSAPI, and those need not be installed.
 */
extern bool pq_check_connection(void);

#endif							/* RQ_COMPAT_H */
