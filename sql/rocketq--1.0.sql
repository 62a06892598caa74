/* rocketq--1.0.sql */

-- complain if the script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION rocketq" to load this file. \quit

CREATE FUNCTION rocketq.check_preload() RETURNS void
    AS 'MODULE_PATHNAME', 'rocketq_check_preload' LANGUAGE C VOLATILE;
SELECT rocketq.check_preload();
DROP FUNCTION rocketq.check_preload();

GRANT USAGE ON SCHEMA rocketq TO PUBLIC;

--
-- Messages and topics
--
CREATE TYPE rocketq.message AS (
    queue_id int,
    queue_offset bigint,
    message_id bigint,
    tag text,
    keys text[],
    sharding_key text,
    properties jsonb,
    born_at timestamptz,
    stored_at timestamptz,
    delivery_attempt int,
    body bytea
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
COMMENT ON COLUMN rocketq.message.delivery_attempt IS 'how often the message has been delivered, this time included';
COMMENT ON COLUMN rocketq.message.body IS 'the body; rocketq.text() and rocketq.json() read it';

CREATE FUNCTION rocketq.tableam_handler(internal) RETURNS table_am_handler
    AS 'MODULE_PATHNAME', 'rocketq_tableam_handler' LANGUAGE C STRICT;
COMMENT ON FUNCTION rocketq.tableam_handler(internal) IS 'handler of the access method rocketq';

CREATE ACCESS METHOD rocketq TYPE TABLE HANDLER rocketq.tableam_handler;
COMMENT ON ACCESS METHOD rocketq IS 'topics: append-only message queues on the rocketq commit log';

CREATE FUNCTION rocketq.create_topic(name text, queues int DEFAULT 8) RETURNS regclass
    AS 'MODULE_PATHNAME', 'rocketq_create_topic' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION rocketq.create_topic(text, int) IS 'create a topic: CREATE TABLE name (LIKE rocketq.message) USING rocketq';

CREATE FUNCTION rocketq.drop_topic(topic regclass) RETURNS void
    AS 'MODULE_PATHNAME', 'rocketq_drop_topic' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION rocketq.drop_topic(regclass) IS 'drop a topic with its messages and groups: DROP TABLE topic';

--
-- Produce
--
CREATE FUNCTION rocketq.produce(topic regclass, body text, tag text DEFAULT NULL,
    keys text[] DEFAULT NULL, properties jsonb DEFAULT NULL, sharding_key text DEFAULT NULL,
    queue_id int DEFAULT NULL, transactional bool DEFAULT true) RETURNS bigint
    AS 'MODULE_PATHNAME', 'rocketq_produce' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION rocketq.produce(regclass, text, text, text[], jsonb, text, int, bool) IS 'produce a message with a text body; returns its message id';

CREATE FUNCTION rocketq.produce(topic regclass, body bytea, tag text DEFAULT NULL,
    keys text[] DEFAULT NULL, properties jsonb DEFAULT NULL, sharding_key text DEFAULT NULL,
    queue_id int DEFAULT NULL, transactional bool DEFAULT true) RETURNS bigint
    AS 'MODULE_PATHNAME', 'rocketq_produce' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION rocketq.produce(regclass, bytea, text, text[], jsonb, text, int, bool) IS 'produce a message with a binary body; returns its message id';

CREATE FUNCTION rocketq.produce(topic regclass, body jsonb, tag text DEFAULT NULL,
    keys text[] DEFAULT NULL, properties jsonb DEFAULT NULL, sharding_key text DEFAULT NULL,
    queue_id int DEFAULT NULL, transactional bool DEFAULT true) RETURNS bigint
    AS 'MODULE_PATHNAME', 'rocketq_produce_jsonb' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION rocketq.produce(regclass, jsonb, text, text[], jsonb, text, int, bool) IS 'produce a message with a JSON body; returns its message id';

CREATE FUNCTION rocketq.produce_batch(topic regclass, bodies text[], tag text DEFAULT NULL,
    keys text[] DEFAULT NULL, properties jsonb DEFAULT NULL, sharding_key text DEFAULT NULL,
    queue_id int DEFAULT NULL, transactional bool DEFAULT true) RETURNS SETOF bigint
    AS 'MODULE_PATHNAME', 'rocketq_produce_batch' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION rocketq.produce_batch(regclass, text[], text, text[], jsonb, text, int, bool) IS 'produce messages with text bodies that share all other parts; returns their message ids';

CREATE FUNCTION rocketq.produce_batch(topic regclass, bodies bytea[], tag text DEFAULT NULL,
    keys text[] DEFAULT NULL, properties jsonb DEFAULT NULL, sharding_key text DEFAULT NULL,
    queue_id int DEFAULT NULL, transactional bool DEFAULT true) RETURNS SETOF bigint
    AS 'MODULE_PATHNAME', 'rocketq_produce_batch' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION rocketq.produce_batch(regclass, bytea[], text, text[], jsonb, text, int, bool) IS 'produce messages with binary bodies that share all other parts; returns their message ids';

CREATE FUNCTION rocketq.produce_batch(topic regclass, bodies jsonb[], tag text DEFAULT NULL,
    keys text[] DEFAULT NULL, properties jsonb DEFAULT NULL, sharding_key text DEFAULT NULL,
    queue_id int DEFAULT NULL, transactional bool DEFAULT true) RETURNS SETOF bigint
    AS 'MODULE_PATHNAME', 'rocketq_produce_batch' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION rocketq.produce_batch(regclass, jsonb[], text, text[], jsonb, text, int, bool) IS 'produce messages with JSON bodies that share all other parts; returns their message ids';

--
-- Consume
--
CREATE FUNCTION rocketq.consume(topic regclass, consumer_group text, max_messages int DEFAULT 32,
    tags text DEFAULT '*', auto_commit bool DEFAULT false, wait interval DEFAULT '0')
    RETURNS SETOF rocketq.message
    AS 'MODULE_PATHNAME', 'rocketq_consume' LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 32;
COMMENT ON FUNCTION rocketq.consume(regclass, text, int, text, bool, interval) IS 'read the next messages of a consumer group; they are its own until the transaction ends';

CREATE FUNCTION rocketq.commit_offset(topic regclass, consumer_group text) RETURNS int
    AS 'MODULE_PATHNAME', 'rocketq_commit_consumed' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION rocketq.commit_offset(regclass, text) IS 'commit all that this transaction has consumed; returns the number of queues';

CREATE FUNCTION rocketq.commit_offset(topic regclass, consumer_group text, queue_id int, next_offset bigint)
    RETURNS void
    AS 'MODULE_PATHNAME', 'rocketq_commit_offset' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION rocketq.commit_offset(regclass, text, int, bigint) IS 'commit an offset of one queue: the next one to consume';

CREATE FUNCTION rocketq.pull(topic regclass, queue_id int, from_offset bigint, max_messages int DEFAULT 32,
    tags text DEFAULT '*', wait interval DEFAULT '0') RETURNS SETOF rocketq.message
    AS 'MODULE_PATHNAME', 'rocketq_pull' LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 32;
COMMENT ON FUNCTION rocketq.pull(regclass, int, bigint, int, text, interval) IS 'read messages of one queue from an offset on, for no group';

CREATE FUNCTION rocketq.create_group(topic regclass, consumer_group text, start_from text DEFAULT 'first')
    RETURNS void
    AS 'MODULE_PATHNAME', 'rocketq_create_group' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION rocketq.create_group(regclass, text, text) IS 'create a consumer group that starts from ''first'', ''last'' or a timestamp';

CREATE FUNCTION rocketq.drop_group(topic regclass, consumer_group text) RETURNS void
    AS 'MODULE_PATHNAME', 'rocketq_drop_group' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION rocketq.drop_group(regclass, text) IS 'drop a consumer group and forget its offsets';

CREATE FUNCTION rocketq.reset_offset(topic regclass, consumer_group text, start_from text) RETURNS void
    AS 'MODULE_PATHNAME', 'rocketq_reset_group' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION rocketq.reset_offset(regclass, text, text) IS 'move a consumer group to ''first'', ''last'' or a timestamp in all queues';

CREATE FUNCTION rocketq.reset_offset(topic regclass, consumer_group text, start_from timestamptz) RETURNS void
    AS 'MODULE_PATHNAME', 'rocketq_reset_group_time' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION rocketq.reset_offset(regclass, text, timestamptz) IS 'move a consumer group to the first message stored at that time or later, in all queues';

CREATE FUNCTION rocketq.reset_offset(topic regclass, consumer_group text, queue_id int, next_offset bigint)
    RETURNS void
    AS 'MODULE_PATHNAME', 'rocketq_reset_offset' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION rocketq.reset_offset(regclass, text, int, bigint) IS 'move a consumer group to an offset of one queue';

CREATE FUNCTION rocketq.committed_offset(topic regclass, consumer_group text, queue_id int) RETURNS bigint
    AS 'MODULE_PATHNAME', 'rocketq_committed_offset' LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION rocketq.committed_offset(regclass, text, int) IS 'the offset a consumer group goes on from in a queue';

CREATE FUNCTION rocketq.min_offset(topic regclass, queue_id int) RETURNS bigint
    AS 'MODULE_PATHNAME', 'rocketq_min_offset' LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION rocketq.min_offset(regclass, int) IS 'the first offset of a queue that is kept';

CREATE FUNCTION rocketq.max_offset(topic regclass, queue_id int) RETURNS bigint
    AS 'MODULE_PATHNAME', 'rocketq_max_offset' LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION rocketq.max_offset(regclass, int) IS 'the offset behind the last message of a queue that can be read';

CREATE FUNCTION rocketq.offset_at(topic regclass, queue_id int, at_time timestamptz) RETURNS bigint
    AS 'MODULE_PATHNAME', 'rocketq_offset_at' LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION rocketq.offset_at(regclass, int, timestamptz) IS 'the first offset of a queue stored at that time or later';

CREATE FUNCTION rocketq.text(body bytea) RETURNS text
    AS 'MODULE_PATHNAME', 'rocketq_text' LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION rocketq.text(bytea) IS 'a message body as text';

CREATE FUNCTION rocketq.json(body bytea) RETURNS jsonb
    AS 'MODULE_PATHNAME', 'rocketq_json' LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION rocketq.json(bytea) IS 'a message body as jsonb';

--
-- Watch
--
CREATE FUNCTION rocketq.verify(OUT what text, OUT problem text) RETURNS SETOF record
    AS 'MODULE_PATHNAME', 'rocketq_verify' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION rocketq.verify() IS 'check every byte of the store; no rows means that it is sound';

CREATE FUNCTION rocketq.get_queues(OUT database oid, OUT relfilenode oid, OUT queue_id int,
    OUT min_offset bigint, OUT max_offset bigint, OUT end_offset bigint,
    OUT oldest_at timestamptz, OUT newest_at timestamptz) RETURNS SETOF record
    AS 'MODULE_PATHNAME', 'rocketq_get_queues' LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 1000;
COMMENT ON FUNCTION rocketq.get_queues() IS 'queues of all databases, for the views';

CREATE FUNCTION rocketq.get_groups(OUT database oid, OUT relfilenode oid, OUT group_id bigint,
    OUT consumer_group text, OUT queue_id int, OUT committed_offset bigint, OUT max_offset bigint,
    OUT lag bigint, OUT oldest_unconsumed_at timestamptz, OUT created_at timestamptz,
    OUT committed_at timestamptz) RETURNS SETOF record
    AS 'MODULE_PATHNAME', 'rocketq_get_groups' LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 1000;
COMMENT ON FUNCTION rocketq.get_groups() IS 'consumer groups of all databases, for the views';

CREATE FUNCTION rocketq.get_segments(OUT file text, OUT start_position bigint, OUT end_position bigint,
    OUT disk_bytes bigint, OUT state text, OUT used_bytes bigint, OUT oldest_at timestamptz)
    RETURNS SETOF record
    AS 'MODULE_PATHNAME', 'rocketq_get_segments' LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 100;
COMMENT ON FUNCTION rocketq.get_segments() IS 'segments of the commit log, for the views';

CREATE FUNCTION rocketq.get_workers(OUT worker text, OUT pid int, OUT started_at timestamptz,
    OUT last_tick_at timestamptz, OUT ticks bigint, OUT syncs bigint, OUT last_sync_at timestamptz,
    OUT last_sync_ms float8, OUT synced_redo_lsn pg_lsn) RETURNS SETOF record
    AS 'MODULE_PATHNAME', 'rocketq_get_workers' LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 3;
COMMENT ON FUNCTION rocketq.get_workers() IS 'background workers, for the views';

CREATE VIEW rocketq.queues AS
    SELECT c.oid::regclass AS topic, q.queue_id, q.min_offset, q.max_offset,
           q.max_offset - q.min_offset AS messages,
           q.end_offset - q.max_offset AS unresolved,
           q.oldest_at, q.newest_at
    FROM rocketq.get_queues() q
         JOIN pg_catalog.pg_class c ON c.relfilenode = q.relfilenode
    WHERE q.database = (SELECT d.oid FROM pg_catalog.pg_database d
                        WHERE d.datname = pg_catalog.current_database());
COMMENT ON VIEW rocketq.queues IS 'queues of this database''s topics';
COMMENT ON COLUMN rocketq.queues.min_offset IS 'first offset that is kept';
COMMENT ON COLUMN rocketq.queues.max_offset IS 'offset behind the last message that can be read';
COMMENT ON COLUMN rocketq.queues.messages IS 'entries kept, rolled back ones included';
COMMENT ON COLUMN rocketq.queues.unresolved IS 'entries at the end whose transactions are not over, or that wait behind such';
COMMENT ON COLUMN rocketq.queues.oldest_at IS 'when the oldest message was stored';
COMMENT ON COLUMN rocketq.queues.newest_at IS 'when the newest message was stored';

CREATE VIEW rocketq.groups AS
    SELECT c.oid::regclass AS topic, g.consumer_group, g.queue_id, g.committed_offset, g.max_offset,
           g.lag, g.oldest_unconsumed_at, g.committed_at, l.pid AS owner_pid, g.created_at
    FROM rocketq.get_groups() g
         JOIN pg_catalog.pg_class c ON c.relfilenode = g.relfilenode
         LEFT JOIN pg_catalog.pg_locks l
             ON l.locktype = 'advisory' AND l.granted AND l.database = g.database
                AND l.classid::bigint = g.group_id AND l.objid::bigint = g.queue_id
                AND l.objsubid = 21073
    WHERE g.database = (SELECT d.oid FROM pg_catalog.pg_database d
                        WHERE d.datname = pg_catalog.current_database());
COMMENT ON VIEW rocketq.groups IS 'consumer groups of this database''s topics, a row per queue';
COMMENT ON COLUMN rocketq.groups.lag IS 'entries not consumed yet, rolled back ones included';
COMMENT ON COLUMN rocketq.groups.oldest_unconsumed_at IS 'when the next message to consume was stored';
COMMENT ON COLUMN rocketq.groups.committed_at IS 'when the offset last moved, since the server started';
COMMENT ON COLUMN rocketq.groups.owner_pid IS 'process whose transaction consumes the queue now';

CREATE VIEW rocketq.topics AS
    SELECT q.topic, count(*)::int AS queues, sum(q.messages)::bigint AS messages,
           sum(q.unresolved)::bigint AS unresolved,
           (SELECT count(DISTINCT g.consumer_group)::int FROM rocketq.groups g
            WHERE g.topic = q.topic) AS groups,
           min(q.oldest_at) AS oldest_at, max(q.newest_at) AS newest_at
    FROM rocketq.queues q GROUP BY q.topic;
COMMENT ON VIEW rocketq.topics IS 'topics of this database';

CREATE VIEW rocketq.segments AS SELECT * FROM rocketq.get_segments();
COMMENT ON VIEW rocketq.segments IS 'segments of the commit log, which all databases share';
COMMENT ON COLUMN rocketq.segments.start_position IS 'first position of the segment';
COMMENT ON COLUMN rocketq.segments.end_position IS 'position behind the segment';
COMMENT ON COLUMN rocketq.segments.state IS 'full, writing, or ready for what comes next';
COMMENT ON COLUMN rocketq.segments.used_bytes IS 'bytes written so far';
COMMENT ON COLUMN rocketq.segments.oldest_at IS 'when its first message was stored';

CREATE VIEW rocketq.workers AS SELECT * FROM rocketq.get_workers();
COMMENT ON VIEW rocketq.workers IS 'background workers of rocketq';
COMMENT ON COLUMN rocketq.workers.syncs IS 'syncs of the store for checkpoints since the server started';
COMMENT ON COLUMN rocketq.workers.synced_redo_lsn IS 'everything below this checkpoint redo pointer is on disk';

REVOKE EXECUTE ON FUNCTION rocketq.verify(), rocketq.get_queues(), rocketq.get_groups(),
    rocketq.get_segments(), rocketq.get_workers() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION rocketq.verify(), rocketq.get_queues(), rocketq.get_groups(),
    rocketq.get_segments(), rocketq.get_workers() TO pg_monitor;
GRANT SELECT ON rocketq.topics, rocketq.queues, rocketq.groups, rocketq.segments, rocketq.workers
    TO pg_monitor;
