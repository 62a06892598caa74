# Makefile -- build, install and test rocketq with PGXS.
#
#   make                     build against the pg_config on PATH
#   make PG_CONFIG=...       build against another server
#   make install             as a user who may write to the server's directories
#   make demo | check | bench
#                            scripts that install what they need by themselves
#   make installcheck        the tests, against a running server that has
#                            test/rocketq.conf appended to its configuration
#   make tempcheck           SQL and isolation tests in a server of their own
#   make indent              put the sources into the house style
#   make deb | dist | rpm-spec
#                            packages, in src/packaging/out (see src/packaging/README)
#
# Switches: CC=clang, WERROR=1 (many warnings, all errors), ASSERT=1 (assertions),
# RQ_TESTING=1 (stop points for the crash tests), SANITIZE=1 (undefined
# behaviour ends the process).  RMGR_ID=... is the resource manager id of the
# WAL records, 128 to 255, and is kept until "make clean"; see
# sql/doc/operations.md.

SCRIPTS_ONLY = bench check deb demo dist indent rpm-spec

ifneq (,$(filter $(SCRIPTS_ONLY),$(MAKECMDGOALS)))

# These must work where no server is installed yet, and PGXS has a "check" of
# its own that only refuses; so PGXS is left out when one of them is asked for.
ifneq (,$(filter-out $(SCRIPTS_ONLY),$(MAKECMDGOALS)))
$(error run "make $(filter $(SCRIPTS_ONLY),$(MAKECMDGOALS))" on its own)
endif

.PHONY: $(SCRIPTS_ONLY)

bench:
	@./test/bench/run

check:
	@./test/check

demo:
	@./test/demo

indent:
	@src/tools/indent

deb dist rpm-spec:
	@src/packaging/$@

else

MODULE_big = rocketq
EXTENSION = rocketq
DATA = $(call files,sql/rocketq--*.sql) sql/rocketq_exporter.yml \
	sql/rocketq_alerts.yml sql/rocketq_dashboard.json
DOCS = $(call files,sql/doc/*.md)
files = $(patsubst $(srcdir)/%,%,$(wildcard $(srcdir)/$(1)))

# Every source file below src/, checked by src/tools/check_objs_listed.
OBJS = \
	src/am/rq_estimate.o \
	src/am/rq_insert.o \
	src/am/rq_parallel.o \
	src/am/rq_range.o \
	src/am/rq_sample.o \
	src/am/rq_scan.o \
	src/am/rq_slot.o \
	src/am/rq_statement.o \
	src/am/rq_storage.o \
	src/am/rq_tableam.o \
	src/am/rq_tidscan.o \
	src/am/rq_visibility.o \
	src/api/rq_admin_sql.o \
	src/api/rq_args.o \
	src/api/rq_body.o \
	src/api/rq_consume_sql.o \
	src/api/rq_group_views_sql.o \
	src/api/rq_install_sql.o \
	src/api/rq_look.o \
	src/api/rq_produce_sql.o \
	src/api/rq_row.o \
	src/api/rq_saved_sql.o \
	src/api/rq_sight.o \
	src/api/rq_size_sql.o \
	src/api/rq_stats_sql.o \
	src/api/rq_store_views_sql.o \
	src/api/rq_verify_sql.o \
	src/api/rq_views_sql.o \
	src/api/rq_wait_sql.o \
	src/base/rq_error.o \
	src/base/rq_fault.o \
	src/base/rq_guc.o \
	src/base/rq_text.o \
	src/base/rq_waits.o \
	src/consume/rq_consume.o \
	src/consume/rq_consumed.o \
	src/consume/rq_consumer.o \
	src/consume/rq_idle.o \
	src/consume/rq_losses.o \
	src/consume/rq_mark.o \
	src/consume/rq_moves.o \
	src/consume/rq_offer.o \
	src/consume/rq_offset.o \
	src/consume/rq_owner.o \
	src/consume/rq_position.o \
	src/consume/rq_rates.o \
	src/consume/rq_readers.o \
	src/consume/rq_saved.o \
	src/consume/rq_tagfilter.o \
	src/consume/rq_savepoint.o \
	src/consume/rq_unused.o \
	src/consume/rq_wait.o \
	src/consume/rq_whole.o \
	src/ddl/rq_access_hook.o \
	src/ddl/rq_executor_hook.o \
	src/ddl/rq_label.o \
	src/ddl/rq_publication.o \
	src/ddl/rq_topic_name.o \
	src/ddl/rq_utility_hook.o \
	src/extent/rq_extlist.o \
	src/extent/rq_extmem.o \
	src/extent/rq_extsupply.o \
	src/format/rq_queuefmt.o \
	src/format/rq_extfmt.o \
	src/format/rq_framefmt.o \
	src/format/rq_segfmt.o \
	src/format/rq_settings.o \
	src/format/rq_statefmt.o \
	src/format/rq_stateslots.o \
	src/format/rq_version.o \
	src/format/rq_walrec.o \
	src/log/rq_append.o \
	src/log/rq_disk.o \
	src/log/rq_gaps.o \
	src/log/rq_gather.o \
	src/log/rq_logfile.o \
	src/log/rq_logmem.o \
	src/log/rq_read.o \
	src/log/rq_reader.o \
	src/log/rq_reserve.o \
	src/produce/rq_pending.o \
	src/produce/rq_produce.o \
	src/produce/rq_touched.o \
	src/queue/rq_enqueue.o \
	src/queue/rq_entry.o \
	src/queue/rq_chaincheck.o \
	src/queue/rq_extcheck.o \
	src/queue/rq_extclaim.o \
	src/queue/rq_extent.o \
	src/queue/rq_exthole.o \
	src/queue/rq_extload.o \
	src/queue/rq_late.o \
	src/queue/rq_queue.o \
	src/queue/rq_resolve.o \
	src/queue/rq_supply.o \
	src/queue/rq_tablestate.o \
	src/retain/rq_expire.o \
	src/retain/rq_floor.o \
	src/retain/rq_kept.o \
	src/retain/rq_lowest.o \
	src/retain/rq_needs.o \
	src/retain/rq_retain.o \
	src/retain/rq_round.o \
	src/retain/rq_trim.o \
	src/shmem/rq_bits.o \
	src/shmem/rq_latency.o \
	src/shmem/rq_parts.o \
	src/shmem/rq_shmem.o \
	src/shmem/rq_slots.o \
	src/shmem/rq_space.o \
	src/shmem/rq_stats.o \
	src/shmem/rq_workers.o \
	src/store/rq_area.o \
	src/store/rq_durable.o \
	src/store/rq_map.o \
	src/store/rq_stream.o \
	src/topic/rq_alter.o \
	src/topic/rq_group.o \
	src/topic/rq_group_create.o \
	src/topic/rq_group_drop.o \
	src/topic/rq_group_room.o \
	src/topic/rq_group_txn.o \
	src/topic/rq_growth.o \
	src/topic/rq_room.o \
	src/topic/rq_settle.o \
	src/topic/rq_tables.o \
	src/topic/rq_topic.o \
	src/topic/rq_topic_create.o \
	src/topic/rq_topic_drop.o \
	src/topic/rq_topic_txn.o \
	src/topic/rq_waiters.o \
	src/topic/rq_wake.o \
	src/topic/rq_xid.o \
	src/txn/rq_index.o \
	src/txn/rq_txn.o \
	src/value/rq_columns.o \
	src/value/rq_lookup.o \
	src/value/rq_refuse.o \
	src/value/rq_relation.o \
	src/value/rq_routed.o \
	src/value/rq_rows.o \
	src/value/rq_serializable.o \
	src/value/rq_topic_label.o \
	src/value/rq_tuple.o \
	src/value/rq_values.o \
	src/wal/rq_control.o \
	src/wal/rq_files.o \
	src/wal/rq_holes.o \
	src/wal/rq_lost.o \
	src/wal/rq_missing.o \
	src/wal/rq_rmgr.o \
	src/wal/rq_state.o \
	src/wal/rq_statecopy.o \
	src/wal/rq_stateimage.o \
	src/wal/rq_stateload.o \
	src/wal/rq_statewrite.o \
	src/wal/rq_tidy.o \
	src/wal/rq_upgrade.o \
	src/worker/rq_allocator.o \
	src/worker/rq_janitor.o \
	src/worker/rq_keeper.o \
	src/worker/rq_worker.o \
	src/rocketq.o

# Every file in test/sql and test/isolation/specs, in the order of running;
# checked by src/tools/check_tests_listed.  Each finds the extension created.
REGRESS = \
	produce \
	bodies \
	consume \
	pull \
	rows \
	rows_memory \
	groups \
	topics \
	alter_topic \
	limits \
	privileges \
	lookup \
	views \
	insert \
	insert_select \
	select \
	tidscan \
	tidrangescan \
	tablesample \
	select_parallel \
	copy \
	ddl \
	partitions \
	triggers \
	rowsecurity \
	publications \
	refused

ISOLATION = \
	producers \
	commit_window \
	consumers \
	offsets \
	waiting_turns \
	group_ddl \
	group_undrop \
	commit_window_groups \
	snapshots \
	write_skew \
	topic_ddl \
	revoke

# Where pg_regress looks for expected output depends on the server's version;
# with these two, top-level expected/ and test/isolation/expected/ serve all.
REGRESS_OPTS = --inputdir=$(srcdir)/test --load-extension=rocketq --encoding=UTF8
ISOLATION_OPTS = --inputdir=$(srcdir)/test/isolation --load-extension=rocketq

TAP_TESTS = 1
PROVE_TESTS = test/t/*.pl

# The server that a TAP test sets up reads this file after its own defaults.
export TEMP_CONFIG = $(abspath test/rocketq.conf)

PG_CPPFLAGS = -I$(srcdir)/src -MMD -MP
ifdef RQ_TESTING
PG_CPPFLAGS += -DRQ_TESTING
endif
ifdef ASSERT
PG_CPPFLAGS += -DUSE_ASSERT_CHECKING
endif
ifdef SANITIZE
PG_CFLAGS += -fsanitize=undefined -fno-sanitize-recover=undefined
SHLIB_LINK += -fsanitize=undefined
endif
ifdef WERROR
PG_CFLAGS += -Werror -Wextra -Wno-unused-parameter -Wno-sign-compare \
	-Wno-missing-field-initializers -Wshadow \
	$(if $(findstring clang,$(CC)),$(NOT_OF_CLANG))
# Where gcc built the server, its flags and headers are for gcc.
NOT_OF_CLANG = -Wno-unknown-warning-option -Wno-ignored-attributes \
	-Wno-ignored-optimization-argument
endif

# What the last build had, so that "make install" does not build another library,
# until "make clean"; at first PostgreSQL's id for experiments.
ifndef RMGR_ID
RMGR_ID := $(or $(if $(filter %clean,$(MAKECMDGOALS)),,$(shell \
	cat .build_rmgr_id 2>/dev/null)),128)
endif
# To C, a number that begins with 0 is an octal one.
ifeq (,$(shell expr '$(RMGR_ID)' : '[1-9][0-9]*$$' >/dev/null && \
	test '$(RMGR_ID)' -ge 128 -a '$(RMGR_ID)' -le 255 && echo valid))
$(error RMGR_ID=$(RMGR_ID) is not a number from 128 to 255)
endif

EXTRA_CLEAN = .build_switches .build_rmgr_id $(OBJS:.o=.d) tmp_check output_iso

# No function of ours is worth inlining into a query's JIT code, and bitcode
# would need the very clang that the server was built with.
override with_llvm = no

# PGXS would put the pages of all extensions into one directory.
override docmoduledir = rocketq

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

# PGXS tracks neither the headers that a file includes, which the compiler writes
# down beside its object file, nor the switches above.
-include $(OBJS:.o=.d)
$(OBJS): .build_switches

# The directories are there already, unless the build is outside of the tree.
.build_switches: force
	@$(MKDIR_P) $(sort $(dir $(OBJS)))
	@echo '$(PG_CPPFLAGS) $(PG_CFLAGS)' | cmp -s - $@ || \
		echo '$(PG_CPPFLAGS) $(PG_CFLAGS)' >$@

# Needs "make install" first, and a user who is not root.
tempcheck:
	$(MKDIR_P) tmp_check
	$(top_builddir)/src/test/regress/pg_regress \
		--temp-instance=tmp_check/regress --temp-config=$(TEMP_CONFIG) \
		--bindir='$(bindir)' $(REGRESS_OPTS) $(REGRESS)
	$(top_builddir)/src/test/isolation/pg_isolation_regress \
		--temp-instance=tmp_check/isolation --temp-config=$(TEMP_CONFIG) \
		--bindir='$(bindir)' --outputdir=output_iso \
		$(ISOLATION_OPTS) $(ISOLATION)

# Only this file has the id.
src/format/rq_version.o: override CPPFLAGS += -DRQ_RMGR_ID=$(RMGR_ID)
src/format/rq_version.o: .build_rmgr_id

.build_rmgr_id: force
	@echo '$(RMGR_ID)' | cmp -s - $@ || echo '$(RMGR_ID)' >$@

.PHONY: force tempcheck

endif
