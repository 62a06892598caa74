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
