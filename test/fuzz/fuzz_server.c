/*
 * fuzz_server.c
 *	  As much of a server as redo needs: memory, tables, and reports that end
 *	  the round.
 *
 * Functions that no round may come to are made by test/fuzz/run, and abort.
 */
#include "fuzz_server.h"

#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "access/xlogutils.h"
#include "miscadmin.h"
#include "storage/condition_variable.h"
#include "storage/lwlock.h"
#include "storage/proclist.h"
#include "storage/proc.h"
#include "storage/shmem.h"
#include "storage/spin.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "shmem/rq_parts.h"
#include "shmem/rq_shmem.h"
#include "topic/rq_tables.h"
#include "topic/rq_xid.h"

#define MAX_PIECES	16384

sigjmp_buf	fuzz_round;

int			MaxBackends = 4;
int			max_prepared_xacts = 0;
bool		IsUnderPostmaster = false;
bool		IsBinaryUpgrade = false;
static PGPROC my_proc;
PGPROC	   *MyProc = &my_proc;
int			MyProcNumber = 0;	/* the server's own from 17 on */
volatile sig_atomic_t InterruptPending = false;
volatile uint32 CritSectionCount = 0;
MemoryContext TopMemoryContext = NULL;
MemoryContext CurrentMemoryContext = NULL;
static LWLockPadded main_locks[NUM_INDIVIDUAL_LWLOCKS];
LWLockPadded *MainLWLockArray = main_locks;
RmgrData	RmgrTable[RM_MAX_ID + 1];

static void *pieces[MAX_PIECES];
static int	npieces;
static int	report_level;

/* ---- memory ---- */

void
fuzz_free_later(void *piece)
{
	if (npieces == MAX_PIECES)
		abort();
	pieces[npieces++] = piece;
}

/* Redo allocates in a context that is reset; here the round is the context. */
void *
palloc(Size size)
{
	void	   *piece = malloc(Max(size, 1));

	fuzz_free_later(piece);
	return piece;
}

void *
palloc0(Size size)
{
	return memset(palloc(size), 0, size);
}

static void
forget_piece(void *piece)
{
	for (int i = npieces - 1; i >= 0; i--)
		if (pieces[i] == piece)
		{
			pieces[i] = pieces[--npieces];
			return;
		}
	abort();
}

void *
repalloc(void *piece, Size size)
{
	forget_piece(piece);
	piece = realloc(piece, size);
	fuzz_free_later(piece);
	return piece;
}

void *
repalloc_huge(void *piece, Size size)
{
	return repalloc(piece, size);
}

void
pfree(void *piece)
{
	forget_piece(piece);
	free(piece);
}

MemoryContext
AllocSetContextCreateInternal(MemoryContext parent, const char *name,
							  Size min, Size init, Size max)
{
	return NULL;
}

void
MemoryContextReset(MemoryContext context)
{
}

void
MemoryContextDelete(MemoryContext context)
{
}

/* ---- reports ---- */

void
fuzz_end_round(void)
{
	siglongjmp(fuzz_round, 1);
}

bool
errstart(int elevel, const char *domain)
{
	report_level = elevel;
	return elevel >= ERROR;
}

bool
errstart_cold(int elevel, const char *domain)
{
	return errstart(elevel, domain);
}

void
errfinish(const char *filename, int lineno, const char *funcname)
{
	fuzz_end_round();
}

int
errmsg(const char *fmt,...)
{
	return 0;
}

int
errmsg_internal(const char *fmt,...)
{
	return 0;
}

int
errdetail(const char *fmt,...)
{
	return 0;
}

int
errhint(const char *fmt,...)
{
	return 0;
}

int
errcode(int code)
{
	return 0;
}

int
errcode_for_file_access(void)
{
	return 0;
}

void
ExceptionalCondition(RQ_EXCEPTIONAL_CONDITION_ARGS)
{
	fprintf(stderr, "%s:%d: assertion failed: %s\n", file, line, condition);
	abort();
}

/* ---- locks: there is one process ---- */

bool
LWLockAcquire(LWLock *lock, LWLockMode mode)
{
	return true;
}

void
LWLockRelease(LWLock *lock)
{
}

bool
LWLockHeldByMe(LWLock *lock)
{
	return true;
}

bool
LWLockHeldByMeInMode(LWLock *lock, LWLockMode mode)
{
	return true;
}

void
LWLockInitialize(LWLock *lock, int tranche)
{
}

void
RequestNamedLWLockTranche(const char *name, int count)
{
}

LWLockPadded *
GetNamedLWLockTranche(const char *name)
{
	static LWLockPadded locks;

	/* Nobody waits for it, or rq_meta_lock_again() would give way to them. */
	proclist_init(&locks.lock.waiters);
	return &locks;
}

void
ConditionVariableInit(ConditionVariable *cv)
{
}

/* ---- shared memory ---- */

void *
ShmemInitStruct(const char *name, Size size, bool *found)
{
	/* In whole cache lines, as ShmemAlloc() gives it. */
	void	   *piece = aligned_alloc(PG_CACHE_LINE_SIZE, CACHELINEALIGN(size));

	memset(piece, 0, size);
	*found = false;
	fuzz_free_later(piece);
	return piece;
}

/* A table of a few entries, whose first bytes are the key. */
#define TABLE_ENTRIES	8
#define TABLE_ENTRY_MAX	192

struct HTAB
{
	Size		keysize;
	Size		entrysize;
	int			n;
	pg_attribute_aligned(8) char entries[TABLE_ENTRIES * TABLE_ENTRY_MAX];
};

/* It lasts as long as shared memory does, that is, for a round. */
HTAB *
hash_create(const char *name, long size, const HASHCTL *info, int flags)
{
	bool		found;
	HTAB	   *table = ShmemInitStruct(name, sizeof(HTAB), &found);

	table->keysize = info->keysize;
	table->entrysize = info->entrysize;
	if (table->entrysize > TABLE_ENTRY_MAX)
		abort();
	return table;
}

void *
hash_search(HTAB *table, const void *key, HASHACTION action, bool *found)
{
	char	   *at = table->entries;
	char	   *end = at + table->n * table->entrysize;

	while (at < end && memcmp(at, key, table->keysize) != 0)
		at += table->entrysize;
	if (action == HASH_REMOVE && at < end)
	{
		memmove(at, end - table->entrysize, table->entrysize);
		table->n--;
	}
	if (at < end)
		return at;
	if (action != HASH_ENTER)
		return NULL;
	if (table->n == TABLE_ENTRIES)
		abort();
	memcpy(at, key, table->keysize);
	table->n++;
	return at;
}

Size
add_size(Size a, Size b)
{
	return a + b;
}

Size
mul_size(Size a, Size b)
{
	return a * b;
}

/* ---- the rest ---- */

HotStandbyState standbyState = STANDBY_DISABLED;
sigjmp_buf *PG_exception_stack = NULL;
ErrorContextCallback *error_context_stack = NULL;

void
XLogFlush(XLogRecPtr lsn)
{
}

TimestampTz
GetCurrentTimestamp(void)
{
	return 0;
}

void
fuzz_start_server(void)
{
	rq_parts_startup();
}

void
fuzz_stop_server(void)
{
	while (npieces > 0)
		free(pieces[--npieces]);
}
