/* sql/rocketq--1.0--1.1.sql */

-- complain if script is sourced in psql, rather than via ALTER EXTENSION
\echo Use "ALTER EXTENSION rocketq UPDATE TO '1.1'" to load this file. \quit

CREATE FUNCTION rocketq.alter_topic(topic regclass, queues int) RETURNS void
    AS 'MODULE_PATHNAME', 'rocketq_alter_topic' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION rocketq.alter_topic(regclass, int) IS 'change the number of a topic''s queues';

-- Topics that have no label yet get one.
SELECT rocketq.alter_topic(t.topic, t.queues) FROM rocketq.topics t;
