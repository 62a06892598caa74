/* sql/rocketq--1.0.sql */

-- complain if the script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION rocketq" to load this file. \quit

--
-- Make sure that the library is loaded and that nobody else can create objects
-- in the schema.  src/tools/check_sql_names explains how names have to be
-- written in this file, and why.
--
CREATE FUNCTION rocketq.check_install() RETURNS pg_catalog.void
    AS 'MODULE_PATHNAME', 'rocketq_check_install' LANGUAGE C VOLATILE;
SELECT rocketq.check_install();
DROP FUNCTION rocketq.check_install();

--
-- Types
--
CREATE TYPE rocketq.message AS (
    queue_id int,
    queue_offset bigint,
    message_id bigint,
    tag pg_catalog.text,
    keys pg_catalog.text[],
    sharding_key pg_catalog.text,
    properties pg_catalog.jsonb,
    born_at pg_catalog.timestamptz,
    stored_at pg_catalog.timestamptz,
    delivery_attempt int,
    body pg_catalog.bytea
);
COMMENT ON TYPE rocketq.message IS 'a message, and the columns of every topic';

--
-- Topics
--
CREATE FUNCTION rocketq.tableam_handler(pg_catalog.internal) RETURNS pg_catalog.table_am_handler
    AS 'MODULE_PATHNAME', 'rocketq_tableam_handler' LANGUAGE C STRICT;
COMMENT ON FUNCTION rocketq.tableam_handler IS 'handler of the access method rocketq';

CREATE ACCESS METHOD rocketq TYPE TABLE HANDLER rocketq.tableam_handler;
COMMENT ON ACCESS METHOD rocketq IS 'topics: append-only message queues on the rocketq commit log';

CREATE FUNCTION rocketq.create_topic(name pg_catalog.text, queues int DEFAULT NULL)
    RETURNS pg_catalog.regclass
    AS 'MODULE_PATHNAME', 'rocketq_create_topic' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION rocketq.create_topic IS
    'create a topic with the given number of queues, rocketq.default_queues by default; equivalent to '
    'CREATE TABLE name (LIKE rocketq.message) USING rocketq';

CREATE FUNCTION rocketq.alter_topic(topic pg_catalog.regclass, queues int DEFAULT NULL,
    retention_time pg_catalog.anycompatible DEFAULT NULL::pg_catalog.text) RETURNS pg_catalog.void
    AS 'MODULE_PATHNAME', 'rocketq_alter_topic' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION rocketq.alter_topic IS
    'change the number of queues of a topic, or how long it keeps messages: an interval, a number '
    'of seconds, -1 (forever), or default';

CREATE FUNCTION rocketq.drop_topic(topic pg_catalog.regclass) RETURNS pg_catalog.void
    AS 'MODULE_PATHNAME', 'rocketq_drop_topic' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION rocketq.drop_topic IS
    'drop a topic with its messages and consumer groups; equivalent to DROP TABLE topic';

CREATE FUNCTION rocketq.topic_size(topic pg_catalog.regclass) RETURNS bigint
    AS 'MODULE_PATHNAME', 'rocketq_topic_size' LANGUAGE C STRICT VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION rocketq.topic_size IS 'size of the messages of a topic, in bytes';

--
-- Produce
--
CREATE FUNCTION rocketq.produce(topic pg_catalog.regclass, body pg_catalog.anycompatible,
    tag pg_catalog.text DEFAULT NULL, keys pg_catalog.text[] DEFAULT NULL,
    properties pg_catalog.jsonb DEFAULT NULL, sharding_key pg_catalog.text DEFAULT NULL,
    queue_id int DEFAULT NULL, transactional boolean DEFAULT true) RETURNS bigint
    AS 'MODULE_PATHNAME', 'rocketq_produce' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION rocketq.produce IS
    'produce a message and return its message ID; the body is text, bytea, json or jsonb, and a '
    'literal is taken as text';

CREATE FUNCTION rocketq.produce_batch(topic pg_catalog.regclass,
    bodies pg_catalog.anycompatiblearray,
    tag pg_catalog.text DEFAULT NULL, keys pg_catalog.text[] DEFAULT NULL,
    properties pg_catalog.jsonb DEFAULT NULL, sharding_key pg_catalog.text DEFAULT NULL,
    queue_id int DEFAULT NULL, transactional boolean DEFAULT true) RETURNS SETOF bigint
    AS 'MODULE_PATHNAME', 'rocketq_produce_batch' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION rocketq.produce_batch IS
    'produce a message for each body of an array, alike in everything else, and return their message '
    'IDs';

--
-- Consume
--
CREATE FUNCTION rocketq.consume(topic pg_catalog.regclass, consumer_group pg_catalog.text,
    max_messages int DEFAULT 32, tags pg_catalog.text DEFAULT '*',
    auto_commit boolean DEFAULT false, wait interval DEFAULT '0') RETURNS SETOF rocketq.message
    AS 'MODULE_PATHNAME', 'rocketq_consume' LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 32;
COMMENT ON FUNCTION rocketq.consume IS
    'read the next messages of a consumer group; no other consumer gets them until the transaction '
    'ends';

CREATE FUNCTION rocketq.pull(topic pg_catalog.regclass, queue_id int, from_offset bigint,
    max_messages int DEFAULT 32, tags pg_catalog.text DEFAULT '*', wait interval DEFAULT '0')
    RETURNS SETOF rocketq.message
    AS 'MODULE_PATHNAME', 'rocketq_pull' LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 32;
COMMENT ON FUNCTION rocketq.pull IS
    'read messages of one queue from an offset on, without a consumer group';

CREATE PROCEDURE rocketq.wait_for_messages(topic pg_catalog.regclass,
    consumer_group pg_catalog.text, timeout interval, tags pg_catalog.text DEFAULT '*',
    INOUT available boolean DEFAULT NULL)
    AS 'MODULE_PATHNAME', 'rocketq_wait_for_messages' LANGUAGE C;
COMMENT ON PROCEDURE rocketq.wait_for_messages IS
    'wait until a consumer group has messages to consume, without holding a transaction open; false '
    'if the timeout expires first';

-- Bodies
CREATE FUNCTION rocketq.text(body pg_catalog.bytea) RETURNS pg_catalog.text
    AS 'MODULE_PATHNAME', 'rocketq_text' LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION rocketq.text(pg_catalog.bytea) IS 'message body as text';

CREATE FUNCTION rocketq.text(body pg_catalog.bytea, encoding pg_catalog.name) RETURNS pg_catalog.text
    AS 'pg_convert_from' LANGUAGE internal STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION rocketq.text(pg_catalog.bytea, pg_catalog.name) IS
    'message body as text, if it was produced in a database with the given encoding';

CREATE FUNCTION rocketq.json(body pg_catalog.bytea) RETURNS pg_catalog.jsonb
    AS 'MODULE_PATHNAME', 'rocketq_json' LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION rocketq.json IS 'message body as jsonb';

--
-- Consumer groups
--
CREATE FUNCTION rocketq.create_group(topic pg_catalog.regclass, consumer_group pg_catalog.text,
    start_from pg_catalog.text DEFAULT 'first') RETURNS pg_catalog.void
    AS 'MODULE_PATHNAME', 'rocketq_create_group' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION rocketq.create_group(pg_catalog.regclass, pg_catalog.text, pg_catalog.text) IS
    'create a consumer group that starts at ''first'', ''last'' or a timestamp';

CREATE FUNCTION rocketq.create_group(topic pg_catalog.regclass, consumer_group pg_catalog.text,
    start_from pg_catalog.timestamptz) RETURNS pg_catalog.void
    AS 'MODULE_PATHNAME', 'rocketq_create_group_time' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION
    rocketq.create_group(pg_catalog.regclass, pg_catalog.text, pg_catalog.timestamptz) IS
    'create a consumer group that starts at the first message stored at or after the given time';

CREATE FUNCTION rocketq.drop_group(topic pg_catalog.regclass, consumer_group pg_catalog.text)
    RETURNS pg_catalog.void
    AS 'MODULE_PATHNAME', 'rocketq_drop_group' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION rocketq.drop_group IS 'drop a consumer group and its offsets';

--
-- Offsets
--
CREATE FUNCTION rocketq.commit_offset(topic pg_catalog.regclass, consumer_group pg_catalog.text)
    RETURNS int
    AS 'MODULE_PATHNAME', 'rocketq_commit_consumed' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION rocketq.commit_offset(pg_catalog.regclass, pg_catalog.text) IS
    'commit everything that this transaction has consumed; returns the number of queues';

CREATE FUNCTION rocketq.commit_offset(topic pg_catalog.regclass, consumer_group pg_catalog.text,
    queue_id int, next_offset bigint) RETURNS pg_catalog.void
    AS 'MODULE_PATHNAME', 'rocketq_commit_offset' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION rocketq.commit_offset(pg_catalog.regclass, pg_catalog.text, int, bigint) IS
    'commit the offset of the next message to consume from one queue';

CREATE FUNCTION rocketq.reset_offset(topic pg_catalog.regclass, consumer_group pg_catalog.text,
    start_from pg_catalog.text) RETURNS pg_catalog.void
    AS 'MODULE_PATHNAME', 'rocketq_reset_group' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION rocketq.reset_offset(pg_catalog.regclass, pg_catalog.text, pg_catalog.text) IS
    'move a consumer group to ''first'', ''last'' or a timestamp in all queues';

CREATE FUNCTION rocketq.reset_offset(topic pg_catalog.regclass, consumer_group pg_catalog.text,
    start_from pg_catalog.timestamptz) RETURNS pg_catalog.void
    AS 'MODULE_PATHNAME', 'rocketq_reset_group_time' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION
    rocketq.reset_offset(pg_catalog.regclass, pg_catalog.text, pg_catalog.timestamptz) IS
    'move a consumer group to the first message stored at or after the given time, in all queues';

CREATE FUNCTION rocketq.reset_offset(topic pg_catalog.regclass, consumer_group pg_catalog.text,
    queue_id int, next_offset bigint) RETURNS pg_catalog.void
    AS 'MODULE_PATHNAME', 'rocketq_reset_offset' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION rocketq.reset_offset(pg_catalog.regclass, pg_catalog.text, int, bigint) IS
    'move a consumer group to an offset in one queue';

CREATE FUNCTION rocketq.committed_offset(topic pg_catalog.regclass,
    consumer_group pg_catalog.text, queue_id int) RETURNS bigint
    AS 'MODULE_PATHNAME', 'rocketq_committed_offset' LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION rocketq.committed_offset IS
    'offset of the next message that a consumer group will consume from a queue';

CREATE FUNCTION rocketq.min_offset(topic pg_catalog.regclass, queue_id int) RETURNS bigint
    AS 'MODULE_PATHNAME', 'rocketq_min_offset' LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION rocketq.min_offset IS 'lowest offset that a queue still keeps';

CREATE FUNCTION rocketq.max_offset(topic pg_catalog.regclass, queue_id int) RETURNS bigint
    AS 'MODULE_PATHNAME', 'rocketq_max_offset' LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION rocketq.max_offset IS 'offset after the last readable message of a queue';

CREATE FUNCTION rocketq.offset_at(topic pg_catalog.regclass, queue_id int,
    at_time pg_catalog.timestamptz) RETURNS bigint
    AS 'MODULE_PATHNAME', 'rocketq_offset_at' LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION rocketq.offset_at IS
    'lowest offset of a queue whose message was stored at or after the given time';

--
-- Views, each after the function it reads
--
CREATE FUNCTION rocketq.get_topics(OUT database pg_catalog.oid, OUT relfilenode pg_catalog.oid,
    OUT queues int, OUT groups int, OUT messages bigint, OUT bytes bigint,
    OUT unresolved bigint, OUT max_lag bigint, OUT oldest_at pg_catalog.timestamptz,
    OUT newest_at pg_catalog.timestamptz, OUT produced_per_second double precision,
    OUT produced_bytes_per_second double precision, OUT rates_since pg_catalog.timestamptz,
    OUT retention_time interval, OUT enqueued bigint, OUT unresolved_since pg_catalog.timestamptz)
    RETURNS SETOF pg_catalog.record
    AS 'MODULE_PATHNAME', 'rocketq_get_topics' LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 1000;
COMMENT ON FUNCTION rocketq.get_topics IS
    'topics of all databases for members of pg_monitor, otherwise those the caller may read; for view '
    'rocketq.topics';

CREATE VIEW rocketq.topics AS
    SELECT c.oid::pg_catalog.regclass::pg_catalog.text AS topic, c.oid AS topic_oid,
           t.queues, t.messages, t.unresolved, t.groups,
           t.oldest_at, t.newest_at, t.bytes, t.max_lag, t.produced_per_second,
           t.produced_bytes_per_second, t.rates_since, t.retention_time, t.enqueued,
           t.unresolved_since
    FROM rocketq.get_topics() t
         JOIN pg_catalog.pg_class c ON c.relfilenode OPERATOR(pg_catalog.=) t.relfilenode
    WHERE c.relam OPERATOR(pg_catalog.=)
              (SELECT a.oid FROM pg_catalog.pg_am a WHERE a.amname OPERATOR(pg_catalog.=) 'rocketq')
          AND t.database OPERATOR(pg_catalog.=)
              (SELECT d.oid FROM pg_catalog.pg_database d
               WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database());
COMMENT ON VIEW rocketq.topics IS 'topics of this database, one row per topic';

CREATE FUNCTION rocketq.get_queues(OUT database pg_catalog.oid, OUT relfilenode pg_catalog.oid,
    OUT queue_id int, OUT min_offset bigint, OUT max_offset bigint, OUT end_offset bigint,
    OUT oldest_at pg_catalog.timestamptz, OUT newest_at pg_catalog.timestamptz,
    OUT bytes bigint, OUT unresolved_since pg_catalog.timestamptz, OUT unresolved_pid int,
    OUT produced_per_second double precision, OUT produced_bytes_per_second double precision,
    OUT rates_since pg_catalog.timestamptz) RETURNS SETOF pg_catalog.record
    AS 'MODULE_PATHNAME', 'rocketq_get_queues' LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 1000;
COMMENT ON FUNCTION rocketq.get_queues IS
    'queues of all databases for members of pg_monitor, otherwise those of topics the caller may '
    'read; for view rocketq.queues';

CREATE VIEW rocketq.queues AS
    SELECT c.oid::pg_catalog.regclass::pg_catalog.text AS topic, c.oid AS topic_oid,
           q.queue_id, q.min_offset, q.max_offset,
           q.max_offset OPERATOR(pg_catalog.-) q.min_offset AS messages,
           q.end_offset OPERATOR(pg_catalog.-) q.max_offset AS unresolved,
           q.oldest_at, q.newest_at, q.end_offset, q.bytes, q.unresolved_since, q.unresolved_pid,
           q.produced_per_second, q.produced_bytes_per_second, q.rates_since
    FROM rocketq.get_queues() q
         JOIN pg_catalog.pg_class c ON c.relfilenode OPERATOR(pg_catalog.=) q.relfilenode
    WHERE c.relam OPERATOR(pg_catalog.=)
              (SELECT a.oid FROM pg_catalog.pg_am a WHERE a.amname OPERATOR(pg_catalog.=) 'rocketq')
          AND q.database OPERATOR(pg_catalog.=)
              (SELECT d.oid FROM pg_catalog.pg_database d
               WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database());
COMMENT ON VIEW rocketq.queues IS 'queues of this database''s topics, one row per queue';

CREATE FUNCTION rocketq.get_groups(OUT database pg_catalog.oid, OUT relfilenode pg_catalog.oid,
    OUT group_id bigint, OUT consumer_group pg_catalog.text, OUT queue_id int,
    OUT committed_offset bigint, OUT max_offset bigint, OUT lag bigint,
    OUT oldest_unconsumed_at pg_catalog.timestamptz, OUT created_at pg_catalog.timestamptz,
    OUT committed_at pg_catalog.timestamptz, OUT lag_seconds double precision,
    OUT owner_pid int, OUT owner_since pg_catalog.timestamptz,
    OUT consumed_per_second double precision, OUT holding boolean, OUT lost_messages bigint)
    RETURNS SETOF pg_catalog.record
    AS 'MODULE_PATHNAME', 'rocketq_get_groups' LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 1000;
COMMENT ON FUNCTION rocketq.get_groups IS
    'consumer groups of all databases for members of pg_monitor, otherwise those of topics the caller '
    'may read; for view rocketq.groups';

CREATE VIEW rocketq.groups AS
    SELECT c.oid::pg_catalog.regclass::pg_catalog.text AS topic, c.oid AS topic_oid,
           g.consumer_group, g.queue_id,
           g.committed_offset, g.max_offset, g.lag, g.oldest_unconsumed_at, g.committed_at, g.owner_pid,
           g.created_at, g.lag_seconds, g.owner_since, g.consumed_per_second, g.holding,
           g.lost_messages
    FROM rocketq.get_groups() g
         JOIN pg_catalog.pg_class c ON c.relfilenode OPERATOR(pg_catalog.=) g.relfilenode
    WHERE c.relam OPERATOR(pg_catalog.=)
              (SELECT a.oid FROM pg_catalog.pg_am a WHERE a.amname OPERATOR(pg_catalog.=) 'rocketq')
          AND g.database OPERATOR(pg_catalog.=)
              (SELECT d.oid FROM pg_catalog.pg_database d
               WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database());
COMMENT ON VIEW rocketq.groups IS
    'consumer groups of this database''s topics, one row per group and queue';

CREATE FUNCTION rocketq.get_group_totals(OUT database pg_catalog.oid,
    OUT relfilenode pg_catalog.oid, OUT consumer_group pg_catalog.text,
    OUT created_at pg_catalog.timestamptz, OUT queues int, OUT lag bigint,
    OUT lag_seconds double precision, OUT oldest_unconsumed_at pg_catalog.timestamptz,
    OUT committed_total bigint, OUT committed_at pg_catalog.timestamptz, OUT owned_queues int,
    OUT consumed_per_second double precision, OUT holding boolean, OUT lost_messages bigint)
    RETURNS SETOF pg_catalog.record
    AS 'MODULE_PATHNAME', 'rocketq_get_group_totals' LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 1000;
COMMENT ON FUNCTION rocketq.get_group_totals IS
    'consumer groups, each with sums over its queues, of all databases for members of pg_monitor, '
    'otherwise those of topics the caller may read; for view rocketq.group_totals';

CREATE VIEW rocketq.group_totals AS
    SELECT c.oid::pg_catalog.regclass::pg_catalog.text AS topic, c.oid AS topic_oid,
           g.consumer_group, g.queues, g.lag, g.lag_seconds, g.oldest_unconsumed_at,
           g.committed_total, g.committed_at, g.created_at, g.owned_queues,
           g.consumed_per_second, g.holding, g.lost_messages
    FROM rocketq.get_group_totals() g
         JOIN pg_catalog.pg_class c ON c.relfilenode OPERATOR(pg_catalog.=) g.relfilenode
    WHERE c.relam OPERATOR(pg_catalog.=)
              (SELECT a.oid FROM pg_catalog.pg_am a WHERE a.amname OPERATOR(pg_catalog.=) 'rocketq')
          AND g.database OPERATOR(pg_catalog.=)
              (SELECT d.oid FROM pg_catalog.pg_database d
               WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database());
COMMENT ON VIEW rocketq.group_totals IS
    'consumer groups of this database''s topics, one row per group';

CREATE FUNCTION rocketq.get_segments(OUT file pg_catalog.text, OUT start_position bigint,
    OUT end_position bigint, OUT disk_bytes bigint, OUT state pg_catalog.text,
    OUT used_bytes bigint, OUT oldest_at pg_catalog.timestamptz,
    OUT newest_at pg_catalog.timestamptz, OUT kept_by pg_catalog.text)
    RETURNS SETOF pg_catalog.record
    AS 'MODULE_PATHNAME', 'rocketq_get_segments' LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 100;
COMMENT ON FUNCTION rocketq.get_segments IS
    'segments of the commit log, for view rocketq.segments';

CREATE VIEW rocketq.segments AS SELECT * FROM rocketq.get_segments();
COMMENT ON VIEW rocketq.segments IS 'segments of the commit log, which all databases share';

CREATE FUNCTION rocketq.get_queue_space(OUT files integer, OUT disk_bytes bigint,
    OUT used_bytes bigint, OUT waiting_bytes bigint, OUT free_bytes bigint, OUT raw_bytes bigint)
    RETURNS SETOF pg_catalog.record
    AS 'MODULE_PATHNAME', 'rocketq_get_queue_space' LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 1;
COMMENT ON FUNCTION rocketq.get_queue_space IS
    'space of the queues, for view rocketq.queue_space';

CREATE VIEW rocketq.queue_space AS SELECT * FROM rocketq.get_queue_space();
COMMENT ON VIEW rocketq.queue_space IS
    'space of the queues of all topics, which all databases share';

CREATE FUNCTION rocketq.get_disk(OUT size_bytes bigint, OUT used_bytes bigint,
    OUT used_percent double precision, OUT refusing boolean) RETURNS SETOF pg_catalog.record
    AS 'MODULE_PATHNAME', 'rocketq_get_disk' LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 1;
COMMENT ON FUNCTION rocketq.get_disk IS
    'file system of the store, for view rocketq.disk';

CREATE VIEW rocketq.disk AS SELECT * FROM rocketq.get_disk();
COMMENT ON VIEW rocketq.disk IS 'file system that contains the store, whatever uses it';

CREATE FUNCTION rocketq.get_slots(OUT slots pg_catalog.text, OUT used bigint, OUT size bigint,
    OUT setting pg_catalog.text) RETURNS SETOF pg_catalog.record
    AS 'MODULE_PATHNAME', 'rocketq_get_slots' LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 4;
COMMENT ON FUNCTION rocketq.get_slots IS
    'room for topics, queues and groups in shared memory, for view rocketq.slots';

CREATE VIEW rocketq.slots AS SELECT * FROM rocketq.get_slots();
COMMENT ON VIEW rocketq.slots IS
    'room for topics, queues and groups of all databases, one row per setting';

CREATE FUNCTION rocketq.get_workers(OUT worker pg_catalog.text, OUT pid int,
    OUT started_at pg_catalog.timestamptz, OUT last_tick_at pg_catalog.timestamptz,
    OUT ticks bigint, OUT syncs bigint, OUT last_sync_at pg_catalog.timestamptz,
    OUT last_sync_ms double precision, OUT synced_redo_lsn pg_catalog.pg_lsn,
    OUT state pg_catalog.text, OUT errors bigint, OUT last_error_at pg_catalog.timestamptz,
    OUT last_error pg_catalog.text, OUT last_sync_bytes bigint) RETURNS SETOF pg_catalog.record
    AS 'MODULE_PATHNAME', 'rocketq_get_workers' LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 3;
COMMENT ON FUNCTION rocketq.get_workers IS 'background workers, for view rocketq.workers';

CREATE VIEW rocketq.workers AS
    SELECT w.worker, w.pid, w.started_at, w.last_tick_at, w.ticks, w.syncs, w.last_sync_at,
           w.last_sync_ms, w.synced_redo_lsn, w.state, w.errors, w.last_error_at, w.last_error,
           w.last_sync_bytes
    FROM rocketq.get_workers() w;
COMMENT ON VIEW rocketq.workers IS 'background workers of rocketq, one row per worker';

CREATE FUNCTION rocketq.get_stats(OUT produced bigint, OUT produced_bytes bigint,
    OUT enqueued bigint, OUT aborted bigint, OUT visible_late bigint, OUT consumed bigint,
    OUT pulled bigint, OUT offsets_committed bigint, OUT waits bigint, OUT wakeups bigint,
    OUT refused_too_large bigint, OUT refused_disk_full bigint, OUT refused_file_error bigint,
    OUT refused_no_room bigint, OUT refused_closed bigint, OUT damage_met bigint,
    OUT groups_moved bigint, OUT messages_lost bigint, OUT segments_created bigint, OUT segments_trimmed bigint,
    OUT queues_asked bigint, OUT syncs bigint, OUT wal_records bigint, OUT wal_bytes bigint,
    OUT stats_reset pg_catalog.timestamptz) RETURNS pg_catalog.record
    AS 'MODULE_PATHNAME', 'rocketq_get_stats' LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION rocketq.get_stats IS 'counters of this server, for view rocketq.stats';

CREATE VIEW rocketq.stats AS SELECT * FROM rocketq.get_stats();
COMMENT ON VIEW rocketq.stats IS
    'cumulative counters for all databases since the server started or the counters were reset; a '
    'standby has its own';

CREATE FUNCTION rocketq.get_latency(OUT phase pg_catalog.text, OUT bucket pg_catalog.text,
    OUT count bigint, OUT percent double precision) RETURNS SETOF pg_catalog.record
    AS 'MODULE_PATHNAME', 'rocketq_get_latency' LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 26;
COMMENT ON FUNCTION rocketq.get_latency IS
    'latency of producing in RocketMQ''s buckets, for view rocketq.produce_latency';

CREATE VIEW rocketq.produce_latency AS SELECT * FROM rocketq.get_latency();
COMMENT ON VIEW rocketq.produce_latency IS
    'latency of producing in RocketMQ''s buckets, since the server started or the statistics were '
    'reset';

CREATE FUNCTION rocketq.get_latency_histogram(OUT phase pg_catalog.text,
    OUT upper_bounds double precision[], OUT counts bigint[], OUT count bigint,
    OUT sum_seconds double precision, OUT stats_reset pg_catalog.timestamptz)
    RETURNS SETOF pg_catalog.record
    AS 'MODULE_PATHNAME', 'rocketq_get_latency_histogram'
    LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 2;
COMMENT ON FUNCTION rocketq.get_latency_histogram IS
    'latency of producing as a histogram for monitoring, for view rocketq.produce_latency_histogram';

CREATE VIEW rocketq.produce_latency_histogram AS SELECT * FROM rocketq.get_latency_histogram();
COMMENT ON VIEW rocketq.produce_latency_histogram IS
    'latency of producing: counts up to round limits, one row per phase';

CREATE FUNCTION rocketq.get_latency_fine(OUT phase pg_catalog.text,
    OUT from_ms double precision, OUT to_ms double precision, OUT count bigint)
    RETURNS SETOF pg_catalog.record
    AS 'MODULE_PATHNAME', 'rocketq_get_latency_fine'
    LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 200;
COMMENT ON FUNCTION rocketq.get_latency_fine IS
    'latency of producing in fine buckets, for view rocketq.produce_latency_fine';

CREATE VIEW rocketq.produce_latency_fine AS SELECT * FROM rocketq.get_latency_fine();
COMMENT ON VIEW rocketq.produce_latency_fine IS
    'latency of producing in buckets about 3 percent wide; empty buckets are left out';

CREATE FUNCTION rocketq.get_latency_summary(OUT phase pg_catalog.text, OUT count bigint,
    OUT mean_ms double precision, OUT p50_ms double precision, OUT p90_ms double precision,
    OUT p99_ms double precision, OUT p99_9_ms double precision, OUT p99_99_ms double precision,
    OUT p99_999_ms double precision, OUT max_ms double precision,
    OUT within_10ms_percent double precision, OUT stats_reset pg_catalog.timestamptz)
    RETURNS SETOF pg_catalog.record
    AS 'MODULE_PATHNAME', 'rocketq_get_latency_summary'
    LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 2;
COMMENT ON FUNCTION rocketq.get_latency_summary IS
    'mean, percentiles and maximum of the latency of producing, for view '
    'rocketq.produce_latency_summary';

CREATE VIEW rocketq.produce_latency_summary AS SELECT * FROM rocketq.get_latency_summary();
COMMENT ON VIEW rocketq.produce_latency_summary IS
    'latency of producing: mean, percentiles, maximum, and the share within 10 ms';

CREATE VIEW rocketq.settings AS
    SELECT s.name, pg_catalog.current_setting(s.name) AS setting, s.boot_val AS built_in, s.unit,
           s.source, s.context, s.pending_restart, s.short_desc
    FROM pg_catalog.pg_settings s
    WHERE pg_catalog.starts_with(s.name, 'rocketq.');
COMMENT ON VIEW rocketq.settings IS 'settings of rocketq in this session, one row per setting';

--
-- Support functions: checking the store, resetting statistics
--
CREATE FUNCTION rocketq.verify(OUT what pg_catalog.text, OUT problem pg_catalog.text)
    RETURNS SETOF pg_catalog.record
    AS 'MODULE_PATHNAME', 'rocketq_verify' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION rocketq.verify IS
    'check every byte of the store; no rows means that no problem was found';

CREATE FUNCTION rocketq.stats_reset() RETURNS pg_catalog.void
    AS 'MODULE_PATHNAME', 'rocketq_stats_reset' LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION rocketq.stats_reset IS
    'reset the counters and latencies of this server to zero';

--
-- Support functions: consumer groups in dumps
--
CREATE FUNCTION rocketq.dump_groups(OUT topic pg_catalog.text,
    OUT consumer_group pg_catalog.text, OUT total bigint[], OUT remaining bigint[])
    RETURNS SETOF pg_catalog.record
    AS 'MODULE_PATHNAME', 'rocketq_dump_groups' LANGUAGE C STABLE PARALLEL RESTRICTED;
COMMENT ON FUNCTION rocketq.dump_groups IS
    'consumer groups as a dump stores them: for each queue, the number of messages and of those not '
    'consumed yet';

CREATE TABLE rocketq.saved_groups (
    topic pg_catalog.text,
    consumer_group pg_catalog.text,
    total bigint[],
    remaining bigint[]
) USING heap;
COMMENT ON TABLE rocketq.saved_groups IS
    'always empty: pg_dump writes consumer groups as its rows, and inserting such a row creates the '
    'group';

CREATE FUNCTION rocketq.restore_group() RETURNS pg_catalog.trigger
    AS 'MODULE_PATHNAME', 'rocketq_restore_group' LANGUAGE C;
COMMENT ON FUNCTION rocketq.restore_group IS 'trigger function of rocketq.saved_groups';

CREATE TRIGGER restore_group BEFORE INSERT ON rocketq.saved_groups
    FOR EACH ROW EXECUTE FUNCTION rocketq.restore_group();
ALTER TABLE rocketq.saved_groups ENABLE ALWAYS TRIGGER restore_group;

-- pg_dump appends this condition to its query of the table.
SELECT pg_catalog.pg_extension_config_dump('rocketq.saved_groups',
    'WHERE false UNION ALL SELECT * FROM rocketq.dump_groups()');

--
-- Columns: of a message, of the views, of saved groups
--
COMMENT ON COLUMN rocketq.message.queue_id IS 'queue of the topic that the message is in';
COMMENT ON COLUMN rocketq.message.queue_offset IS 'offset of the message in its queue';
COMMENT ON COLUMN rocketq.message.message_id IS
    'position of the message in the commit log, never reused';
COMMENT ON COLUMN rocketq.message.tag IS 'tag, which consumers can filter by';
COMMENT ON COLUMN rocketq.message.keys IS 'business keys';
COMMENT ON COLUMN rocketq.message.sharding_key IS
    'messages with the same sharding key share a queue and stay in order';
COMMENT ON COLUMN rocketq.message.properties IS 'application-defined properties, a JSON object';
COMMENT ON COLUMN rocketq.message.born_at IS 'when the producer''s statement began';
COMMENT ON COLUMN rocketq.message.stored_at IS
    'when the message entered its queue; never decreases within a queue';
COMMENT ON COLUMN rocketq.message.delivery_attempt IS
    'number of this delivery to the consumer group; always 1, since messages are not retried yet';
COMMENT ON COLUMN rocketq.message.body IS
    'message body; rocketq.text() and rocketq.json() convert it';

COMMENT ON COLUMN rocketq.topics.topic IS
    'name of the topic, schema-qualified if its schema is not in the search path';
COMMENT ON COLUMN rocketq.topics.topic_oid IS 'OID of the topic''s table';
COMMENT ON COLUMN rocketq.topics.queues IS 'number of queues';
COMMENT ON COLUMN rocketq.topics.messages IS
    'messages that are kept and can be read, including entries of transactions that failed while '
    'committing';
COMMENT ON COLUMN rocketq.topics.unresolved IS
    'messages that cannot be read yet, because their transactions, or ones before them in their '
    'queue, have not ended';
COMMENT ON COLUMN rocketq.topics.groups IS 'number of consumer groups';
COMMENT ON COLUMN rocketq.topics.oldest_at IS 'when the oldest message was stored';
COMMENT ON COLUMN rocketq.topics.newest_at IS
    'when the newest message that can be read was stored';
COMMENT ON COLUMN rocketq.topics.bytes IS
    'bytes that the kept messages occupy in the commit log, including those that cannot be read yet';
COMMENT ON COLUMN rocketq.topics.max_lag IS
    'messages not yet consumed by the consumer group that is furthest behind; null without groups';
COMMENT ON COLUMN rocketq.topics.produced_per_second IS
    'messages enqueued per second, averaged since rates_since';
COMMENT ON COLUMN rocketq.topics.produced_bytes_per_second IS
    'bytes of messages enqueued per second, averaged since rates_since';
COMMENT ON COLUMN rocketq.topics.rates_since IS
    'start of the period the rates cover: 30 to 60 seconds ago, or less for a new topic or after a '
    'server start; null on a standby, which has no rates';
COMMENT ON COLUMN rocketq.topics.retention_time IS
    'how long messages are kept, set by alter_topic() or else rocketq.retention_time; null if forever';

COMMENT ON COLUMN rocketq.queues.topic IS
    'name of the topic, schema-qualified if its schema is not in the search path';
COMMENT ON COLUMN rocketq.queues.topic_oid IS 'OID of the topic''s table';
COMMENT ON COLUMN rocketq.queues.queue_id IS 'number of the queue within the topic, starting at 0';
COMMENT ON COLUMN rocketq.queues.min_offset IS 'lowest offset that is still kept';
COMMENT ON COLUMN rocketq.queues.max_offset IS 'offset after the last message that can be read';
COMMENT ON COLUMN rocketq.queues.messages IS
    'messages that are kept and can be read, including entries of transactions that failed while '
    'committing';
COMMENT ON COLUMN rocketq.queues.unresolved IS
    'messages at the end that cannot be read yet, because their transactions, or ones before them, '
    'have not ended';
COMMENT ON COLUMN rocketq.queues.oldest_at IS 'when the oldest message was stored';
COMMENT ON COLUMN rocketq.queues.newest_at IS
    'when the newest message that can be read was stored';
COMMENT ON COLUMN rocketq.queues.end_offset IS 'offset that the next message will get';
COMMENT ON COLUMN rocketq.queues.bytes IS
    'bytes that the kept messages occupy in the commit log, including those that cannot be read yet';
COMMENT ON COLUMN rocketq.queues.unresolved_since IS
    'when the first unresolved message was enqueued; null if there is none';
COMMENT ON COLUMN rocketq.queues.unresolved_pid IS
    'process that the first unresolved message is waiting for; null if there is none, if it is being '
    'resolved right now, and on a standby';
COMMENT ON COLUMN rocketq.queues.produced_per_second IS
    'messages enqueued per second, averaged since rates_since';
COMMENT ON COLUMN rocketq.queues.produced_bytes_per_second IS
    'bytes of messages enqueued per second, averaged since rates_since';
COMMENT ON COLUMN rocketq.queues.rates_since IS
    'start of the period the rates cover: 30 to 60 seconds ago, or less for a new queue or after a '
    'server start; null on a standby, which has no rates';

COMMENT ON COLUMN rocketq.topics.enqueued IS
    'messages ever enqueued in its queues, which TRUNCATE sets back to 0';
COMMENT ON COLUMN rocketq.topics.unresolved_since IS
    'when the first unresolved message was enqueued; null if there is none';

COMMENT ON COLUMN rocketq.group_totals.topic IS
    'name of the topic, schema-qualified if its schema is not in the search path';
COMMENT ON COLUMN rocketq.group_totals.topic_oid IS 'OID of the topic''s table';
COMMENT ON COLUMN rocketq.group_totals.consumer_group IS 'name of the group';
COMMENT ON COLUMN rocketq.group_totals.queues IS 'number of queues';
COMMENT ON COLUMN rocketq.group_totals.lag IS
    'messages that the group has not consumed yet, including entries of transactions that failed '
    'while committing';
COMMENT ON COLUMN rocketq.group_totals.lag_seconds IS
    'age in seconds of the oldest message not yet consumed by the group; 0 if there is none';
COMMENT ON COLUMN rocketq.group_totals.oldest_unconsumed_at IS
    'when the oldest message not yet consumed by the group was stored; null if there is none';
COMMENT ON COLUMN rocketq.group_totals.committed_total IS 'sum of its committed offsets';
COMMENT ON COLUMN rocketq.group_totals.committed_at IS
    'when an offset last moved; null if none has moved since the server started';
COMMENT ON COLUMN rocketq.group_totals.created_at IS
    'when the group was created; TRUNCATE of the topic creates it anew';
COMMENT ON COLUMN rocketq.group_totals.owned_queues IS
    'queues that transactions are consuming for the group';
COMMENT ON COLUMN rocketq.group_totals.consumed_per_second IS
    'messages by which its offsets advanced per second, averaged over the last 30 to 60 seconds, or '
    'less for a new group; null on a standby, and if more groups move than can be remembered';
COMMENT ON COLUMN rocketq.group_totals.holding IS
    'whether the group is keeping messages from being removed by retention';
COMMENT ON COLUMN rocketq.group_totals.lost_messages IS
    'messages that retention removed before the group consumed them, since the server started';

COMMENT ON COLUMN rocketq.groups.topic IS
    'name of the topic, schema-qualified if its schema is not in the search path';
COMMENT ON COLUMN rocketq.groups.topic_oid IS 'OID of the topic''s table';
COMMENT ON COLUMN rocketq.groups.consumer_group IS 'name of the group';
COMMENT ON COLUMN rocketq.groups.queue_id IS 'number of the queue within the topic, starting at 0';
COMMENT ON COLUMN rocketq.groups.committed_offset IS
    'offset of the next message that the group will consume';
COMMENT ON COLUMN rocketq.groups.max_offset IS 'offset after the last message that can be read';
COMMENT ON COLUMN rocketq.groups.lag IS
    'messages that the group has not consumed yet, including entries of transactions that failed '
    'while committing';
COMMENT ON COLUMN rocketq.groups.oldest_unconsumed_at IS
    'when the oldest message not yet consumed by the group was stored; null if there is none';
COMMENT ON COLUMN rocketq.groups.committed_at IS
    'when the offset last moved; null if it has not moved since the server started';
COMMENT ON COLUMN rocketq.groups.owner_pid IS
    'process whose transaction is consuming the queue for the group; null if there is none';
COMMENT ON COLUMN rocketq.groups.created_at IS
    'when the group was created; TRUNCATE of the topic creates it anew';
COMMENT ON COLUMN rocketq.groups.lag_seconds IS
    'age in seconds of the oldest message not yet consumed by the group; 0 if there is none';
COMMENT ON COLUMN rocketq.groups.owner_since IS 'when the owner''s transaction took the first of its queues';
COMMENT ON COLUMN rocketq.groups.consumed_per_second IS
    'messages by which the offset advanced per second, averaged over the last 30 to 60 seconds, or '
    'less for a new group; null on a standby, and if more groups move than can be remembered';
COMMENT ON COLUMN rocketq.groups.holding IS
    'whether the group is keeping messages of the queue from being removed by retention';
COMMENT ON COLUMN rocketq.groups.lost_messages IS
    'messages of the queue that retention removed before the group consumed them, since the server '
    'started';

COMMENT ON COLUMN rocketq.segments.file IS 'file name, relative to the data directory';
COMMENT ON COLUMN rocketq.segments.start_position IS 'first position of the segment';
COMMENT ON COLUMN rocketq.segments.end_position IS 'position after the segment';
COMMENT ON COLUMN rocketq.segments.disk_bytes IS 'disk space that the file occupies, in bytes';
COMMENT ON COLUMN rocketq.segments.state IS 'full, writing, or ready for use';
COMMENT ON COLUMN rocketq.segments.used_bytes IS 'bytes written so far';
COMMENT ON COLUMN rocketq.segments.oldest_at IS 'when its first message was stored';
COMMENT ON COLUMN rocketq.segments.newest_at IS
    'when the first message of the next segment was stored; no message here is newer';
COMMENT ON COLUMN rocketq.queue_space.files IS 'area files, in pg_rocketq/queue';
COMMENT ON COLUMN rocketq.queue_space.disk_bytes IS 'disk space that they occupy, in bytes';
COMMENT ON COLUMN rocketq.queue_space.used_bytes IS 'bytes that queues have, room for messages to come included';
COMMENT ON COLUMN rocketq.queue_space.waiting_bytes IS
    'bytes that queues have given back, and that others can use after the next checkpoint';
COMMENT ON COLUMN rocketq.queue_space.free_bytes IS 'bytes ready for queues';
COMMENT ON COLUMN rocketq.queue_space.raw_bytes IS
    'bytes of the files that take no disk space, and will be used before the files grow';
COMMENT ON COLUMN rocketq.segments.kept_by IS
    'why the segment is kept, as of the janitor''s last round';

COMMENT ON COLUMN rocketq.disk.size_bytes IS
    'size of the file system, without what only root may use';
COMMENT ON COLUMN rocketq.disk.used_bytes IS 'what is used of it, by anybody';
COMMENT ON COLUMN rocketq.disk.used_percent IS
    'the share that is used, which the rocketq.disk_..._percent settings are about';
COMMENT ON COLUMN rocketq.disk.refusing IS
    'whether producers get disk_full because of rocketq.disk_refuse_percent';

COMMENT ON COLUMN rocketq.slots.slots IS
    'topics, queues, groups, or consumer_slots, of which a group has one for each queue of its topic';
COMMENT ON COLUMN rocketq.slots.used IS
    'how many are in use; queues and consumer_slots are given in blocks of eight';
COMMENT ON COLUMN rocketq.slots.size IS 'how many there are';
COMMENT ON COLUMN rocketq.slots.setting IS 'the setting that says so';

COMMENT ON COLUMN rocketq.workers.worker IS
    'keeper (checkpoints, outcome of transactions), allocator (creates segments in advance) or '
    'janitor (retention, dropped topics)';
COMMENT ON COLUMN rocketq.workers.pid IS 'process ID; null if the worker is not running';
COMMENT ON COLUMN rocketq.workers.started_at IS 'when the worker was started';
COMMENT ON COLUMN rocketq.workers.last_tick_at IS 'when the worker last completed a round';
COMMENT ON COLUMN rocketq.workers.ticks IS 'rounds since the server started';
COMMENT ON COLUMN rocketq.workers.syncs IS
    'keeper: syncs of the store for checkpoints since the server started';
COMMENT ON COLUMN rocketq.workers.last_sync_at IS 'keeper: when the last sync ended';
COMMENT ON COLUMN rocketq.workers.last_sync_ms IS
    'keeper: duration of the last sync, in milliseconds';
COMMENT ON COLUMN rocketq.workers.synced_redo_lsn IS
    'keeper: everything before this redo pointer is on disk';
COMMENT ON COLUMN rocketq.workers.state IS
    'idle (waiting for its next round), working, syncing (flushing the store to disk for a '
    'checkpoint), failing (its last round failed and will be retried), starting, stopped, or in '
    'recovery (workers start when recovery ends)';
COMMENT ON COLUMN rocketq.workers.errors IS 'failed rounds since the server started';
COMMENT ON COLUMN rocketq.workers.last_error_at IS 'when a round last failed; null if none has';
COMMENT ON COLUMN rocketq.workers.last_error IS
    'message of the last failure, truncated to 255 bytes; see the server log for all of it';
COMMENT ON COLUMN rocketq.workers.last_sync_bytes IS
    'keeper: bytes of the log, the queues and the state file that the last sync flushed';

COMMENT ON COLUMN rocketq.stats.produced IS
    'messages written to the commit log, including those of transactions that were rolled back';
COMMENT ON COLUMN rocketq.stats.produced_bytes IS
    'bytes that these messages occupy in the commit log';
COMMENT ON COLUMN rocketq.stats.enqueued IS
    'messages that entered their queues, which happens when the transaction commits';
COMMENT ON COLUMN rocketq.stats.aborted IS
    'messages that entered their queues but whose transactions then failed to commit; they are never '
    'visible';
COMMENT ON COLUMN rocketq.stats.visible_late IS
    'transactions, and non-transactional calls, whose messages became visible late because of '
    'unfinished transactions before them in a queue';
COMMENT ON COLUMN rocketq.stats.consumed IS
    'messages delivered to consumer groups, including repeated deliveries after a rollback';
COMMENT ON COLUMN rocketq.stats.pulled IS 'messages returned by rocketq.pull()';
COMMENT ON COLUMN rocketq.stats.offsets_committed IS
    'committed offsets of a consumer group in a queue';
COMMENT ON COLUMN rocketq.stats.waits IS 'number of times a consumer started to wait for messages';
COMMENT ON COLUMN rocketq.stats.wakeups IS 'number of times a waiting consumer was woken';
COMMENT ON COLUMN rocketq.stats.refused_too_large IS
    'messages refused because they or a part of them were too large';
COMMENT ON COLUMN rocketq.stats.refused_disk_full IS 'calls refused because the disk was full';
COMMENT ON COLUMN rocketq.stats.refused_file_error IS
    'calls refused because the operating system could not create a file';
COMMENT ON COLUMN rocketq.stats.refused_no_room IS
    'calls refused because there were too many topics, queues or groups';
COMMENT ON COLUMN rocketq.stats.refused_closed IS
    'calls refused because a required background worker was not running';
COMMENT ON COLUMN rocketq.stats.damage_met IS
    'number of times something in the store was found damaged or missing when it was needed';
COMMENT ON COLUMN rocketq.stats.groups_moved IS
    'number of times retention moved a consumer group past messages it had not consumed';
COMMENT ON COLUMN rocketq.stats.messages_lost IS 'messages that consumer groups lost in this way';
COMMENT ON COLUMN rocketq.stats.segments_created IS 'segments of the commit log created';
COMMENT ON COLUMN rocketq.stats.segments_trimmed IS
    'segments of the commit log removed by retention';
COMMENT ON COLUMN rocketq.stats.queues_asked IS
    'queues that retention has asked what they need of the log''s oldest segments';
COMMENT ON COLUMN rocketq.stats.syncs IS 'syncs of the store to disk for checkpoints';
COMMENT ON COLUMN rocketq.stats.wal_records IS 'WAL records written by rocketq';
COMMENT ON COLUMN rocketq.stats.wal_bytes IS 'size of these records, in bytes';
COMMENT ON COLUMN rocketq.stats.stats_reset IS
    'when counting started: at server start or the last rocketq.stats_reset()';

COMMENT ON COLUMN rocketq.produce_latency.phase IS
    'produce: duration of a call that produces; visible: time from the start of the commit until the '
    'messages can be read';
COMMENT ON COLUMN rocketq.produce_latency.bucket IS
    'RocketMQ''s name of the bucket: at least the first time, less than the second; [<=0ms] is less '
    'than 1 ms';
COMMENT ON COLUMN rocketq.produce_latency.count IS 'number of calls or transactions';
COMMENT ON COLUMN rocketq.produce_latency.percent IS
    'share of all calls or transactions of the phase, in percent';

COMMENT ON COLUMN rocketq.produce_latency_histogram.phase IS 'as in rocketq.produce_latency';
COMMENT ON COLUMN rocketq.produce_latency_histogram.upper_bounds IS
    'limits, in seconds: of the buckets of rocketq.produce_latency, and more in between';
COMMENT ON COLUMN rocketq.produce_latency_histogram.counts IS
    'number of calls or transactions that took less, for each of the limits';
COMMENT ON COLUMN rocketq.produce_latency_histogram.count IS 'number of all calls or transactions';
COMMENT ON COLUMN rocketq.produce_latency_histogram.sum_seconds IS 'how long they took together';
COMMENT ON COLUMN rocketq.produce_latency_histogram.stats_reset IS
    'when counting started: at server start or the last rocketq.stats_reset()';

COMMENT ON COLUMN rocketq.produce_latency_fine.phase IS 'as in rocketq.produce_latency';
COMMENT ON COLUMN rocketq.produce_latency_fine.from_ms IS 'lower bound of the bucket, inclusive';
COMMENT ON COLUMN rocketq.produce_latency_fine.to_ms IS
    'upper bound of the bucket, exclusive; null for the last one';
COMMENT ON COLUMN rocketq.produce_latency_fine.count IS 'number of calls or transactions';

COMMENT ON COLUMN rocketq.produce_latency_summary.phase IS 'as in rocketq.produce_latency';
COMMENT ON COLUMN rocketq.produce_latency_summary.count IS 'number of calls or transactions';
COMMENT ON COLUMN rocketq.produce_latency_summary.mean_ms IS 'arithmetic mean';
COMMENT ON COLUMN rocketq.produce_latency_summary.p50_ms IS
    'half took at most this long; percentiles are overestimated by at most 3 percent';
COMMENT ON COLUMN rocketq.produce_latency_summary.p90_ms IS
    'all but one in 10 took at most this long';
COMMENT ON COLUMN rocketq.produce_latency_summary.p99_ms IS
    'all but one in 100 took at most this long';
COMMENT ON COLUMN rocketq.produce_latency_summary.p99_9_ms IS
    'all but one in 1000 took at most this long';
COMMENT ON COLUMN rocketq.produce_latency_summary.p99_99_ms IS
    'all but one in 10000 took at most this long';
COMMENT ON COLUMN rocketq.produce_latency_summary.p99_999_ms IS
    'all but one in 100000 took at most this long';
COMMENT ON COLUMN rocketq.produce_latency_summary.max_ms IS 'longest time';
COMMENT ON COLUMN rocketq.produce_latency_summary.within_10ms_percent IS
    'share that took less than 10 ms, in percent, rounded down';
COMMENT ON COLUMN rocketq.produce_latency_summary.stats_reset IS
    'when counting started: at server start or the last rocketq.stats_reset()';

COMMENT ON COLUMN rocketq.settings.name IS 'name of the setting';
COMMENT ON COLUMN rocketq.settings.setting IS 'current value, with unit';
COMMENT ON COLUMN rocketq.settings.built_in IS 'built-in default, in the unit given next';
COMMENT ON COLUMN rocketq.settings.unit IS
    'unit of a value given without one; null if it has none';
COMMENT ON COLUMN rocketq.settings.source IS
    'source of the value: default, configuration file, database, ...';
COMMENT ON COLUMN rocketq.settings.context IS
    'context required to change it: postmaster (restart), sighup (reload), superuser, user';
COMMENT ON COLUMN rocketq.settings.pending_restart IS
    'whether the configuration file has a different value that needs a restart';
COMMENT ON COLUMN rocketq.settings.short_desc IS 'short description';

COMMENT ON COLUMN rocketq.saved_groups.topic IS 'schema-qualified name of the topic';
COMMENT ON COLUMN rocketq.saved_groups.consumer_group IS 'name of the group';
COMMENT ON COLUMN rocketq.saved_groups.total IS
    'number of messages in each queue, starting with queue 0';
COMMENT ON COLUMN rocketq.saved_groups.remaining IS
    'number of messages in each queue that the group had not consumed, starting with queue 0';

--
-- Privileges
--
GRANT USAGE ON SCHEMA rocketq TO PUBLIC;
GRANT SELECT ON rocketq.saved_groups TO PUBLIC;

-- The functions behind these views decide which rows a role may see.
GRANT SELECT ON rocketq.topics, rocketq.queues, rocketq.groups, rocketq.group_totals TO PUBLIC;

REVOKE EXECUTE ON FUNCTION rocketq.get_segments(), rocketq.get_queue_space(),
    rocketq.get_disk(), rocketq.get_slots(), rocketq.get_workers(), rocketq.get_stats(),
    rocketq.get_latency(), rocketq.get_latency_histogram(), rocketq.get_latency_fine(),
    rocketq.get_latency_summary(),
    rocketq.verify(), rocketq.stats_reset(), rocketq.tableam_handler(pg_catalog.internal),
    rocketq.restore_group() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION rocketq.get_segments(), rocketq.get_queue_space(),
    rocketq.get_disk(), rocketq.get_slots(), rocketq.get_workers(), rocketq.get_stats(),
    rocketq.get_latency(), rocketq.get_latency_histogram(), rocketq.get_latency_fine(),
    rocketq.get_latency_summary(),
    rocketq.verify() TO pg_monitor;
GRANT SELECT ON rocketq.segments, rocketq.queue_space, rocketq.disk, rocketq.slots,
    rocketq.workers, rocketq.stats, rocketq.produce_latency, rocketq.produce_latency_histogram,
    rocketq.produce_latency_fine, rocketq.produce_latency_summary, rocketq.settings TO pg_monitor;
