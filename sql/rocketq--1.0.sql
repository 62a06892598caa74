/* sql/rocketq--1.0.sql */

-- complain if the script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION rocketq" to load this file. \quit

--
-- Is the library loaded, and the schema nobody else's?  src/tools/check_sql_names
-- tells how names are to be written here, and why.
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
COMMENT ON TYPE rocketq.message IS 'a message of a topic, and the columns of every topic';
COMMENT ON COLUMN rocketq.message.queue_id IS 'queue of the topic that holds the message';
COMMENT ON COLUMN rocketq.message.queue_offset IS 'number of the message in its queue';
COMMENT ON COLUMN rocketq.message.message_id IS 'position of the message in the commit log, never reused';
COMMENT ON COLUMN rocketq.message.tag IS 'what consumers filter by';
COMMENT ON COLUMN rocketq.message.keys IS 'business keys';
COMMENT ON COLUMN rocketq.message.sharding_key IS 'messages with the same key are in one queue, in order';
COMMENT ON COLUMN rocketq.message.properties IS 'application properties, a JSON object';
COMMENT ON COLUMN rocketq.message.born_at IS 'when the producer''s statement began';
COMMENT ON COLUMN rocketq.message.stored_at IS 'when the message was put into its queue; never falls within a queue';
COMMENT ON COLUMN rocketq.message.delivery_attempt IS 'which delivery of the message to its group this is; always 1, as messages are not yet retried';
COMMENT ON COLUMN rocketq.message.body IS 'the body; rocketq.text() and rocketq.json() read it';

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
COMMENT ON FUNCTION rocketq.create_topic IS 'create a topic with that many queues, by default rocketq.default_queues: CREATE TABLE name (LIKE rocketq.message) USING rocketq';

CREATE FUNCTION rocketq.alter_topic(topic pg_catalog.regclass, queues int DEFAULT NULL,
    retention_time pg_catalog.text DEFAULT NULL) RETURNS pg_catalog.void
    AS 'MODULE_PATHNAME', 'rocketq_alter_topic' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION rocketq.alter_topic IS 'change the number of a topic''s queues, and how long it keeps messages: an interval, -1 for ever, or default';

CREATE FUNCTION rocketq.drop_topic(topic pg_catalog.regclass) RETURNS pg_catalog.void
    AS 'MODULE_PATHNAME', 'rocketq_drop_topic' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION rocketq.drop_topic IS 'drop a topic with its messages and groups: DROP TABLE topic';

--
-- Produce
--
CREATE FUNCTION rocketq.produce(topic pg_catalog.regclass, body pg_catalog.anycompatible,
    tag pg_catalog.text DEFAULT NULL, keys pg_catalog.text[] DEFAULT NULL,
    properties pg_catalog.jsonb DEFAULT NULL, sharding_key pg_catalog.text DEFAULT NULL,
    queue_id int DEFAULT NULL, transactional boolean DEFAULT true) RETURNS bigint
    AS 'MODULE_PATHNAME', 'rocketq_produce' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION rocketq.produce IS 'produce a message; its body is text, bytea, json or jsonb, and text where nothing tells its type; returns its message id';

CREATE FUNCTION rocketq.produce_batch(topic pg_catalog.regclass,
    bodies pg_catalog.anycompatiblearray,
    tag pg_catalog.text DEFAULT NULL, keys pg_catalog.text[] DEFAULT NULL,
    properties pg_catalog.jsonb DEFAULT NULL, sharding_key pg_catalog.text DEFAULT NULL,
    queue_id int DEFAULT NULL, transactional boolean DEFAULT true) RETURNS SETOF bigint
    AS 'MODULE_PATHNAME', 'rocketq_produce_batch' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION rocketq.produce_batch IS 'produce messages that share all parts but their bodies, an array of what produce() takes; returns their message ids';

--
-- Consume
--
CREATE FUNCTION rocketq.consume(topic pg_catalog.regclass, consumer_group pg_catalog.text,
    max_messages int DEFAULT 32, tags pg_catalog.text DEFAULT '*',
    auto_commit boolean DEFAULT false, wait interval DEFAULT '0') RETURNS SETOF rocketq.message
    AS 'MODULE_PATHNAME', 'rocketq_consume' LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 32;
COMMENT ON FUNCTION rocketq.consume IS 'read the next messages of a consumer group; they are its own until the transaction ends';

CREATE FUNCTION rocketq.pull(topic pg_catalog.regclass, queue_id int, from_offset bigint,
    max_messages int DEFAULT 32, tags pg_catalog.text DEFAULT '*', wait interval DEFAULT '0')
    RETURNS SETOF rocketq.message
    AS 'MODULE_PATHNAME', 'rocketq_pull' LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 32;
COMMENT ON FUNCTION rocketq.pull IS 'read messages of one queue from an offset on, for no group';

CREATE PROCEDURE rocketq.wait_for_messages(topic pg_catalog.regclass,
    consumer_group pg_catalog.text, timeout interval, tags pg_catalog.text DEFAULT '*',
    INOUT available boolean DEFAULT NULL)
    AS 'MODULE_PATHNAME', 'rocketq_wait_for_messages' LANGUAGE C;
COMMENT ON PROCEDURE rocketq.wait_for_messages IS 'wait until a consumer group could consume something, without holding a transaction open; false when the time is over';

CREATE FUNCTION rocketq.text(body pg_catalog.bytea) RETURNS pg_catalog.text
    AS 'MODULE_PATHNAME', 'rocketq_text' LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION rocketq.text(pg_catalog.bytea) IS 'a message body as text';

CREATE FUNCTION rocketq.text(body pg_catalog.bytea, encoding pg_catalog.name) RETURNS pg_catalog.text
    AS 'pg_convert_from' LANGUAGE internal STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION rocketq.text(pg_catalog.bytea, pg_catalog.name)
    IS 'a message body as text, produced in a database of that encoding';

CREATE FUNCTION rocketq.json(body pg_catalog.bytea) RETURNS pg_catalog.jsonb
    AS 'MODULE_PATHNAME', 'rocketq_json' LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION rocketq.json IS 'a message body as jsonb';

--
-- Consumer groups
--
CREATE FUNCTION rocketq.create_group(topic pg_catalog.regclass, consumer_group pg_catalog.text,
    start_from pg_catalog.text DEFAULT 'first') RETURNS pg_catalog.void
    AS 'MODULE_PATHNAME', 'rocketq_create_group' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION rocketq.create_group(pg_catalog.regclass, pg_catalog.text, pg_catalog.text)
    IS 'create a consumer group that starts from ''first'', ''last'' or a timestamp';

CREATE FUNCTION rocketq.create_group(topic pg_catalog.regclass, consumer_group pg_catalog.text,
    start_from pg_catalog.timestamptz) RETURNS pg_catalog.void
    AS 'MODULE_PATHNAME', 'rocketq_create_group_time' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION
    rocketq.create_group(pg_catalog.regclass, pg_catalog.text, pg_catalog.timestamptz)
    IS 'create a consumer group that starts from the first message stored at that time or later';

CREATE FUNCTION rocketq.drop_group(topic pg_catalog.regclass, consumer_group pg_catalog.text)
    RETURNS pg_catalog.void
    AS 'MODULE_PATHNAME', 'rocketq_drop_group' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION rocketq.drop_group IS 'drop a consumer group and forget its offsets';

--
-- Offsets
--
CREATE FUNCTION rocketq.commit_offset(topic pg_catalog.regclass, consumer_group pg_catalog.text)
    RETURNS int
    AS 'MODULE_PATHNAME', 'rocketq_commit_consumed' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION rocketq.commit_offset(pg_catalog.regclass, pg_catalog.text)
    IS 'commit all that this transaction has consumed; returns the number of queues';

CREATE FUNCTION rocketq.commit_offset(topic pg_catalog.regclass, consumer_group pg_catalog.text,
    queue_id int, next_offset bigint) RETURNS pg_catalog.void
    AS 'MODULE_PATHNAME', 'rocketq_commit_offset' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION rocketq.commit_offset(pg_catalog.regclass, pg_catalog.text, int, bigint)
    IS 'commit an offset of one queue: the next one to consume';

CREATE FUNCTION rocketq.reset_offset(topic pg_catalog.regclass, consumer_group pg_catalog.text,
    start_from pg_catalog.text) RETURNS pg_catalog.void
    AS 'MODULE_PATHNAME', 'rocketq_reset_group' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION rocketq.reset_offset(pg_catalog.regclass, pg_catalog.text, pg_catalog.text)
    IS 'move a consumer group to ''first'', ''last'' or a timestamp in all queues';

CREATE FUNCTION rocketq.reset_offset(topic pg_catalog.regclass, consumer_group pg_catalog.text,
    start_from pg_catalog.timestamptz) RETURNS pg_catalog.void
    AS 'MODULE_PATHNAME', 'rocketq_reset_group_time' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION
    rocketq.reset_offset(pg_catalog.regclass, pg_catalog.text, pg_catalog.timestamptz)
    IS 'move a consumer group to the first message stored at that time or later, in all queues';

CREATE FUNCTION rocketq.reset_offset(topic pg_catalog.regclass, consumer_group pg_catalog.text,
    queue_id int, next_offset bigint) RETURNS pg_catalog.void
    AS 'MODULE_PATHNAME', 'rocketq_reset_offset' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION rocketq.reset_offset(pg_catalog.regclass, pg_catalog.text, int, bigint)
    IS 'move a consumer group to an offset of one queue';

CREATE FUNCTION rocketq.committed_offset(topic pg_catalog.regclass,
    consumer_group pg_catalog.text, queue_id int) RETURNS bigint
    AS 'MODULE_PATHNAME', 'rocketq_committed_offset' LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION rocketq.committed_offset IS 'the offset a consumer group goes on from in a queue';

CREATE FUNCTION rocketq.topic_size(topic pg_catalog.regclass) RETURNS bigint
    AS 'MODULE_PATHNAME', 'rocketq_topic_size' LANGUAGE C STRICT VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION rocketq.topic_size IS 'bytes that the messages of a topic take';

CREATE FUNCTION rocketq.min_offset(topic pg_catalog.regclass, queue_id int) RETURNS bigint
    AS 'MODULE_PATHNAME', 'rocketq_min_offset' LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION rocketq.min_offset IS 'the first offset of a queue that is kept';

CREATE FUNCTION rocketq.max_offset(topic pg_catalog.regclass, queue_id int) RETURNS bigint
    AS 'MODULE_PATHNAME', 'rocketq_max_offset' LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION rocketq.max_offset IS 'the offset behind the last message of a queue that can be read';

CREATE FUNCTION rocketq.offset_at(topic pg_catalog.regclass, queue_id int,
    at_time pg_catalog.timestamptz) RETURNS bigint
    AS 'MODULE_PATHNAME', 'rocketq_offset_at' LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION rocketq.offset_at IS 'the first offset of a queue stored at that time or later';

--
-- Views, each behind the function that it shows
--
CREATE FUNCTION rocketq.get_topics(OUT database pg_catalog.oid, OUT relfilenode pg_catalog.oid,
    OUT queues int, OUT groups int, OUT messages bigint, OUT bytes bigint,
    OUT unresolved bigint, OUT max_lag bigint, OUT oldest_at pg_catalog.timestamptz,
    OUT newest_at pg_catalog.timestamptz, OUT produced_per_second double precision,
    OUT produced_bytes_per_second double precision, OUT rates_since pg_catalog.timestamptz,
    OUT retention_time interval) RETURNS SETOF pg_catalog.record
    AS 'MODULE_PATHNAME', 'rocketq_get_topics' LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 1000;
COMMENT ON FUNCTION rocketq.get_topics IS 'topics of all databases for members of pg_monitor, else of the topics that the caller may read, for the views';

CREATE VIEW rocketq.topics AS
    SELECT c.oid::pg_catalog.regclass::pg_catalog.text AS topic, c.oid AS topic_oid,
           t.queues, t.messages, t.unresolved, t.groups,
           t.oldest_at, t.newest_at, t.bytes, t.max_lag, t.produced_per_second,
           t.produced_bytes_per_second, t.rates_since, t.retention_time
    FROM rocketq.get_topics() t
         JOIN pg_catalog.pg_class c ON c.relfilenode OPERATOR(pg_catalog.=) t.relfilenode
    WHERE c.relam OPERATOR(pg_catalog.=)
              (SELECT a.oid FROM pg_catalog.pg_am a WHERE a.amname OPERATOR(pg_catalog.=) 'rocketq')
          AND t.database OPERATOR(pg_catalog.=)
              (SELECT d.oid FROM pg_catalog.pg_database d
               WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database());
COMMENT ON VIEW rocketq.topics IS 'topics of this database, one row per topic';
COMMENT ON COLUMN rocketq.topics.topic IS 'name of the topic, with its schema if that is not in the search path, as the functions take it';
COMMENT ON COLUMN rocketq.topics.topic_oid IS 'the table that the topic is, whatever the search path';
COMMENT ON COLUMN rocketq.topics.queues IS 'number of queues';
COMMENT ON COLUMN rocketq.topics.messages IS 'messages that are kept and can be read; entries of transactions that failed in their commit are counted';
COMMENT ON COLUMN rocketq.topics.unresolved IS 'messages that can not be read yet: their transactions are not over, or they wait behind such in their queue';
COMMENT ON COLUMN rocketq.topics.groups IS 'number of consumer groups';
COMMENT ON COLUMN rocketq.topics.oldest_at IS 'when the oldest message was stored';
COMMENT ON COLUMN rocketq.topics.newest_at IS 'when the newest message that can be read was stored';
COMMENT ON COLUMN rocketq.topics.bytes IS 'bytes of the commit log that the kept messages take, those that can not be read yet included';
COMMENT ON COLUMN rocketq.topics.max_lag IS 'messages that the consumer group furthest behind has not consumed; null without groups';
COMMENT ON COLUMN rocketq.topics.produced_per_second IS 'messages enqueued per second on the average since rates_since';
COMMENT ON COLUMN rocketq.topics.produced_bytes_per_second IS 'bytes of messages enqueued per second on the average since rates_since';
COMMENT ON COLUMN rocketq.topics.rates_since IS 'where the rates begin: 30 to 60 seconds ago, less for a new topic or after a start of the server; null on a standby, which has no rates';
COMMENT ON COLUMN rocketq.topics.retention_time IS 'how long messages are kept, by alter_topic() or else rocketq.retention_time; null: for ever';

CREATE FUNCTION rocketq.get_queues(OUT database pg_catalog.oid, OUT relfilenode pg_catalog.oid,
    OUT queue_id int, OUT min_offset bigint, OUT max_offset bigint, OUT end_offset bigint,
    OUT oldest_at pg_catalog.timestamptz, OUT newest_at pg_catalog.timestamptz,
    OUT bytes bigint, OUT unresolved_since pg_catalog.timestamptz, OUT unresolved_pid int,
    OUT produced_per_second double precision, OUT produced_bytes_per_second double precision,
    OUT rates_since pg_catalog.timestamptz) RETURNS SETOF pg_catalog.record
    AS 'MODULE_PATHNAME', 'rocketq_get_queues' LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 1000;
COMMENT ON FUNCTION rocketq.get_queues IS 'queues of all databases for members of pg_monitor, else of the topics that the caller may read, for the views';

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
COMMENT ON COLUMN rocketq.queues.topic IS 'name of the topic, with its schema if that is not in the search path, as the functions take it';
COMMENT ON COLUMN rocketq.queues.topic_oid IS 'the table that the topic is, whatever the search path';
COMMENT ON COLUMN rocketq.queues.queue_id IS 'number of the queue in the topic, from 0';
COMMENT ON COLUMN rocketq.queues.min_offset IS 'first offset that is kept';
COMMENT ON COLUMN rocketq.queues.max_offset IS 'offset behind the last message that can be read: up to here the queue is stable';
COMMENT ON COLUMN rocketq.queues.messages IS 'messages that are kept and can be read; entries of transactions that failed in their commit are counted';
COMMENT ON COLUMN rocketq.queues.unresolved IS 'messages at the end that can not be read yet: their transactions are not over, or they wait behind such';
COMMENT ON COLUMN rocketq.queues.oldest_at IS 'when the oldest message was stored';
COMMENT ON COLUMN rocketq.queues.newest_at IS 'when the newest message that can be read was stored';
COMMENT ON COLUMN rocketq.queues.end_offset IS 'next offset to be given out';
COMMENT ON COLUMN rocketq.queues.bytes IS 'bytes of the commit log that the kept messages take, those that can not be read yet included';
COMMENT ON COLUMN rocketq.queues.unresolved_since IS 'when the first unresolved message was enqueued; null if there is none';
COMMENT ON COLUMN rocketq.queues.unresolved_pid IS 'process that the first unresolved message waits for; null if there is none, if it is just being settled, and on a standby';
COMMENT ON COLUMN rocketq.queues.produced_per_second IS 'messages enqueued per second on the average since rates_since';
COMMENT ON COLUMN rocketq.queues.produced_bytes_per_second IS 'bytes of messages enqueued per second on the average since rates_since';
COMMENT ON COLUMN rocketq.queues.rates_since IS 'where the rates begin: 30 to 60 seconds ago, less for a new queue or after a start of the server; null on a standby, which has no rates';

CREATE FUNCTION rocketq.get_groups(OUT database pg_catalog.oid, OUT relfilenode pg_catalog.oid,
    OUT group_id bigint, OUT consumer_group pg_catalog.text, OUT queue_id int,
    OUT committed_offset bigint, OUT max_offset bigint, OUT lag bigint,
    OUT oldest_unconsumed_at pg_catalog.timestamptz, OUT created_at pg_catalog.timestamptz,
    OUT committed_at pg_catalog.timestamptz, OUT lag_seconds double precision,
    OUT owner_pid int, OUT owner_since pg_catalog.timestamptz,
    OUT consumed_per_second double precision, OUT holding boolean, OUT lost_messages bigint)
    RETURNS SETOF pg_catalog.record
    AS 'MODULE_PATHNAME', 'rocketq_get_groups' LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 1000;
COMMENT ON FUNCTION rocketq.get_groups IS 'consumer groups of all databases for members of pg_monitor, else of the topics that the caller may read, for the views';

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
COMMENT ON VIEW rocketq.groups IS 'consumer groups of this database''s topics, one row per group and queue';
COMMENT ON COLUMN rocketq.groups.topic IS 'name of the topic, with its schema if that is not in the search path, as the functions take it';
COMMENT ON COLUMN rocketq.groups.topic_oid IS 'the table that the topic is, whatever the search path';
COMMENT ON COLUMN rocketq.groups.consumer_group IS 'name of the group';
COMMENT ON COLUMN rocketq.groups.queue_id IS 'number of the queue in the topic, from 0';
COMMENT ON COLUMN rocketq.groups.committed_offset IS 'offset that the group goes on from';
COMMENT ON COLUMN rocketq.groups.max_offset IS 'offset behind the last message that can be read';
COMMENT ON COLUMN rocketq.groups.lag IS 'messages that the group has not consumed yet; entries of transactions that failed in their commit are counted';
COMMENT ON COLUMN rocketq.groups.oldest_unconsumed_at IS 'when the oldest message was stored that the group has not consumed yet; null if there is none';
COMMENT ON COLUMN rocketq.groups.committed_at IS 'when the offset last moved; null if it has not since the server started';
COMMENT ON COLUMN rocketq.groups.owner_pid IS 'process whose transaction consumes the queue for the group now; null if none does';
COMMENT ON COLUMN rocketq.groups.created_at IS 'when the group was created; TRUNCATE of the topic begins it anew';
COMMENT ON COLUMN rocketq.groups.lag_seconds IS 'age of the oldest message that the group has not consumed yet; 0 if there is none';
COMMENT ON COLUMN rocketq.groups.owner_since IS 'since when the owner does';
COMMENT ON COLUMN rocketq.groups.consumed_per_second IS 'messages by which the offset has moved on per second, on the average of the last 30 to 60 seconds, or less for a new group; null on a standby';
COMMENT ON COLUMN rocketq.groups.holding IS 'whether it holds messages of the queue back from retention now';
COMMENT ON COLUMN rocketq.groups.lost_messages IS 'messages of the queue that retention took before the group consumed them, since the server started';

CREATE FUNCTION rocketq.get_segments(OUT file pg_catalog.text, OUT start_position bigint,
    OUT end_position bigint, OUT disk_bytes bigint, OUT state pg_catalog.text,
    OUT used_bytes bigint, OUT oldest_at pg_catalog.timestamptz,
    OUT newest_at pg_catalog.timestamptz, OUT kept_by pg_catalog.text)
    RETURNS SETOF pg_catalog.record
    AS 'MODULE_PATHNAME', 'rocketq_get_segments' LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 100;
COMMENT ON FUNCTION rocketq.get_segments IS 'segments of the commit log, for the views';

CREATE VIEW rocketq.segments AS SELECT * FROM rocketq.get_segments();
COMMENT ON VIEW rocketq.segments IS 'segments of the commit log, which all databases share';
COMMENT ON COLUMN rocketq.segments.file IS 'its file in the data directory';
COMMENT ON COLUMN rocketq.segments.start_position IS 'first position of the segment';
COMMENT ON COLUMN rocketq.segments.end_position IS 'position behind the segment';
COMMENT ON COLUMN rocketq.segments.disk_bytes IS 'disk space that the file takes';
COMMENT ON COLUMN rocketq.segments.state IS 'full, writing, or ready for what comes next';
COMMENT ON COLUMN rocketq.segments.used_bytes IS 'bytes written so far';
COMMENT ON COLUMN rocketq.segments.oldest_at IS 'when its first message was stored';
COMMENT ON COLUMN rocketq.segments.newest_at IS 'when the next segment got its first message: none here is younger';
COMMENT ON COLUMN rocketq.segments.kept_by IS 'why it is there, as the janitor last found';

CREATE FUNCTION rocketq.get_workers(OUT worker pg_catalog.text, OUT pid int,
    OUT started_at pg_catalog.timestamptz, OUT last_tick_at pg_catalog.timestamptz,
    OUT ticks bigint, OUT syncs bigint, OUT last_sync_at pg_catalog.timestamptz,
    OUT last_sync_ms double precision, OUT synced_redo_lsn pg_catalog.pg_lsn,
    OUT state pg_catalog.text, OUT errors bigint, OUT last_error_at pg_catalog.timestamptz,
    OUT last_error pg_catalog.text, OUT last_sync_bytes bigint) RETURNS SETOF pg_catalog.record
    AS 'MODULE_PATHNAME', 'rocketq_get_workers' LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 3;
COMMENT ON FUNCTION rocketq.get_workers IS 'background workers, for the views';

CREATE VIEW rocketq.workers AS
    SELECT w.worker, w.pid, w.started_at, w.last_tick_at, w.ticks, w.syncs, w.last_sync_at,
           w.last_sync_ms, w.synced_redo_lsn, w.state, w.errors, w.last_error_at, w.last_error,
           w.last_sync_bytes
    FROM rocketq.get_workers() w;
COMMENT ON VIEW rocketq.workers IS 'background workers of rocketq, one row per worker';
COMMENT ON COLUMN rocketq.workers.worker IS 'keeper (checkpoints, outcome of transactions), allocator (segments ahead of need) or janitor (retention, dropped topics)';
COMMENT ON COLUMN rocketq.workers.pid IS 'its process; null if it does not run';
COMMENT ON COLUMN rocketq.workers.started_at IS 'when it was started';
COMMENT ON COLUMN rocketq.workers.last_tick_at IS 'when it last ended a round';
COMMENT ON COLUMN rocketq.workers.ticks IS 'rounds since the server started';
COMMENT ON COLUMN rocketq.workers.syncs IS 'keeper: syncs of the store for checkpoints since the server started';
COMMENT ON COLUMN rocketq.workers.last_sync_at IS 'keeper: when the last sync ended';
COMMENT ON COLUMN rocketq.workers.last_sync_ms IS 'keeper: how long it took, in milliseconds';
COMMENT ON COLUMN rocketq.workers.synced_redo_lsn IS 'keeper: all that lies below this redo pointer is on disk';
COMMENT ON COLUMN rocketq.workers.state IS 'idle (waits for its next round), working, syncing (brings the store to disk for a checkpoint), failing (its last round failed and will be tried again), starting, stopped, or in recovery (workers start when recovery has ended)';
COMMENT ON COLUMN rocketq.workers.errors IS 'failures in its rounds since the server started';
COMMENT ON COLUMN rocketq.workers.last_error_at IS 'when the last failure was; null if there was none';
COMMENT ON COLUMN rocketq.workers.last_error IS 'its message, the first 255 bytes; the server log has all of it';
COMMENT ON COLUMN rocketq.workers.last_sync_bytes IS 'keeper: bytes of the log, the queues and the state file that the last sync flushed';

CREATE FUNCTION rocketq.get_stats(OUT produced bigint, OUT produced_bytes bigint,
    OUT enqueued bigint, OUT aborted bigint, OUT visible_late bigint, OUT consumed bigint,
    OUT pulled bigint, OUT offsets_committed bigint, OUT waits bigint, OUT wakeups bigint,
    OUT refused_too_large bigint, OUT refused_disk_full bigint, OUT refused_file_error bigint,
    OUT refused_no_room bigint, OUT refused_closed bigint, OUT groups_moved bigint,
    OUT messages_lost bigint, OUT segments_created bigint, OUT segments_trimmed bigint,
    OUT syncs bigint, OUT wal_records bigint, OUT wal_bytes bigint,
    OUT stats_reset pg_catalog.timestamptz) RETURNS pg_catalog.record
    AS 'MODULE_PATHNAME', 'rocketq_get_stats' LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION rocketq.get_stats IS 'counters of this server, for the view rocketq.stats';

CREATE VIEW rocketq.stats AS SELECT * FROM rocketq.get_stats();
COMMENT ON VIEW rocketq.stats IS 'what rocketq has done in all databases since the server started or the counters were reset; a standby counts for itself';
COMMENT ON COLUMN rocketq.stats.produced IS 'messages written to the commit log, also by transactions that were rolled back';
COMMENT ON COLUMN rocketq.stats.produced_bytes IS 'the bytes they take in the commit log';
COMMENT ON COLUMN rocketq.stats.enqueued IS 'messages put into their queues, which happens when the transaction commits';
COMMENT ON COLUMN rocketq.stats.aborted IS 'messages put into their queues by transactions that failed to commit after that; nobody sees them';
COMMENT ON COLUMN rocketq.stats.visible_late IS 'transactions, and writes without one, whose messages could be read only later, since other transactions that were not over were in front of them in a queue';
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

CREATE FUNCTION rocketq.get_latency(OUT phase pg_catalog.text, OUT bucket pg_catalog.text,
    OUT count bigint, OUT percent double precision) RETURNS SETOF pg_catalog.record
    AS 'MODULE_PATHNAME', 'rocketq_get_latency' LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 26;
COMMENT ON FUNCTION rocketq.get_latency IS 'latency of producing in RocketMQ''s buckets, for the views';

CREATE VIEW rocketq.produce_latency AS SELECT * FROM rocketq.get_latency();
COMMENT ON VIEW rocketq.produce_latency IS 'how long producing takes, in RocketMQ''s buckets, since the server started or the statistics were reset';
COMMENT ON COLUMN rocketq.produce_latency.phase IS 'produce: a call that produces; visible: from the beginning of its commit until the messages can be read';
COMMENT ON COLUMN rocketq.produce_latency.bucket IS 'RocketMQ''s name of the bucket: from the first time to below the second; [<=0ms] is below 1 ms';
COMMENT ON COLUMN rocketq.produce_latency.count IS 'calls, or transactions';
COMMENT ON COLUMN rocketq.produce_latency.percent IS 'their share of the phase''s';

CREATE FUNCTION rocketq.get_latency_fine(OUT phase pg_catalog.text,
    OUT from_ms double precision, OUT to_ms double precision, OUT count bigint)
    RETURNS SETOF pg_catalog.record
    AS 'MODULE_PATHNAME', 'rocketq_get_latency_fine'
    LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 200;
COMMENT ON FUNCTION rocketq.get_latency_fine IS 'latency of producing in fine buckets, for the views';

CREATE VIEW rocketq.produce_latency_fine AS SELECT * FROM rocketq.get_latency_fine();
COMMENT ON VIEW rocketq.produce_latency_fine IS 'how long producing takes, in buckets of about 3 per cent; empty ones are left out';
COMMENT ON COLUMN rocketq.produce_latency_fine.phase IS 'as in rocketq.produce_latency';
COMMENT ON COLUMN rocketq.produce_latency_fine.from_ms IS 'shortest time of the bucket';
COMMENT ON COLUMN rocketq.produce_latency_fine.to_ms IS 'times of the bucket are below this; NULL for the last one';
COMMENT ON COLUMN rocketq.produce_latency_fine.count IS 'calls, or transactions';

CREATE FUNCTION rocketq.get_latency_summary(OUT phase pg_catalog.text, OUT count bigint,
    OUT mean_ms double precision, OUT p50_ms double precision, OUT p90_ms double precision,
    OUT p99_ms double precision, OUT p99_9_ms double precision, OUT p99_99_ms double precision,
    OUT p99_999_ms double precision, OUT max_ms double precision,
    OUT within_10ms_percent double precision, OUT stats_reset pg_catalog.timestamptz)
    RETURNS SETOF pg_catalog.record
    AS 'MODULE_PATHNAME', 'rocketq_get_latency_summary'
    LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 2;
COMMENT ON FUNCTION rocketq.get_latency_summary IS 'mean, percentiles and maximum of the latency of producing, for the views';

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

CREATE VIEW rocketq.settings AS
    SELECT s.name, pg_catalog.current_setting(s.name) AS setting, s.boot_val AS built_in, s.unit,
           s.source, s.context, s.pending_restart, s.short_desc
    FROM pg_catalog.pg_settings s
    WHERE pg_catalog.starts_with(s.name, 'rocketq.');
COMMENT ON VIEW rocketq.settings IS 'settings of rocketq in this session, one row per setting';
COMMENT ON COLUMN rocketq.settings.name IS 'name of the setting';
COMMENT ON COLUMN rocketq.settings.setting IS 'its value, with a unit';
COMMENT ON COLUMN rocketq.settings.built_in IS 'value if nothing is set, in the unit named next';
COMMENT ON COLUMN rocketq.settings.unit IS 'unit of a number without one; null if it has none';
COMMENT ON COLUMN rocketq.settings.source IS 'where the value comes from: default, configuration file, database, ...';
COMMENT ON COLUMN rocketq.settings.context IS 'who can change it and when: postmaster (restart), sighup (reload), superuser, user';
COMMENT ON COLUMN rocketq.settings.pending_restart IS 'has the configuration file another value that needs a restart?';
COMMENT ON COLUMN rocketq.settings.short_desc IS 'what it is for';

--
-- Support: checking the store, resetting statistics
--
CREATE FUNCTION rocketq.verify(OUT what pg_catalog.text, OUT problem pg_catalog.text)
    RETURNS SETOF pg_catalog.record
    AS 'MODULE_PATHNAME', 'rocketq_verify' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION rocketq.verify IS 'check every byte of the store; no rows means that it is sound';

CREATE FUNCTION rocketq.stats_reset() RETURNS pg_catalog.void
    AS 'MODULE_PATHNAME', 'rocketq_stats_reset' LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION rocketq.stats_reset IS 'let the counters and the latency of this server begin at zero';

--
-- Support: consumer groups in dumps
--
CREATE FUNCTION rocketq.dump_groups(OUT topic pg_catalog.text,
    OUT consumer_group pg_catalog.text, OUT total bigint[], OUT remaining bigint[])
    RETURNS SETOF pg_catalog.record
    AS 'MODULE_PATHNAME', 'rocketq_dump_groups' LANGUAGE C STABLE PARALLEL RESTRICTED;
COMMENT ON FUNCTION rocketq.dump_groups IS 'consumer groups as a dump holds them: by queue, the messages there are and those not consumed yet';

CREATE TABLE rocketq.saved_groups (
    topic pg_catalog.text,
    consumer_group pg_catalog.text,
    total bigint[],
    remaining bigint[]
) USING heap;
COMMENT ON TABLE rocketq.saved_groups IS 'always empty: pg_dump writes the consumer groups as its rows, and inserting such a row creates the group';
COMMENT ON COLUMN rocketq.saved_groups.topic IS 'schema and name of the topic';
COMMENT ON COLUMN rocketq.saved_groups.consumer_group IS 'name of the group';
COMMENT ON COLUMN rocketq.saved_groups.total IS 'for each queue, from 0 on: how many messages it had';
COMMENT ON COLUMN rocketq.saved_groups.remaining IS 'for each queue, from 0 on: how many of them the group had still to consume';

CREATE FUNCTION rocketq.restore_group() RETURNS pg_catalog.trigger
    AS 'MODULE_PATHNAME', 'rocketq_restore_group' LANGUAGE C;
COMMENT ON FUNCTION rocketq.restore_group IS 'trigger of rocketq.saved_groups';

CREATE TRIGGER restore_group BEFORE INSERT ON rocketq.saved_groups
    FOR EACH ROW EXECUTE FUNCTION rocketq.restore_group();
ALTER TABLE rocketq.saved_groups ENABLE ALWAYS TRIGGER restore_group;

-- What follows the table's name in pg_dump's query.
SELECT pg_catalog.pg_extension_config_dump('rocketq.saved_groups',
    'WHERE false UNION ALL SELECT * FROM rocketq.dump_groups()');

--
-- Rights
--
GRANT USAGE ON SCHEMA rocketq TO PUBLIC;
GRANT SELECT ON rocketq.saved_groups TO PUBLIC;

-- Whose rows these show is for their functions to say.
GRANT SELECT ON rocketq.topics, rocketq.queues, rocketq.groups TO PUBLIC;

REVOKE EXECUTE ON FUNCTION rocketq.get_segments(), rocketq.get_workers(), rocketq.get_stats(),
    rocketq.get_latency(), rocketq.get_latency_fine(), rocketq.get_latency_summary(),
    rocketq.verify(), rocketq.stats_reset(), rocketq.tableam_handler(pg_catalog.internal),
    rocketq.restore_group() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION rocketq.get_segments(), rocketq.get_workers(), rocketq.get_stats(),
    rocketq.get_latency(), rocketq.get_latency_fine(), rocketq.get_latency_summary(),
    rocketq.verify() TO pg_monitor;
GRANT SELECT ON rocketq.segments, rocketq.workers, rocketq.stats, rocketq.produce_latency,
    rocketq.produce_latency_fine, rocketq.produce_latency_summary, rocketq.settings TO pg_monitor;
