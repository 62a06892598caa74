/* sql/rocketq--1.0--1.1.sql */

-- complain if script is sourced in psql, rather than via ALTER EXTENSION
\echo Use "ALTER EXTENSION rocketq UPDATE TO '1.1'" to load this file. \quit

CREATE FUNCTION rocketq.alter_topic(topic regclass, queues int) RETURNS void
    AS 'MODULE_PATHNAME', 'rocketq_alter_topic' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION rocketq.alter_topic(regclass, int) IS 'change the number of a topic''s queues';

-- Topics that have no label yet get one.
SELECT rocketq.alter_topic(t.topic, t.queues) FROM rocketq.topics t;

--
-- Consumer groups in dumps
--
CREATE FUNCTION rocketq.group_positions(topic regclass, OUT consumer_group text, OUT queue_id int,
    OUT next_offset bigint) RETURNS SETOF record
    AS 'MODULE_PATHNAME', 'rocketq_group_positions' LANGUAGE C STABLE PARALLEL RESTRICTED;
COMMENT ON FUNCTION rocketq.group_positions(regclass) IS 'where a topic''s groups go on, as the caller''s snapshot has it, for dumps';

CREATE FUNCTION rocketq.dump_groups(OUT topic text, OUT consumer_group text, OUT total bigint[],
    OUT remaining bigint[]) RETURNS SETOF record
    AS 'MODULE_PATHNAME', 'rocketq_dump_groups' LANGUAGE C STABLE PARALLEL RESTRICTED;
COMMENT ON FUNCTION rocketq.dump_groups() IS 'consumer groups as a dump holds them: by queue, the messages there are and those not consumed yet';

CREATE TABLE rocketq.saved_groups (
    topic text,
    consumer_group text,
    total bigint[],
    remaining bigint[]
) USING heap;
COMMENT ON TABLE rocketq.saved_groups IS 'always empty: pg_dump writes the consumer groups as its rows, and inserting such a row creates the group';

CREATE FUNCTION rocketq.restore_group() RETURNS trigger
    AS 'MODULE_PATHNAME', 'rocketq_restore_group' LANGUAGE C;
COMMENT ON FUNCTION rocketq.restore_group() IS 'trigger of rocketq.saved_groups';

CREATE TRIGGER restore_group BEFORE INSERT ON rocketq.saved_groups
    FOR EACH ROW EXECUTE FUNCTION rocketq.restore_group();
ALTER TABLE rocketq.saved_groups ENABLE ALWAYS TRIGGER restore_group;

-- What follows the table's name in pg_dump's query.
SELECT pg_catalog.pg_extension_config_dump('rocketq.saved_groups',
    'WHERE false UNION ALL SELECT * FROM rocketq.dump_groups()');
GRANT SELECT ON rocketq.saved_groups TO PUBLIC;

--
-- Waiting
--
CREATE PROCEDURE rocketq.wait_for_messages(topic regclass, consumer_group text, timeout interval,
    tags text DEFAULT '*', INOUT available bool DEFAULT NULL)
    AS 'MODULE_PATHNAME', 'rocketq_wait_for_messages' LANGUAGE C;
COMMENT ON PROCEDURE rocketq.wait_for_messages(regclass, text, interval, text, bool) IS 'wait until a consumer group could consume something, without holding a transaction open; false when the time is over';

--
-- Statistics
--
CREATE FUNCTION rocketq.get_stats(OUT produced bigint, OUT produced_bytes bigint, OUT enqueued bigint,
    OUT aborted bigint, OUT consumed bigint, OUT pulled bigint, OUT offsets_committed bigint,
    OUT waits bigint, OUT wakeups bigint, OUT refused_too_large bigint, OUT refused_disk_full bigint,
    OUT refused_file_error bigint, OUT refused_no_room bigint, OUT refused_closed bigint,
    OUT groups_moved bigint, OUT messages_lost bigint, OUT segments_created bigint,
    OUT segments_trimmed bigint, OUT syncs bigint, OUT wal_records bigint, OUT wal_bytes bigint,
    OUT stats_reset timestamptz) RETURNS record
    AS 'MODULE_PATHNAME', 'rocketq_get_stats' LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION rocketq.get_stats() IS 'counters of this server, for the view rocketq.stats';

CREATE FUNCTION rocketq.get_latency(OUT phase text, OUT bucket text, OUT count bigint, OUT percent float8)
    RETURNS SETOF record
    AS 'MODULE_PATHNAME', 'rocketq_get_latency' LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 26;
COMMENT ON FUNCTION rocketq.get_latency() IS 'latency of producing in RocketMQ''s buckets, for the views';

CREATE FUNCTION rocketq.get_latency_fine(OUT phase text, OUT from_ms float8, OUT to_ms float8,
    OUT count bigint) RETURNS SETOF record
    AS 'MODULE_PATHNAME', 'rocketq_get_latency_fine' LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 200;
COMMENT ON FUNCTION rocketq.get_latency_fine() IS 'latency of producing in fine buckets, for the views';

CREATE FUNCTION rocketq.get_latency_summary(OUT phase text, OUT count bigint, OUT mean_ms float8,
    OUT p50_ms float8, OUT p90_ms float8, OUT p99_ms float8, OUT p99_9_ms float8, OUT p99_99_ms float8,
    OUT p99_999_ms float8, OUT max_ms float8, OUT within_10ms_percent float8,
    OUT stats_reset timestamptz) RETURNS SETOF record
    AS 'MODULE_PATHNAME', 'rocketq_get_latency_summary' LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 2;
COMMENT ON FUNCTION rocketq.get_latency_summary() IS 'mean, percentiles and maximum of the latency of producing, for the views';

CREATE FUNCTION rocketq.stats_reset() RETURNS void
    AS 'MODULE_PATHNAME', 'rocketq_stats_reset' LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION rocketq.stats_reset() IS 'let the counters and the latency of this server begin at zero';

CREATE VIEW rocketq.stats AS SELECT * FROM rocketq.get_stats();
COMMENT ON VIEW rocketq.stats IS 'what rocketq has done in all databases since the server started or the counters were reset; a standby counts for itself';
COMMENT ON COLUMN rocketq.stats.produced IS 'messages written to the commit log, also by transactions that were rolled back';
COMMENT ON COLUMN rocketq.stats.produced_bytes IS 'the bytes they take in the commit log';
COMMENT ON COLUMN rocketq.stats.enqueued IS 'messages put into their queues, which happens when the transaction commits';
COMMENT ON COLUMN rocketq.stats.aborted IS 'messages put into their queues by transactions that failed to commit after that; nobody sees them';
COMMENT ON COLUMN rocketq.stats.consumed IS 'messages handed to consumer groups, again after a rollback';
COMMENT ON COLUMN rocketq.stats.pulled IS 'messages handed out by rocketq.pull()';
COMMENT ON COLUMN rocketq.stats.offsets_committed IS 'moves of a group in a queue that were committed';
COMMENT ON COLUMN rocketq.stats.waits IS 'times that a consumer has begun to wait for messages';
COMMENT ON COLUMN rocketq.stats.wakeups IS 'times that a waiting consumer has been woken';
COMMENT ON COLUMN rocketq.stats.refused_too_large IS 'messages refused because they, or a part of them, were too large';
COMMENT ON COLUMN rocketq.stats.refused_disk_full IS 'calls refused because the disk was full';
COMMENT ON COLUMN rocketq.stats.refused_file_error IS 'calls refused because the operating system could not make a file';
COMMENT ON COLUMN rocketq.stats.refused_no_room IS 'calls refused because there were too many topics, queues or groups';
COMMENT ON COLUMN rocketq.stats.refused_closed IS 'calls refused because a background worker that they need was not running';
COMMENT ON COLUMN rocketq.stats.groups_moved IS 'times that retention has moved a group in a queue over messages it had not consumed';
COMMENT ON COLUMN rocketq.stats.messages_lost IS 'messages that groups have lost in this way';
COMMENT ON COLUMN rocketq.stats.segments_created IS 'segments of the commit log created';
COMMENT ON COLUMN rocketq.stats.segments_trimmed IS 'segments of the commit log removed by retention';
COMMENT ON COLUMN rocketq.stats.syncs IS 'syncs of the store to disk for checkpoints';
COMMENT ON COLUMN rocketq.stats.wal_records IS 'WAL records of rocketq';
COMMENT ON COLUMN rocketq.stats.wal_bytes IS 'the bytes of these records';
COMMENT ON COLUMN rocketq.stats.stats_reset IS 'when counting began: the server''s start or rocketq.stats_reset()';

CREATE VIEW rocketq.produce_latency AS SELECT * FROM rocketq.get_latency();
COMMENT ON VIEW rocketq.produce_latency IS 'how long producing takes, in RocketMQ''s buckets, since the server started or the statistics were reset';
COMMENT ON COLUMN rocketq.produce_latency.phase IS 'produce: a call that produces; visible: from the beginning of its commit until the messages can be read';
COMMENT ON COLUMN rocketq.produce_latency.bucket IS 'RocketMQ''s name of the bucket: from the first time to below the second; [<=0ms] is below 1 ms';
COMMENT ON COLUMN rocketq.produce_latency.count IS 'calls, or transactions';
COMMENT ON COLUMN rocketq.produce_latency.percent IS 'their share of the phase''s';

CREATE VIEW rocketq.produce_latency_fine AS SELECT * FROM rocketq.get_latency_fine();
COMMENT ON VIEW rocketq.produce_latency_fine IS 'how long producing takes, in buckets of about 3 per cent; empty ones are left out';
COMMENT ON COLUMN rocketq.produce_latency_fine.phase IS 'as in rocketq.produce_latency';
COMMENT ON COLUMN rocketq.produce_latency_fine.from_ms IS 'shortest time of the bucket';
COMMENT ON COLUMN rocketq.produce_latency_fine.to_ms IS 'times of the bucket are below this; NULL for the last one';
COMMENT ON COLUMN rocketq.produce_latency_fine.count IS 'calls, or transactions';

CREATE VIEW rocketq.produce_latency_summary AS SELECT * FROM rocketq.get_latency_summary();
COMMENT ON VIEW rocketq.produce_latency_summary IS 'how long producing takes: mean, percentiles, maximum, and the share within 10 ms';
COMMENT ON COLUMN rocketq.produce_latency_summary.phase IS 'as in rocketq.produce_latency';
COMMENT ON COLUMN rocketq.produce_latency_summary.count IS 'calls, or transactions';
COMMENT ON COLUMN rocketq.produce_latency_summary.mean_ms IS 'arithmetic mean';
COMMENT ON COLUMN rocketq.produce_latency_summary.p50_ms IS 'half of them took at most this long; percentiles are at most 3 per cent too high';
COMMENT ON COLUMN rocketq.produce_latency_summary.p90_ms IS 'all but one in 10 took at most this long';
COMMENT ON COLUMN rocketq.produce_latency_summary.p99_ms IS 'all but one in 100 took at most this long';
COMMENT ON COLUMN rocketq.produce_latency_summary.p99_9_ms IS 'all but one in 1000 took at most this long';
COMMENT ON COLUMN rocketq.produce_latency_summary.p99_99_ms IS 'all but one in 10000 took at most this long';
COMMENT ON COLUMN rocketq.produce_latency_summary.p99_999_ms IS 'all but one in 100000 took at most this long';
COMMENT ON COLUMN rocketq.produce_latency_summary.max_ms IS 'the longest';
COMMENT ON COLUMN rocketq.produce_latency_summary.within_10ms_percent IS 'share that took less than 10 ms, rounded down';
COMMENT ON COLUMN rocketq.produce_latency_summary.stats_reset IS 'when counting began: the server''s start or rocketq.stats_reset()';

REVOKE EXECUTE ON FUNCTION rocketq.get_stats(), rocketq.get_latency(), rocketq.get_latency_fine(),
    rocketq.get_latency_summary(), rocketq.stats_reset() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION rocketq.get_stats(), rocketq.get_latency(), rocketq.get_latency_fine(),
    rocketq.get_latency_summary() TO pg_monitor;
GRANT SELECT ON rocketq.stats, rocketq.produce_latency, rocketq.produce_latency_fine,
    rocketq.produce_latency_summary TO pg_monitor;
