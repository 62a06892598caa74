/*
 * fuzz_walrec.c
 *	  WAL records of any bytes: check and describe them, and read what redo
 *	  reads of those that pass.
 *
 * The first input byte is the type of the record, the rest its data, which begins
 * with the kind of an extension record.
 */
#include "fuzz_format.h"

#include "format/rq_walrec.h"

/* Everything that the record's own counts announce must be readable. */
static void
read_items(uint8 info, const char *data, size_t size)
{
	switch (info & ~XLR_INFO_MASK)
	{
		case XLOG_RQ_APPEND:
			fuzz_touch(data + SizeOfRqAppend, size - SizeOfRqAppend);
			break;
		case XLOG_RQ_ENQUEUE:
			fuzz_touch(data + SizeOfRqEnqueue,
					   ((xl_rq_enqueue *) data)->count * sizeof(xl_rq_entry));
			break;
		case XLOG_RQ_RESOLVE:
			fuzz_touch(data + SizeOfRqResolve,
					   ((xl_rq_resolve *) data)->nranges * sizeof(xl_rq_range));
			break;
		case XLOG_RQ_GROUP:
			fuzz_touch(data + SizeOfRqGroup,
					   ((xl_rq_group *) data)->nqueues * sizeof(xl_rq_place) +
					   ((xl_rq_group *) data)->name_len);
			break;
		case XLOG_RQ_TRIM:
			fuzz_touch(data + SizeOfRqTrim,
					   ((xl_rq_trim *) data)->count * sizeof(xl_rq_queue_start));
			break;
	}
}

int
LLVMFuzzerTestOneInput(const uint8 *data, size_t size)
{
	XLogReaderState reader = {0};
	DecodedXLogRecord record = {0};
	StringInfoData buf;
	char	   *copy;

	if (size < 1)
		return 0;
	size--;
	copy = fuzz_copy_record(data + 1, size, RQ_WAL_VERSION);
	record.header.xl_info = data[0];
	record.main_data = copy;
	record.main_data_len = size + 1;
	reader.record = &record;
	initStringInfo(&buf);
	rq_wal_desc(&buf, &reader);
	if (rq_wal_check(data[0], copy, size) == NULL)
		read_items(data[0], copy, size);
	pfree(buf.data);
	free(copy);
	return 0;
}
